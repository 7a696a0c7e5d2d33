"""What a classifier looks at: class-activation strips of test videos."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from hdc_jax.augment import geometry
from hdc_jax.data import sources
from hdc_jax.data.clips import sampling
from hdc_jax.data.clips.test_clips import fixed_looks
from hdc_jax.data.labels.segments import Part
from hdc_jax.evaluate import features, frames
from hdc_jax.models import heads
from hdc_jax.report.figures import saliency

SALIENCY = "saliency.png"
_VIDEOS = 6
_FRAMES = 8

# From pooled features [B, D] to class scores [B, C].
Classify = Callable[[jax.Array], jax.Array]


def draw_strips(
  path: epath.PathLike,
  backbone: Callable[[Any, jax.Array], Mapping[str, jax.Array]],
  variables: Any,
  kernel: np.ndarray,
  classify: Classify,
  source: sources.Source,
  parts: Sequence[Part],
  names: Sequence[str],
  config: ml_collections.ConfigDict,
) -> None:
  """Draws evenly spread videos with what speaks for the class they get.

  Only process 0 does, on a device of its own.

  Args:
    path: Of the picture.
    backbone: From variables and clips to endpoints.
    variables: Of the backbone, fully replicated.
    kernel: float32 [D, C], of the linear layer on the averages of the last
      endpoint, whose channels D are.
    classify: The whole classifier of these averages.
    source: Of the videos.
    parts: That were tested.
    names: Of the classes.
    config: `data`, `test.size` and `model.size` are used.
  """
  if jax.process_index():
    return
  size = fixed_looks(config, source).size
  chosen = np.linspace(0, len(parts) - 1, min(_VIDEOS, len(parts))).astype(int)
  view, key = features.centre_view(size), jax.random.key(0)

  @jax.jit
  def look(variables: Any, clips: Any) -> tuple[jax.Array, jax.Array]:
    shown = jax.vmap(lambda y, uv: view(key, geometry.Canvas(y, uv)))(*clips)
    endpoint = backbone(variables, shown)[heads.LAST].astype(jnp.float32)
    averages = heads.average_pool(endpoint, "space_time")[:, 0]
    return endpoint, classify(averages)

  cut = [_middle_clip(source, parts[i], config, size) for i in chosen]
  clips = tuple(np.stack(planes) for planes in zip(*cut, strict=True))
  endpoints, scores = jax.device_get(look(jax.device_get(variables), clips))
  examples = []
  for i, endpoint, guess in zip(
    chosen, endpoints, scores.argmax(axis=1), strict=True
  ):
    part = parts[i]
    indices, window = _place(source, part, config, size)
    shown = frames.read_rgb(source[part.video], indices, window)
    heat = saliency.activation_map(endpoint, kernel[:, guess], *shown.shape[:3])
    few = np.linspace(0, len(shown) - 1, min(_FRAMES, len(shown))).astype(int)
    right = bool(guess == part.label)
    caption = (
      names[guess] if right else (f"{names[guess]}, truly {names[part.label]}")
    )
    examples.append(saliency.Example(shown[few], heat[few], caption, right))
  saliency.draw(examples, path)


def _place(
  source: sources.Source,
  part: Part,
  config: ml_collections.ConfigDict,
  size: int,
) -> tuple[np.ndarray, Any]:
  """Frames and window in the middle of a part."""
  data, video = config.data, source[part.video]
  span = sampling.clip_span(data.frames, data.stride)
  start = max(part.first, (part.first + part.stop - span) // 2)
  indices = sampling.clip_indices(
    start, data.frames, data.stride, part.first, part.stop
  )
  return indices, sampling.centre_window(video.height, video.width, size)


def _middle_clip(
  source: sources.Source,
  part: Part,
  config: ml_collections.ConfigDict,
  size: int,
) -> Any:
  return source[part.video].read(*_place(source, part, config, size))
