"""How much features depend on the scene of a video, and how much on its motion.

A test video is compared with itself under a condition: with another background,
or without its motion, see `data.clips.conditions`. If its features stay similar
when the background is exchanged, they are of the motion; if they stay similar
when a single frame is shown, they are of the scene.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from etils import epath

from hdc_jax.data import sources
from hdc_jax.data.clips.conditions import Change
from hdc_jax.data.clips.evaluation_clips import CutSegments
from hdc_jax.data.clips.foreground import foreground
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.labels.targets import Target
from hdc_jax.data.video.frames import Frames
from hdc_jax.evaluate import frames
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.report.figures import strips

_SEED = 0  # of the choice of donors
_TRIES = 1_000  # segments among which a donor is chosen
_SAMPLE = 64  # segments of which the share of the foreground is measured
_DRAWN, _FRAMES = 3, 4  # segments, and frames of each, in a picture


def find_donors(
  source: sources.Source, segments: Sequence[Segment]
) -> dict[Segment, Segment]:
  """Chooses the segment from which each segment gets its background.

  It is one of another video that shares the fewest classes of all labels and
  tags of the dataset, and the group; at best none. Among equals the seed
  decides, which is fixed.

  Args:
    source: The videos.
    segments: Segments of at least two videos.

  Returns:
    The donor of each segment.
  """
  videos = {number: source[number] for number in {s.video for s in segments}}
  shown = {s: _classes(videos[s.video], s) for s in segments}
  places = np.random.default_rng(_SEED).permutation(len(segments))
  order = [segments[i] for i in places]
  donors = {}
  for i, segment in enumerate(order):
    following = (order[(i + j) % len(order)] for j in range(1, len(order)))
    others = (other for other in following if other.video != segment.video)
    donors[segment] = min(
      itertools.islice(others, _TRIES),
      key=lambda other: len(shown[other] & shown[segment]),
    )
  return donors


def _classes(video: sources.Video, segment: Segment) -> set[tuple[str, object]]:
  """What a segment shows: classes of labels and tags by name, and the group."""
  shown: set[tuple[str, object]] = {
    (f"tag {name}", number)
    for name, numbers in video.tags.items()
    for number in numbers
  }
  for name, stretches in video.labels.items():
    stops = [first for first, _ in stretches[1:]] + [video.num_frames]
    shown |= {
      (f"label {name}", number)
      for (first, number), stop in zip(stretches, stops, strict=True)
      if first < segment.stop and segment.first < stop
    }
  return shown | ({("group", video.group)} if video.group else set())


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Cosine similarities of vectors in pairs; 0 where a vector is zero.

  Args:
    first: float [P, D].
    second: float [P, D].

  Returns:
    float64 [P].
  """
  return np.sum(_unit(first) * _unit(second), axis=1)


def mean_of_others(vectors: np.ndarray, videos: np.ndarray) -> float:
  """The mean cosine similarity of all pairs of segments of different videos.

  Args:
    vectors: Features of the segments, float [P, D].
    videos: The video of each segment, int [P]; at least two different ones.

  Example:
    >>> vectors = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    >>> print(f"{mean_of_others(vectors, np.array([0, 0, 1])):.3f}")
    0.354
  """
  unit = _unit(vectors)
  # The sum over all pairs of a set is the squared length of its sum.
  pairs, total = len(unit) ** 2, np.sum(unit.sum(axis=0) ** 2)
  for video in np.unique(videos):
    own = unit[videos == video]
    pairs, total = pairs - len(own) ** 2, total - np.sum(own.sum(axis=0) ** 2)
  return float(total / pairs)


def _unit(vectors: np.ndarray) -> np.ndarray:
  """Scales vectors to length 1; zero vectors stay zero."""
  vectors = vectors.astype(np.float64)
  norms = np.linalg.norm(vectors, axis=1, keepdims=True)
  return vectors / np.where(norms > 0, norms, 1.0)


def motion_share(exchanged: float, frozen: float, reference: float) -> float:
  """The share of the motion in what makes features similar to themselves.

  With the mean similarities s of a video to itself under two conditions, and r
  to other videos, m = s(background exchanged) - r is what the motion alone
  keeps, and a = s(frozen) - r what the appearance alone keeps. The share is m /
  (m + a), where a difference below 0 counts as 0.

  Args:
    exchanged: Mean similarity to itself with its background exchanged.
    frozen: Mean similarity to itself with one frame repeated.
    reference: Mean similarity to other videos.

  Returns:
    From 0, appearance alone, to 1, motion alone; NaN if neither condition keeps
    anything.

  Example:
    >>> print(f"{motion_share(exchanged=0.5, frozen=0.8, reference=0.4):.2f}")
    0.20
  """
  motion, appearance = (max(0.0, s - reference) for s in (exchanged, frozen))
  kept = motion + appearance
  return motion / kept if kept else math.nan


def foreground_share(
  evaluation: Evaluation,
  label: str,
  segments: Sequence[Segment],
  threshold: float,
) -> float:
  """The mean share of the picture that counts as foreground.

  Args:
    evaluation: The videos, and which clips of them are evaluated.
    label: Name of the label or tag of the segments.
    segments: Segments, of which at most 64 evenly spread ones are measured.
    threshold: See `foreground.foreground`.

  Returns:
    The share, from 0 to 1.
  """
  shares = [
    foreground(clip, threshold).mean()
    for i in _spread(segments, _SAMPLE)
    for clip in _cut(evaluation, label, segments[i], None)
  ]
  return float(np.mean(shares))


def draw_sheet(
  path: epath.PathLike,
  evaluation: Evaluation,
  target: Target,
  queries: Outputs,
  changes: Mapping[str, Change],
) -> None:
  """Draws a clip of some videos under each condition, on process 0.

  Args:
    path: The file to write the picture to.
    evaluation: The videos, and which clips of them are evaluated.
    target: The label or tag of the segments.
    queries: The segments, of which a few evenly spread ones are drawn.
    changes: The changes, by the name of the condition.
  """
  if jax.process_index():
    return
  named: dict[str, Change | None] = {"unchanged": None, **changes}
  drawn = _spread(queries.segments, _DRAWN)

  def show(place: int, change: Change | None) -> np.ndarray:
    segment = queries.segments[place]
    clips = _cut(evaluation, target.name, segment, change)
    clip = frames.to_rgb(clips[len(clips) // 2])
    return clip[np.linspace(0, len(clip) - 1, _FRAMES).astype(int)]

  strips.draw(
    [[show(i, change) for i in drawn] for change in named.values()],
    [
      ", ".join(target.classes[n] for n in queries.classes[i]) or "none"
      for i in drawn
    ],
    epath.Path(path),
    list(named),
  )


def _cut(
  evaluation: Evaluation, label: str, segment: Segment, change: Change | None
) -> list[Frames]:
  """The clips of a segment, changed."""
  source = evaluation.source
  cut = CutSegments(source, label, evaluation.placement, change)
  return cut.cut(source[segment.video], segment)


def _spread(segments: Sequence[Segment], count: int) -> list[int]:
  """The places of evenly spread segments, at most so many."""
  places = np.linspace(0, len(segments) - 1, min(count, len(segments)))
  return places.astype(int).tolist()
