"""Task `pretrain`: trains a backbone without labels."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Annotated, Any, Self

import jax
import ml_collections
from jax.sharding import Mesh

from hdc_jax import key_queue
from hdc_jax.checkpoints import finding, restoring
from hdc_jax.data import lanes, mixtures, sources
from hdc_jax.data.clips import canvas, order, training_clips
from hdc_jax.data.clips.placement import FixedPlacement, make_placement
from hdc_jax.data.options import (
  Clips,
  LanedBatches,
  Learnable,
  Learned,
  Loading,
  ShownClips,
  access_option,
)
from hdc_jax.data.store.index import Index
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.evaluate.online_probe import OnlineProbe, Probe
from hdc_jax.methods import METHODS, MethodOptions, make_objective
from hdc_jax.models import BACKBONES, BackboneOptions
from hdc_jax.options import Options, Schema, Variant, identity, option
from hdc_jax.report import page as report
from hdc_jax.runs import goodput, results
from hdc_jax.runs.trackers.tracking import Tracking
from hdc_jax.tasks import costs, track
from hdc_jax.tasks.base import Seed, Task
from hdc_jax.train import loop, probing
from hdc_jax.train.optimizer import Optim
from hdc_jax.train.options import Pretraining, Run
from hdc_jax.train.training import Training, make_training

_log = logging.getLogger(__name__)

# The class of the options in section `augment`, by name of the method.
AUGMENTS = {name: method.augment for name, method in METHODS.items()}


@dataclasses.dataclass(frozen=True)
class Viewed:
  """What the options of tasks that show the views of a method have in common.

  Attributes:
    clips: Which frames make a clip, and the size of the canvas.
    model: The backbone.
    method: The method.
    augment: The augmentations of the method.
  """

  clips: Clips
  model: Annotated[BackboneOptions, Variant("model", BACKBONES)]
  method: Annotated[MethodOptions, Variant("method", METHODS)]
  augment: Annotated[Any, Variant("method", AUGMENTS)]

  @property
  def short_side(self) -> int:
    """The short side to which original files are scaled, in pixels."""
    return canvas.short_side_for(self.clips, self.model.size)

  def describe_clips(self, index: Index) -> str:
    """Says what part of the frames of a dataset clips show, for the log."""
    method = self.method.make(self.augment, self.model.size)
    areas = [view.areas for view in method.views]
    return canvas.describe(self.clips, index.short_side, areas)


@dataclasses.dataclass(frozen=True)
class Learning(Viewed):
  """Options of a pretraining, except for those of its dataset.

  Attributes:
    seed: Seed of everything random.
    batches: Size and lanes of the batches, and how many videos may fail to
      decode.
    loading: Threads and processes that decode.
    optim: The optimizer.
    train: Length of the run, and intervals of logging and saving.
    probe: The online probe.
  """

  seed: Seed
  batches: LanedBatches
  loading: Loading
  optim: Optim
  train: Pretraining
  probe: Probe

  def __post_init__(self) -> None:
    """Checks options of different sections against each other."""
    training_clips.check_clips(self.clips, self.model.size)
    self.model.check_clip(self.clips.frames, self.model.size)
    self.optim.check_length(self.train.steps)
    key_queue.check_size(self.method.queue, self.batches.batch_size)
    self.check_devices(1)
    if self.train.keep_best:
      self.probe.check_monitor(self.train.keep_best)

  def check_devices(self, devices: int, processes: int = 1) -> None:
    """Checks that devices can share a batch, its microbatches and its lanes.

    Args:
      devices: Number of devices, over all hosts.
      processes: Number of processes that these devices belong to.

    Raises:
      ConfigError: If they cannot.
    """
    size = self.batches.batch_size
    mesh_lib.check_batch_size("config.data.batch_size", size, devices)
    mesh_lib.check_microbatches(self.train.microbatches, size // devices)
    lanes.check_processes(self.batches.lanes, size, processes)

  def share(self, process_index: int, process_count: int) -> lanes.Share:
    """What a process has of the batches.

    Args:
      process_index: Number of the process.
      process_count: Number of processes.
    """
    return lanes.Share(self.batches.lanes, process_index, process_count)

  def make_training(self, mesh: Mesh) -> Training:
    """Makes the training.

    Args:
      mesh: All devices of the run.
    """
    size = self.model.size
    method = self.method.make(self.augment, size)
    return make_training(
      make_objective(method, self.model.make()),
      self.optim.make(self.train.steps),
      frames=self.clips.frames,
      size=size,
      batch_size=self.batches.batch_size,
      mesh=mesh,
      seed=self.seed.seed,
      microbatches=self.train.microbatches,
    )


@dataclasses.dataclass(frozen=True)
class Pretrain(Learning):
  """Options of task `pretrain`.

  Attributes:
    dataset: Where the videos are.
    learned: Split to learn from.
  """

  dataset: Learnable
  learned: Learned

  # No checkpoint: pretraining begins with random weights.
  checkpoint = ""

  def describe_clips(self, index: Index) -> str:
    """Says what clips show, and what a batch holds in each dataset and lane."""
    count = self.batches.lanes
    return "; ".join(
      filter(
        None,
        (
          super().describe_clips(index),
          mixtures.describe(index, self.batches.batch_size // count, count),
          lanes.describe(index, index.split(self.learned.split), count),
        ),
      )
    )

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such a split and such clips.

    Args:
      index: The index of the dataset.

    Raises:
      ConfigError, DataError: If it does not.
    """
    split = self.learned.split
    order.check_batches(
      self.batches.batch_size, index, split, self.batches.lanes
    )
    training_clips.check_clips(self.clips, self.model.size, index.short_side)
    if self.probe.every:
      self.probe.draw(index, split, self.seed.seed)
      self.probe_placement(index)
    if self.train.keep_best:
      self.probe.check_monitor(self.train.keep_best, index)

  def probe_placement(self, index: Index) -> FixedPlacement:
    """The clips that the probe encodes: one of each segment, in the centre.

    Args:
      index: The index of the dataset.

    Raises:
      ConfigError: If the frames of the dataset are too small.
    """
    shown = ShownClips(clips=1)
    return make_placement(self.clips, shown, self.model.size, index.short_side)

  def make_probe(
    self, mesh: Mesh, source: sources.Source
  ) -> probing.Probing | None:
    """Makes the online probe; None if it is off.

    Args:
      mesh: All devices of the run.
      source: The videos.

    Raises:
      DataError: If a video of the probe has no label.
    """
    if not self.probe.every:
      return None
    online = OnlineProbe(
      self.probe.draw(source.index, self.learned.split, self.seed.seed),
      Evaluation(
        mesh,
        source,
        self.probe_placement(source.index),
        # So few videos are not worth starting processes for.
        dataclasses.replace(self.loading, workers=0),
        self.batches.batch_size,
        self.model.size,
        self.batches.max_bad,
        "config.data.max_bad",
      ),
      self.model,
    )
    return probing.Probing(
      self.probe.every, lambda state: online.measure(state.backbone())
    )


@dataclasses.dataclass(frozen=True)
class OptionalDataset(Options, section="data"):
  """Where the videos are, if the dataset exists already."""

  path: str = option("", "What `hdc_jax.prepare` wrote; empty: no dataset yet.")
  cache: str = option("", "Directory for a copy of a dataset in a bucket.")
  access: str = access_option()


@dataclasses.dataclass(frozen=True)
class WithoutData(Learning):
  """Options of a pretraining whose dataset may not exist yet.

  Attributes:
    dataset: Where the videos are, if the dataset exists already.
    learned: Split to learn from.
  """

  dataset: OptionalDataset
  learned: Learned

  @classmethod
  def read(cls, config: ml_collections.ConfigDict) -> Self:
    """Makes the options of a config, and checks them.

    Args:
      config: A config of task `pretrain`.

    Raises:
      ConfigError: If the config is of another task, or a field is wrong.
    """
    if config.task != "pretrain":
      raise ConfigError(
        f"config.task={config.task} must be pretrain here: leave the task out "
        "of --config"
      )
    return Schema(cls).build(config.to_dict())


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Pretrains until `train.steps`, from the newest checkpoint if there is one.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets checkpoints/, metrics.jsonl,
      config.json, goodput.json, result.json, report.html, and the files of
      trackers.

  Returns:
    The content of result.json.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data, the devices
      or the run that is resumed.
    DataError: If the data or a checkpoint is missing or damaged.
    Collapsed: If the network does not learn and `train.stop_on_collapse` is
      set.
    NonFiniteError: If too many steps in a row are not finite.
    Preempted: If a signal stopped the run; its state is saved.
  """
  ledger = goodput.Ledger(workdir)
  options, run_config = TASK.resolve(config)
  mesh = mesh_lib.make_mesh()
  options.check_devices(mesh.devices.size, jax.process_count())
  training = options.make_training(mesh)
  source = sources.open(
    options.dataset.path,
    options.short_side,
    options.dataset.cache,
    options.dataset.access,
    options.share(jax.process_index(), jax.process_count()),
  )
  options.check_dataset(source.index)
  _log.info("%s", options.describe_clips(source.index))
  cut = training_clips.make_cut(
    source,
    options.clips,
    records=source.index.split(options.learned.split),
    starts=training.objective.starts,
  )
  values = identity.flatten(run_config.values)
  with Tracking(workdir, options.train.trackers, values) as tracking:
    _, summary = loop.fit(
      Run(
        workdir,
        run_config,
        options.train,
        options.batches,
        options.loading,
        options.seed.seed,
        options.train.stop_on_collapse,
        options.batches.lanes,
      ),
      training,
      cut,
      probe=options.make_probe(mesh, source),
      keep_best=options.train.keep_best,
      ledger=ledger,
      tracking=tracking,
    )
    trained = "clips_per_second" in summary  # else it was complete already
    if trained or not results.read_result(workdir):
      results.write_result(
        workdir,
        {
          "task": "pretrain",
          "steps": options.train.steps,
          "config_fingerprint": run_config.fingerprint,
          "data_fingerprint": source.index.fingerprint,
          **_best(options.train.keep_best, workdir),
          **summary,
          **({"goodput": ledger.summary()} if trained else {}),
        },
      )
    tracking.wait_for_places()
    with results.only_warning(report.REPORT):
      page = report.write(workdir, runs=[workdir])
      _log.info("report: %s", page)
      if trained:
        track.show_report(tracking, options.train.steps, workdir)
  return results.read_result(workdir)


def _best(monitor: str, workdir: str) -> dict[str, Any]:
  """The entry of result.json about the best checkpoint, if one is kept.

  Args:
    monitor: Name of the measurement that chooses it; '' if none is kept.
    workdir: Directory of the run.
  """
  if not monitor:
    return {}
  with restoring.SavedCheckpoints(workdir) as saved:
    best = saved.best()
  if best is None:
    return {}
  step, _, value = best
  _log.info(
    "best by %s: %.1f at step %d, %s/checkpoints/%s",
    monitor,
    value,
    step,
    workdir,
    finding.BEST,
  )
  return {"best": {"step": step, "monitor": monitor, "value": value}}


def cost(options: Learning, counts: Mapping[str, int]) -> costs.Cost:
  """Estimates the cost of a run, which does not depend on the dataset.

  Args:
    options: Options of the task.
    counts: Number of videos of each split; not used.
  """
  del counts
  training = options.make_training(mesh_lib.make_mesh(devices=1))
  return costs.of_training(
    training, options.batches.batch_size, options.train.steps
  )


TASK = Task(
  "pretrain",
  "pretraining",
  Pretrain,
  run,
  batches=("data.batch_size",),
  cost=cost,
)
