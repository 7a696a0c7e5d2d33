"""Task `preview`: draws the views that a method makes of some videos.

The picture shows videos of the first batch of pretraining, augmented as there:
a row for each video, with a strip of frames for each view.
"""

import dataclasses
import logging
from typing import Any

import jax
import ml_collections
import numpy as np
from etils import epath

from hdc_jax import report
from hdc_jax.augment import views
from hdc_jax.data import sources
from hdc_jax.data.clips import loader, training_clips
from hdc_jax.data.options import Learnable, Learned, Loading
from hdc_jax.data.store.index import Index
from hdc_jax.report.figures import strips
from hdc_jax.runs import results
from hdc_jax.tasks.base import Seed, Task
from hdc_jax.tasks.pretrain import Viewed

_log = logging.getLogger(__name__)

PREVIEW = "views.png"
_VIDEOS = 6
_FRAMES = 6


@dataclasses.dataclass(frozen=True)
class Preview(Viewed):
  """Options of task `preview`.

  Attributes:
    seed: Seed of everything random.
    dataset: Where the videos are.
    learned: Split whose videos are drawn.
    loading: Threads and processes that decode.
  """

  seed: Seed
  dataset: Learnable
  learned: Learned
  loading: Loading

  def __post_init__(self) -> None:
    """Checks that the views fit their clips."""
    training_clips.check_clips(self.clips, self.model.size)

  # No checkpoint: views do not depend on a network.
  checkpoint = ""

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such a split and such clips.

    Args:
      index: The index of the dataset.

    Raises:
      ConfigError, DataError: If it does not.
    """
    index.split(self.learned.split)
    training_clips.check_clips(self.clips, self.model.size, index.short_side)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Draws views of some videos.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets views.png, config.json, result.json
      and report.html.

  Returns:
    The content of result.json, with the ids of the videos in `rows`.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data.
    DataError: If the data is missing or damaged.
  """
  options, run_config = TASK.resolve(config)
  clips, size, seed = options.clips, options.model.size, options.seed.seed
  source = sources.open(
    options.dataset.path,
    options.short_side,
    options.dataset.cache,
    options.dataset.access,
  )
  options.check_dataset(source.index)
  _log.info("%s", options.describe_clips(source.index))
  method = options.method.make(options.augment, size)
  cut = training_clips.make_cut(
    source,
    clips,
    records=source.index.split(options.learned.split),
    starts=method.starts,
  )
  batch = next(
    loader.training_batches(
      cut,
      options.loading,
      batch_size=min(_VIDEOS, len(cut.records)),
      seed=seed,
    )
  )
  ids, _ = batch.pop("id"), batch.pop("bad")

  @jax.jit
  def make_views(clips: dict[str, jax.Array]) -> jax.Array:
    return views.make_views(method.views, jax.random.key(seed), clips)

  shown = jax.device_get(make_views(batch))
  times = np.linspace(0, shown.shape[2] - 1, min(_FRAMES, shown.shape[2]))
  frames = np.rint(127.5 * (shown[:, :, times.astype(int)] + 1))
  path = epath.Path(workdir) / PREVIEW
  result = {"task": "preview", "rows": [{"name": str(name)} for name in ids]}
  if jax.process_index() == 0:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [view.name for view in method.views]
    strips.draw(frames.astype(np.uint8), names, path)
  results.write_config(workdir, run_config.values)
  result = results.write_result(workdir, result)
  print(f"views of {len(ids)} videos: {path}")
  print(f"report: {report.write(workdir, runs=[workdir])}")
  return result


TASK = Task("preview", "views", Preview, run)
