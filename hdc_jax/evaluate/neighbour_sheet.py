"""Pictures of queries beside their nearest neighbours."""

from collections.abc import Sequence

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
  names: Sequence[str],
  queries: Outputs,
  gallery: Outputs,
  neighbours: np.ndarray,
) -> None:
  """Draws evenly spread queries with their nearest neighbours, on process 0.

  Args:
    path: The file to write the picture to.
    evaluation: The videos, and which clips of them are evaluated.
    names: Names of the classes, by number.
    queries: The Q segments with which the gallery was searched.
    gallery: The segments that were searched.
    neighbours: Position in the gallery of the K nearest neighbours of each
      query, int [Q, K], the nearest first.
  """
  if jax.process_index():
    return
  source = evaluation.source

  def show(segment: Segment, classes: list[int]) -> contact_sheet.Shot:
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
      frames.read_rgb(video, indices, window),
      ", ".join(names[number] for number in classes) or "none",
    )

  count = min(_QUERIES, len(queries.segments))
  matches = []
  for i in np.linspace(0, len(queries.segments) - 1, count).astype(int):
    true, nearest = queries.classes[i], neighbours[i, :_NEIGHBOURS]
    matches.append(
      contact_sheet.Match(
        show(queries.segments[i], true),
        [show(gallery.segments[j], gallery.classes[j]) for j in nearest],
        [not set(true).isdisjoint(gallery.classes[j]) for j in nearest],
      )
    )
  contact_sheet.contact_sheet(matches, epath.Path(path))
