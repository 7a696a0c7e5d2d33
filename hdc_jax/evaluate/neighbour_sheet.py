"""Sheets of queries and the nearest neighbours that were found for them."""

import jax
import ml_collections
import numpy as np
from etils import epath

from hdc_jax.data import sources
from hdc_jax.data.clips import sampling
from hdc_jax.data.labels.segments import Part
from hdc_jax.evaluate import features, frames
from hdc_jax.report.figures import contact_sheet

_QUERIES = 8
_NEIGHBOURS = 5
_FRAMES = 4


def draw_sheet(
  workdir: str,
  title: str,
  config: ml_collections.ConfigDict,
  source: sources.Source,
  label: str,
  queries: features.Outputs,
  gallery: features.Outputs,
  neighbours: np.ndarray,
) -> None:
  """Draws evenly spread queries with their nearest neighbours, on process 0."""
  if jax.process_index():
    return
  names = source.index.labels[label]

  def shoot(part: Part) -> contact_sheet.Shot:
    video = source[part.video]
    start, stop = part.first, part.stop
    span = sampling.clip_span(config.data.frames, config.data.stride)
    start = max(start, (start + stop - span) // 2)
    stop = min(stop, start + span)
    indices = np.linspace(start, stop - 1, _FRAMES).astype(int)
    window = sampling.centre_window(
      video.height, video.width, min(video.height, video.width)
    )
    return contact_sheet.Shot(
      frames.read_rgb(video, indices, window), names[part.label]
    )

  count = min(_QUERIES, len(queries.parts))
  matches = []
  for i in np.linspace(0, len(queries.parts) - 1, count).astype(int):
    found = [gallery.parts[j] for j in neighbours[i, :_NEIGHBOURS]]
    matches.append(
      contact_sheet.Match(
        shoot(queries.parts[i]),
        [shoot(part) for part in found],
        [part.label == queries.parts[i].label for part in found],
      )
    )
  path = epath.Path(workdir) / f"neighbours-{title.replace(' ', '-')}.png"
  contact_sheet.contact_sheet(matches, path)
