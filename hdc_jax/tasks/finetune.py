"""Task `finetune`: supervised training of a backbone, and its dense test.

The protocol of HDC: dropout and one linear layer on the pooled last block, SGD;
at the test the scores of non-overlapping clips, in five crops each, are
averaged over the video. Each division of the dataset is a training of its own,
in a directory of its own. Without a checkpoint the backbone is trained from
scratch.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath
from jax.sharding import Mesh

from hdc_jax import report
from hdc_jax.config import identity
from hdc_jax.data import sources
from hdc_jax.data.clips import cutting
from hdc_jax.data.clips.test_clips import fixed_looks
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import require
from hdc_jax.evaluate import class_activation, features, setup, trials
from hdc_jax.methods import supervised
from hdc_jax.runs import results
from hdc_jax.runs.predictions import PREDICTIONS
from hdc_jax.runs.rows import format_rows
from hdc_jax.train import loop, pretrained, training
from hdc_jax.train.step import TrainState

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Fine-tunes and tests, for each label, division and subset in turn.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets result.json, report.html, and for each trial a directory with
      its checkpoints, metrics.jsonl, train.json (the list of its training
      videos), predictions.npz, saliency.png and result.json. What is done
      already is not done again.

  Returns:
    What result.json holds; under `rows` the accuracies of each trial and their
    means, in per cent.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
    NonFiniteError: If a loss becomes NaN or infinite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  require("config.train.steps", config.train.steps, "how many?")
  made = setup.set_up(config, "finetune", from_scratch=True)
  source, mesh, loaded = made.source, made.mesh, made.loaded
  mesh_lib.check_batch_size(
    "config.data.batch_size", config.data.batch_size, mesh
  )
  cutting.check_clips(source.index.short_side, config.data, config.model.size)
  results.write_config(workdir, config)
  networks = functools.cache(functools.partial(_make_networks, config, mesh))
  rows = []
  for trial in trials.trials(config, source, workdir):
    own = trial.configure(config)
    own.checkpoint = made.stamp["checkpoint"]  # the step, as its run may go on
    directory = epath.Path(workdir) / trial.name
    wanted = made.stamp | {"config_fingerprint": identity.fingerprint(own)}
    result = results.read_result(directory)
    if not wanted.items() <= result.items():
      _log.info(
        "%s: trains on %d videos of %s",
        trial.name,
        len(trial.train),
        trial.train_split,
      )
      found = _run_trial(
        own, directory, networks(len(trial.classes)), source, trial, loaded
      )
      result = results.write_result(directory, wanted | found)
    rows.append(trial.row | {k: result[k] for k in ("top1", "top5")})
  means = trials.summarise(rows)
  result = results.write_result(
    workdir,
    made.stamp
    | {k: (means or rows)[0][k] for k in ("top1", "top5")}
    | {"rows": rows + means},
  )
  print(format_rows(result["rows"]))
  print(f"report: {report.write(workdir, runs=[workdir])}")
  return result


@dataclasses.dataclass(frozen=True)
class _Networks:
  """What is compiled once for all trials of as many classes.

  Attributes:
    mesh: Over all devices.
    made: For the training.
    encode: For the test, from variables and clips to 'scores' [B, C].
  """

  mesh: Mesh
  made: training.Trainer
  encode: features.Encoder


def _make_networks(
  config: ml_collections.ConfigDict, mesh: Mesh, classes: int
) -> _Networks:
  made = supervised.make_trainer(config, mesh, classes)
  compute = supervised.make_scores(made.network)
  view = features.centre_view(config.test.size or config.model.size)
  return _Networks(mesh, made, features.make_encoder(compute, view, mesh))


def _run_trial(
  config: ml_collections.ConfigDict,
  directory: epath.Path,
  networks: _Networks,
  source: sources.Source,
  trial: trials.Trial,
  loaded: pretrained.Pretrained | None,
) -> dict[str, float]:
  """Trains, tests, and returns accuracies and speed."""
  made = networks.made

  def initial() -> TrainState:
    state = made.init_state()
    if not loaded:
      return state
    # A copy, as the first step donates the memory of what it is given.
    return state.with_backbone(jax.tree.map(jnp.copy, loaded.variables))

  state, speed = loop.fit(
    config,
    str(directory),
    made,
    source,
    trial.train,
    label=trial.label,
    initial=initial,
  )
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  outputs = features.extract(
    networks.encode,
    variables,
    source,
    source.index.split(trial.test_split),
    config,
    networks.mesh,
    label=trial.label,
    looks=fixed_looks(config, source),
    title=f"test of {trial.name}",
  )
  predictions = trial.predictions(outputs, outputs.values["scores"])
  predictions.save(directory / PREDICTIONS)
  top = state.params["classifier"]
  class_activation.draw_strips(
    directory / class_activation.SALIENCY,
    made.network.backbone.apply,
    state.backbone(),
    jax.device_get(top["kernel"]),
    _linear(jax.device_get(top)),
    source,
    outputs.parts,
    trial.classes,
    config,
  )
  return predictions.accuracies() | speed


def _linear(layer: dict[str, np.ndarray]) -> Callable[[jax.Array], jax.Array]:
  return lambda x: x @ layer["kernel"] + layer["bias"]
