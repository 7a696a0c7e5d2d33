"""Sheets of queries and the nearest neighbours that were found for them."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from hdc_jax import features, pictures
from hdc_jax.augment import colour
from hdc_jax.data import evaluation, sampling, sources

_QUERIES = 8
_NEIGHBOURS = 5
_FRAMES = 4


def sheet_path(workdir: str, label: str) -> epath.Path:
  """Where the sheet of neighbours by a label is."""
  return epath.Path(workdir) / f"neighbours-{label}.png"


def draw_sheet(
  config: ml_collections.ConfigDict,
  workdir: str,
  source: sources.Source,
  label: str,
  queries: features.Features,
  gallery: features.Features,
  neighbours: np.ndarray,
) -> None:
  """Draws evenly spread queries with their nearest neighbours."""
  names = source.index.labels[label]

  def shoot(part: evaluation.Part) -> pictures.Shot:
    video = source[part.video]
    start, stop = part.first, part.stop
    span = sampling.clip_span(config.data.frames, config.data.stride)
    start = max(start, (start + stop - span) // 2)
    stop = min(stop, start + span)
    indices = np.linspace(start, stop - 1, _FRAMES).astype(int)
    window = sampling.centre_window(
      video.height, video.width, config.data.canvas
    )
    y, uv = video.read(indices, window)
    chroma = uv.repeat(2, axis=1).repeat(2, axis=2)
    yuv = np.concatenate([y[..., None], chroma], axis=-1).astype(np.float32)
    rgb = jax.device_get(colour.yuv_to_rgb(jnp.asarray(yuv)))
    return pictures.Shot(
      (255 * rgb).round().astype(np.uint8), names[part.label]
    )

  count = min(_QUERIES, len(queries.parts))
  matches = []
  for i in np.linspace(0, len(queries.parts) - 1, count).astype(int):
    found = [gallery.parts[j] for j in neighbours[i, :_NEIGHBOURS]]
    matches.append(
      pictures.Match(
        shoot(queries.parts[i]),
        [shoot(part) for part in found],
        [part.label == queries.parts[i].label for part in found],
      )
    )
  if jax.process_index() == 0:
    pictures.contact_sheet(matches, sheet_path(workdir, label))
