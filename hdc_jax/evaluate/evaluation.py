"""The outputs of a network for every clip of a dataset, each exactly once.

Every process reads a different share of the videos. Batches are global, and
every process gets the outputs for all of them. A process that has no videos
left goes on with padding until all processes are done.

A video that cannot be decoded is left out, on all processes and in all later
outputs of the evaluation. Too many of them end it, by the rule of training, see
`data.clips.failure_rate`.
"""

import collections
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np
from jax.sharding import Mesh

from hdc_jax.augment import views
from hdc_jax.data import sources
from hdc_jax.data.clips import canvas, evaluation_clips, training_clips
from hdc_jax.data.clips.conditions import Change
from hdc_jax.data.clips.failure_rate import FailureRate
from hdc_jax.data.clips.placement import (
  FixedPlacement,
  Placement,
  make_placement,
)
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.options import Clips, Dataset, Loading, ShownClips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.distributed import processes
from hdc_jax.errors import DataError, Preempted
from hdc_jax.evaluate import features
from hdc_jax.evaluate.features import Encoder
from hdc_jax.runs import results
from hdc_jax.runtime import watchdog
from hdc_jax.runtime.progress import Progress

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outputs:
  """The outputs of a network for P segments of videos.

  Attributes:
    segments: The segments, in the order of the videos.
    ids: The id of each segment's video.
    values: Outputs by name, float32. They are means over the clips of each
      segment, [P, …], or the outputs for every clip, [P, clips, …].
    groups: The group of each segment's video; '' for none.
    tags: The classes of the tag that each segment's video shows; none of any
      if the segments are those of a label.
  """

  segments: list[Segment]
  ids: list[str]
  values: dict[str, np.ndarray]
  groups: list[str]
  tags: list[list[int]]

  @property
  def labels(self) -> np.ndarray:
    """The class of each segment, int64 [P]."""
    return np.array([segment.label for segment in self.segments], np.int64)

  @property
  def videos(self) -> np.ndarray:
    """The record number of each segment's video, int64 [P]."""
    return np.array([segment.video for segment in self.segments], np.int64)

  @property
  def classes(self) -> list[list[int]]:
    """The true classes of each segment: that of a label, or those of a tag."""
    return [
      tags if segment.label < 0 else [segment.label]
      for segment, tags in zip(self.segments, self.tags, strict=True)
    ]

  def shown(self, classes: int) -> np.ndarray:
    """Whether each segment shows each class, bool [P, classes].

    Args:
      classes: Number of classes of the label or tag.
    """
    shown = np.zeros((len(self.segments), classes), bool)
    for row, numbers in zip(shown, self.classes, strict=True):
      row[numbers] = True
    return shown


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """The clips that an evaluation encodes, and the devices that encode them.

  Attributes:
    mesh: All devices of the run.
    source: The videos.
    placement: Which clips of a segment are evaluated.
    loading: Threads and processes that decode.
    batch_size: Crops of clips per step, over all devices and hosts.
    size: Height and width in pixels to which the windows are resized.
    max_bad: Fraction of the videos that may be left out.
    max_bad_field: Full name of the field that has this limit, for messages.
    left_out: The videos that are left out because they cannot be decoded: their
      record numbers, and the reasons. It grows as they are found.
  """

  mesh: Mesh
  source: sources.Source
  placement: FixedPlacement
  loading: Loading
  batch_size: int
  size: int
  max_bad: float = 0.0
  max_bad_field: str = "config.test.max_bad"
  left_out: dict[int, str] = dataclasses.field(
    default_factory=dict, compare=False, repr=False
  )

  @classmethod
  def open(
    cls,
    dataset: Dataset,
    clips: Clips,
    loading: Loading,
    shown: ShownClips,
    size: int,
  ) -> Self:
    """Opens a dataset for an evaluation on all devices.

    Args:
      dataset: Where the videos are.
      clips: Which frames make a clip.
      loading: Threads and processes that decode.
      shown: Which clips are evaluated, and in which crops.
      size: Height and width of the network's views, in pixels.

    Raises:
      ConfigError: If the crops do not fit the frames, or the batches do not
        split over the devices.
      DataError: If there is no such dataset, or if it is damaged.
    """
    mesh = mesh_lib.make_mesh()
    mesh_lib.check_batch_size(
      "config.test.batch_size", shown.batch_size, mesh.devices.size
    )
    short_side = canvas.short_side_for(clips, size, shown.size)
    source = sources.open(
      dataset.path, short_side, dataset.cache, dataset.access
    )
    placement = make_placement(clips, shown, size, source.index.short_side)
    return cls(
      mesh,
      source,
      placement,
      loading,
      shown.batch_size,
      shown.size or size,
      shown.max_bad,
    )

  @property
  def view(self) -> views.View:
    """The view of each window: all of it, at the size that networks see."""
    return features.whole_view(self.size)

  def encode(
    self,
    encoder: Encoder,
    weights: Any,
    videos: np.ndarray,
    *,
    label: str,
    placement: Placement | None = None,
    change: Change | None = None,
    average: bool = True,
    title: str = "",
    shown: bool = True,
  ) -> Outputs:
    """Encodes the clips of every segment of some videos.

    Args:
      encoder: A function from `features.make_encoder`, for the same mesh.
      weights: The weights that it takes.
      videos: Record numbers of the videos, int64 [N].
      label: Name of the label by which videos are divided into segments, or of
        a tag; '' for none.
      placement: Which clips are encoded, by default those of the evaluation.
      change: How all clips are changed; None for not at all.
      average: Whether to average the outputs over the clips of a segment.
      title: Title of the progress line.
      shown: Whether there is a progress line.

    Returns:
      The outputs for the segments of all processes' videos, without those that
      cannot be decoded.

    Raises:
      DataError: If too many videos cannot be decoded, a video has no such
        label, or an output is not finite.
      Preempted: If SIGTERM asked one of several processes to stop.
    """
    placement = placement or self.placement
    known = videos[~np.isin(videos, list(self.left_out))]
    local = known[jax.process_index() :: jax.process_count()]
    about: dict[int, list[Any]] = {}
    bad: dict[int, str] = {}
    rate = self._rate()

    def clips() -> Iterator[training_clips.Batch]:
      read = evaluation_clips.read_clips(
        self.source,
        local,
        self.loading,
        label=label,
        placement=placement,
        change=change,
      )
      with (
        Progress(len(local), "videos", title, shown=shown) as progress,
        watchdog.limited("encoding videos", watchdog.EVALUATION_SECONDS),
      ):
        for number, video in zip(local.tolist(), read, strict=True):
          progress.update()
          rate.tried += 1
          if evaluation_clips.BAD in video:
            bad[number] = str(video[evaluation_clips.BAD])
            _log.warning("a video is left out: %s", bad[number])
            rate.failed += 1
            if rate.is_exceeded():
              return  # `_leave_out` raises the error, in all processes.
            continue
          about[number] = [
            video.pop(name).tolist() for name in evaluation_clips.ABOUT
          ]
          yield video

    collected = _Collected(average)
    pending = None
    for batch in self._lockstep(clips(), placement):
      outputs = encoder(weights, mesh_lib.to_devices(self.mesh, batch))
      # Fetched one batch late, so that the device never waits for the host.
      if pending is not None and not collected.add(jax.device_get(pending)):
        break
      pending = outputs
      if processes.stop_requested():
        raise Preempted(
          "stopped by SIGTERM: rerun the same command, which begins again"
        )
    else:
      if pending is not None:
        collected.add(jax.device_get(pending))
    self._leave_out(bad, rate, videos)
    about = _share(about)
    order = {number: i for i, number in enumerate(videos.tolist())}
    segments, values = collected.result(order)
    ids, groups, tags = (
      [about[segment.video][i] for segment in segments]
      for i in range(len(evaluation_clips.ABOUT))
    )
    _check_finite(values, ids)
    return Outputs(segments, ids, values, groups, tags)

  @property
  def omissions(self) -> dict[str, Any]:
    """The entry of result.json about videos left out; nothing without any."""
    listed = [
      {"video": number, "reason": self.left_out[number]}
      for number in sorted(self.left_out)
    ]
    return {results.LEFT_OUT: listed} if listed else {}

  def recall(self, result: Mapping[str, Any]) -> None:
    """Leaves out what an earlier part of the evaluation has left out.

    Args:
      result: Content of its result.json.
    """
    for entry in result.get(results.LEFT_OUT, ()):
      self.left_out[entry["video"]] = entry["reason"]

  def _rate(self) -> FailureRate:
    """Counts videos by the rule of this evaluation."""
    return FailureRate(self.max_bad, self.max_bad_field)

  def _leave_out(
    self, bad: dict[int, str], counted: FailureRate, videos: np.ndarray
  ) -> None:
    """Leaves out the videos that any process could not decode.

    Args:
      bad: Those of this process, with the reasons.
      counted: Counts of this process.
      videos: Record numbers of the videos of all processes, int64 [N].

    Raises:
      DataError: In all processes, if too many of the videos are left out.
    """
    found = processes.exchange(
      [bad, counted.failed, counted.tried, counted.is_exceeded()]
    )
    for reasons, *_ in found:
      self.left_out.update({int(n): text for n, text in reasons.items()})
    rate = self._rate()
    failed = int(np.isin(videos, list(self.left_out)).sum())
    if any(exceeded for *_, exceeded in found):
      failed, tried = (sum(each[i] for each in found) for i in (1, 2))
      raise rate.error(failed, tried)
    rate.add(failed, len(videos))
    if failed == len(videos):
      raise DataError(
        f"none of the {failed} videos could be decoded: see the warnings above"
      )

  def _lockstep(
    self, clips: Iterator[training_clips.Batch], placement: Placement
  ) -> Iterator[training_clips.Batch]:
    """Yields the clips in batches of one size, and after them padding.

    With several processes, the padding has no end, as others may have more
    clips.
    """
    size = self.batch_size // jax.process_count()
    yield from evaluation_clips.rebatch(clips, size)
    while jax.process_count() > 1:
      yield evaluation_clips.padding(placement, size)


class _Collected:
  """Collects outputs by segment: the sum over its clips, or each by itself."""

  def __init__(self, average: bool) -> None:
    self._average = average
    self._counts = collections.Counter[Segment]()
    self._values: dict[str, dict[Segment, Any]] = {}

  def add(self, outputs: dict[str, np.ndarray]) -> bool:
    """Adds the outputs of a global batch; returns False if all is padding."""
    (real,) = np.nonzero(outputs.pop("mask"))
    columns = [outputs.pop(name).tolist() for name in evaluation_clips.ADDRESS]
    addresses = list(zip(*columns, strict=True))
    for i in real.tolist():
      *segment, clip = addresses[i]
      self._add(Segment(*segment), clip, {k: v[i] for k, v in outputs.items()})
    return bool(len(real))

  def _add(
    self, segment: Segment, clip: int, outputs: Mapping[str, np.ndarray]
  ) -> None:
    """Adds the outputs of one clip of a segment."""
    self._counts[segment] += 1
    for name, value in outputs.items():
      segments = self._values.setdefault(name, {})
      if not self._average:
        # Keep the number of the clip, because clips come in any order.
        segments.setdefault(segment, {})[clip] = value
      elif segment in segments:
        segments[segment] += value
      else:
        segments[segment] = value.astype(np.float64)

  def result(
    self, order: Mapping[int, int]
  ) -> tuple[list[Segment], dict[str, np.ndarray]]:
    """The segments in the order of their videos, and their outputs.

    Args:
      order: The position of each video, by its record number.

    Returns:
      The P segments, and the outputs by name, float32: [P, …], or [P, clips, …]
      if they are not averaged.
    """
    segments = sorted(self._counts, key=lambda s: (order[s.video], s.first))

    def value(name: str, segment: Segment) -> np.ndarray:
      collected = self._values[name].pop(segment)
      if self._average:
        return (collected / self._counts[segment]).astype(np.float32)
      return np.stack([collected[i] for i in sorted(collected)])

    return segments, {
      name: np.stack([value(name, segment) for segment in segments])
      for name in self._values
    }


def _share(about: dict[int, list[Any]]) -> dict[int, list[Any]]:
  """The `ABOUT` of all processes' videos, by record number."""
  return {
    int(number): items
    for about_of_process in processes.exchange(about)
    for number, items in about_of_process.items()
  }


def _check_finite(values: Mapping[str, np.ndarray], ids: list[str]) -> None:
  """Checks outputs, [P, …] by name, for P segments of the videos with `ids`.

  Raises:
    DataError: If an output is NaN or infinite.
  """
  for name, rows in values.items():
    finite = np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
    if not finite.all():
      raise DataError(
        f"{name}: {np.sum(~finite)} of {len(rows)} outputs of the network are "
        f"not finite, first for {ids[int(np.argmin(finite))]}: the weights are "
        "not finite or too large, use an older checkpoint"
      )
