"""Pictures of queries beside their nearest neighbours."""

import jax
import numpy as np
from etils import epath

from hdc_jax.data.clips import sampling
from hdc_jax.data.labels.segments import Segment
from hdc_jax.evaluate import frames
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.report.figures import contact_sheet

_QUERIES = 8
_NEIGHBOURS = 5
_FRAMES = 4


def draw_sheet(
  path: epath.PathLike,
  evaluation: Evaluation,
  label: str,
  queries: Outputs,
  gallery: Outputs,
  neighbours: np.ndarray,
) -> None:
  """Draws evenly spread queries with their nearest neighbours, on process 0.

  Args:
    path: The file to write the picture to.
    evaluation: The videos, and which clips of them are evaluated.
    label: Name of the label whose classes are shown.
    queries: The Q segments with which the gallery was searched.
    gallery: The segments that were searched.
    neighbours: Position in the gallery of the K nearest neighbours of each
      query, int [Q, K], the nearest first.
  """
  if jax.process_index():
    return
  source = evaluation.source
  names = source.index.labels[label]

  def show(segment: Segment) -> contact_sheet.Shot:
    video = source[segment.video]
    placement = evaluation.placement.at_rate_of(video)
    span = sampling.clip_span(placement.frames, placement.stride)
    start = max(segment.first, (segment.first + segment.stop - span) // 2)
    stop = min(segment.stop, start + span)
    indices = np.linspace(start, stop - 1, _FRAMES).astype(int)
    window = sampling.centre_window(
      video.height, video.width, min(video.height, video.width)
    )
    return contact_sheet.Shot(
      frames.read_rgb(video, indices, window), names[segment.label]
    )

  count = min(_QUERIES, len(queries.segments))
  matches = []
  for i in np.linspace(0, len(queries.segments) - 1, count).astype(int):
    query = queries.segments[i]
    nearest = [gallery.segments[j] for j in neighbours[i, :_NEIGHBOURS]]
    matches.append(
      contact_sheet.Match(
        show(query),
        [show(segment) for segment in nearest],
        [segment.label == query.label for segment in nearest],
      )
    )
  contact_sheet.contact_sheet(matches, epath.Path(path))
