"""Task `preview`: a picture of what the network is shown.

The first batch of pretraining, augmented as there: a row for each video, a
strip of frames for each view of the method.
"""

from typing import Any

import jax
import ml_collections
import numpy as np
from etils import epath

from hdc_jax import methods
from hdc_jax.augment import views
from hdc_jax.data import sources
from hdc_jax.data.clips import cutting, loader
from hdc_jax.errors import require
from hdc_jax.report.figures import strips
from hdc_jax.runs import results

PREVIEW = "views.png"
_VIDEOS = 6
_FRAMES = 6


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Draws views of some videos.

  Args:
    config: Of pretraining; see `config.default`.
    workdir: Gets views.png and result.json.

  Returns:
    What result.json holds; under `rows` the ids of the videos.

  Raises:
    ConfigError, DataError: If config or data are wrong.
  """
  require("config.data.path", config.data.path, "name a dataset to look at")
  source = sources.open(config.data.path, config.data.canvas, config.data.cache)
  cutting.check_clips(source.index.short_side, config.data, config.model.size)
  method = methods.make_method(config)
  numbers = source.index.split(config.data.split)
  few = config.copy_and_resolve_references()
  few.data.batch_size = min(_VIDEOS, len(numbers))
  batch = next(
    loader.training_batches(source, few, numbers=numbers, starts=method.starts)
  )
  ids, _ = batch.pop("id"), batch.pop("bad")

  @jax.jit
  def make(clips: dict[str, jax.Array]) -> jax.Array:
    return views.make_views(method.views, jax.random.key(config.seed), clips)

  made = jax.device_get(make(batch))
  shown = np.linspace(0, made.shape[2] - 1, min(_FRAMES, made.shape[2]))
  frames = np.rint(127.5 * (made[:, :, shown.astype(int)] + 1))
  path = epath.Path(workdir) / PREVIEW
  result = {"task": "preview", "rows": [{"name": str(name)} for name in ids]}
  if jax.process_index() == 0:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [view.name for view in method.views]
    strips.draw(frames.astype(np.uint8), names, path)
  result = results.write_result(workdir, result)
  print(f"views of {len(ids)} videos: {path}")
  return result
