"""Task `finetune`: supervised training of a backbone, and its test.

The protocol is that of HDC: a linear layer, after dropout of the pooled last
block, is trained together with the backbone, by SGD. The test averages the
scores of non-overlapping clips, in five crops each, over the video. Each fold
of the dataset has a training of its own, in a directory of its own. Without a
checkpoint, the backbone is trained from scratch.
"""

import logging
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
from etils import epath

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.evaluate import pretrained
from hdc_jax.evaluate import trials as trials_lib
from hdc_jax.report import page as report
from hdc_jax.runs import results
from hdc_jax.runs.text_table import format_result
from hdc_jax.tasks import costs
from hdc_jax.tasks.base import Task, make_stamp
from hdc_jax.tasks.finetune_trial import Finetune, TrialRunner
from hdc_jax.train import flops

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Fine-tunes and tests, for each label, fold and subset in turn.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets result.json, report.html, and for
      each trial a directory with its checkpoints, metrics.jsonl, train.json
      (the list of its training videos), predictions.npz, saliency.png and
      result.json. Trials that are complete are not run again.

  Returns:
    The content of result.json, with the results of each trial and their means,
    in percent, in `rows`: the accuracies `top1` and `top5` of a label, or the
    mean average precision `map` of a tag.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data, the
      checkpoint or the devices.
    DataError: If the data or a checkpoint is missing or damaged.
    NonFiniteError: If too many steps in a row are not finite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  options, run_config = TASK.resolve(config)
  evaluation = options.open()
  source, mesh = evaluation.source, evaluation.mesh
  _log.info("%s", options.describe_clips(source.index))
  mesh_lib.check_batch_size(
    "config.data.batch_size", options.batches.batch_size, mesh.devices.size
  )
  loaded = None
  if options.checkpoint:
    loaded = pretrained.load(options.checkpoint, mesh, options.model)
  name = loaded.name if loaded else ""
  stamp = make_stamp("finetune", run_config, name, source)
  warnings = options.warn(source.index)
  results.write_config(workdir, run_config.values)
  runner = TrialRunner(options, evaluation, loaded)
  plan = trials_lib.TrialPlan(
    source,
    options.folds,
    options.tested,
    options.subset,
    options.loading,
    options.seed.seed,
  )
  rows = []
  for trial in plan.write_trials(workdir):
    directory = epath.Path(workdir) / trial.name
    # Name the step of the checkpoint, because its run may go on and save
    # others.
    trial_config = run_config.changed(trial.changes | {"checkpoint": name})
    trial_stamp = stamp | {"config_fingerprint": trial_config.fingerprint}
    result = results.read_result(directory)
    if not trial_stamp.items() <= result.items():
      _log.info(
        "%s: training on %d videos of %s",
        trial.name,
        len(trial.train),
        trial.train_split,
      )
      measured = runner.run(trial, trial_config, directory)
      result = results.write_result(
        directory, trial_stamp | evaluation.omissions | measured
      )
    evaluation.recall(result)
    rows.append(trial.row | {k: result[k] for k in trial.kind.measures})
  result = results.write_result(
    workdir,
    stamp | warnings | evaluation.omissions | trials_lib.summary(rows),
  )
  print(format_result(result))
  print(f"report: {report.write(workdir, runs=[workdir])}")
  return result


def cost(options: Finetune, counts: Mapping[str, int]) -> costs.Cost:
  """Estimates the cost of a run: a training and a test for each fold.

  Args:
    options: Options of the task.
    counts: Number of videos of each split, and 'classes', the number of
      classes.
  """
  folds = options.folds.folds or (1, 2, 3)
  shown = options.clips, options.shown, options.model.size
  training = options.make_training(
    mesh_lib.make_mesh(devices=1), counts["classes"]
  )
  state = jax.eval_shape(training.init)
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  per_clip = flops.count_flops(
    training.objective.network.apply,
    variables,
    costs.clip_shape(*shown, axes=(1, 1)),
  )
  clips = costs.clips_per_video(*shown) * sum(
    counts[f"{options.tested.split}{fold}"] for fold in folds
  )
  test = costs.Cost(clips=clips, flops=clips * per_clip)
  steps = len(folds) * options.train.steps
  batch_size = options.batches.batch_size
  return costs.of_training(training, batch_size, steps) + test


TASK = Task(
  "finetune",
  "fine-tuning",
  Finetune,
  run,
  # Values of HDC. Choice: the paper gives no length. These are 150 epochs of
  # UCF101, as in video clip order prediction, whose protocol the paper follows.
  recipe={
    "data.batch_size": 32,
    "optim.lr": 0.01,
    "train.steps": 44_700,
    "test.clips": 0,
    "test.crops": "five",
  },
  batches=("data.batch_size", "test.batch_size"),
  cost=cost,
)
