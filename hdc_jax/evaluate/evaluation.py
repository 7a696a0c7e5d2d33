"""The outputs of a network for every clip of a dataset, each exactly once.

Every process reads a different share of the videos. Batches are global, and
every process gets the outputs for all of them. A process that has no videos
left goes on with padding until all processes are done.
"""

import collections
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np
from jax.sharding import Mesh

from hdc_jax.augment import views
from hdc_jax.data import sources
from hdc_jax.data.clips import canvas, evaluation_clips, training_clips
from hdc_jax.data.clips.placement import (
  FixedPlacement,
  Placement,
  make_placement,
)
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.options import Clips, Dataset, Loading, ShownClips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.distributed import processes
from hdc_jax.errors import DataError
from hdc_jax.evaluate import features
from hdc_jax.evaluate.features import Encoder
from hdc_jax.runtime.progress import Progress


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
  """

  mesh: Mesh
  source: sources.Source
  placement: FixedPlacement
  loading: Loading
  batch_size: int
  size: int

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
    source = sources.open(dataset.path, short_side, dataset.cache)
    placement = make_placement(clips, shown, size, source.index.short_side)
    crop = shown.size or size
    return cls(mesh, source, placement, loading, shown.batch_size, crop)

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
    average: bool = True,
    title: str = "",
  ) -> Outputs:
    """Encodes the clips of every segment of some videos.

    Args:
      encoder: A function from `features.make_encoder`, for the same mesh.
      weights: The weights that it takes.
      videos: Record numbers of the videos, int64 [N].
      label: Name of the label by which videos are divided into segments, or of
        a tag; '' for none.
      placement: Which clips are encoded, by default those of the evaluation.
      average: Whether to average the outputs over the clips of a segment.
      title: Title of the progress line.

    Returns:
      The outputs for the segments of all processes' videos.

    Raises:
      DataError: If a video cannot be decoded, or an output is not finite.
    """
    placement = placement or self.placement
    local = videos[jax.process_index() :: jax.process_count()]
    about: dict[int, list[Any]] = {}

    def clips() -> Iterator[training_clips.Batch]:
      read = evaluation_clips.read_clips(
        self.source, local, self.loading, label=label, placement=placement
      )
      with Progress(len(local), "videos", title) as progress:
        for number, video in zip(local.tolist(), read, strict=True):
          about[number] = [
            video.pop(name).tolist() for name in evaluation_clips.ABOUT
          ]
          yield video
          progress.update()

    collected = _Collected(average)
    pending = None
    for batch in self._lockstep(clips(), placement):
      outputs = encoder(weights, mesh_lib.to_devices(self.mesh, batch))
      # Fetched one batch late, so that the device never waits for the host.
      if pending is not None and not collected.add(jax.device_get(pending)):
        break
      pending = outputs
    else:
      collected.add(jax.device_get(pending))
    about = _share(about)
    order = {number: i for i, number in enumerate(videos.tolist())}
    segments, values = collected.result(order)
    ids, groups, tags = (
      [about[segment.video][i] for segment in segments]
      for i in range(len(evaluation_clips.ABOUT))
    )
    _check_finite(values, ids)
    return Outputs(segments, ids, values, groups, tags)

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
