"""A folder of video files that is read as a dataset without preparing it."""

import os
from collections.abc import Sequence

from etils import epath

from hdc_jax.data.datasets.base import VideoFile
from hdc_jax.data.datasets.folder import label_by_folder
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.store import records
from hdc_jax.data.store.index import Index
from hdc_jax.data.video import codec
from hdc_jax.data.video import frames as frames_lib
from hdc_jax.data.video.frames import Frames, Indices, Window
from hdc_jax.data.video.originals import Original, Probe
from hdc_jax.errors import DataError, StorageError
from hdc_jax.runtime import files

# Frames of the videos whose containers are read once. Each takes some 40 bytes.
_MOST_FRAMES = 1 << 21


class OriginalVideo:
  """A video file, see `sources.Video`.

  Its frames are those that `prepare` would encode.
  """

  def __init__(
    self, file: VideoFile, short_side: int, probe: Probe | None = None
  ) -> None:
    """Opens the file and reads its container.

    Args:
      file: The video file.
      short_side: Short side of the frames in pixels; even.
      probe: What the container tells, if it was read before.

    Raises:
      DataError: If the file cannot be read.
      StorageError: If a bucket fails.
    """
    self.id, self.labels = file.id, file.labels
    self.tags, self.group = file.tags, file.group
    self._original = Original(
      file.path,
      short_side,
      start=file.start,
      end=file.end,
      part=probe.part if probe else None,
    )
    try:
      self.probe = probe or self._original.probe()
    except BaseException:
      self._original.close()  # The error may be kept, and this video with it.
      raise
    self.num_frames, self.fps = self.probe.num_frames, self.probe.fps
    self.height, self.width = self.probe.height, self.probe.width

  def read(self, indices: Indices, window: Window) -> Frames:
    """Decodes frames, see `sources.Video.read`."""
    frames_lib.check_window(window, self.height, self.width)
    unique, order = codec.unique_frames(indices, self.num_frames)
    arrays = self._original.read(unique.tolist())
    frames = frames_lib.crop([arrays[i] for i in unique.tolist()], window)
    return Frames(frames.y[order], frames.uv[order])

  def label(self, name: str, frame: int) -> int:
    """Returns the class at a frame, see `sources.Video.label`."""
    return records.find_label(self.id, self.labels, name, frame)


class UnpreparedDataset:
  """The video files of a folder, see `sources.Source`.

  Labels and splits are those of `folder.label_by_folder`. The fingerprint
  covers names and sizes of the files, not their content.
  """

  def __init__(
    self, directory: epath.Path, paths: Sequence[str], short_side: int
  ) -> None:
    """Labels the files; none is opened yet.

    Args:
      directory: The folder, on a disk or in a bucket.
      paths: Its video files, relative to it, from `base.find_videos`.
      short_side: Short side of the frames in pixels; even.
    """
    self._directory = os.fspath(directory)
    listing = label_by_folder(self._directory, paths)
    self._files: Sequence[VideoFile] = listing.videos
    self._short_side = short_side
    # What containers tell, by the number of the video, for as many as there is
    # room for. Threads may count some twice, or none.
    self._probes: dict[int, Probe] = {}
    self._room = _MOST_FRAMES
    ids = [file.id for file in self._files]
    sizes = files.sizes([file.path for file in self._files])
    splits = _ranges_by_split(self._files)
    # The fingerprint of a folder with one split is that of earlier versions.
    more = [splits] if list(splits) != ["train"] else []
    digest = index_lib.digest(
      [short_side, list(zip(ids, sizes, strict=True)), *more]
    )
    self.index = Index(
      fingerprint=digest,
      request=digest,
      codec="original",
      short_side=short_side,
      num_videos=len(self._files),
      num_frames=None,
      labels=listing.label_names,
      splits=splits,
      shards=(),
      skipped=(),
    )

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, i: int) -> OriginalVideo:
    if not 0 <= i < len(self):
      raise IndexError(f"there is no video {i} among {len(self)}")
    known = self._probes.get(i)
    try:
      video = OriginalVideo(self._files[i], self._short_side, known)
    except StorageError as error:
      raise DataError(str(error)) from error
    if known is None and video.num_frames <= self._room:
      self._room -= video.num_frames
      self._probes[i] = video.probe
    return video

  def __repr__(self) -> str:
    return f"Originals({self._directory}, {self.index.fingerprint[:12]})"


def _ranges_by_split(
  videos: Sequence[VideoFile],
) -> dict[str, list[tuple[int, int]]]:
  """For each split, the ranges `[start, stop)` of the numbers of its videos."""
  ranges: dict[str, list[tuple[int, int]]] = {}
  for number, video in enumerate(videos):
    for split in video.splits:
      of_split = ranges.setdefault(split, [])
      if of_split and of_split[-1][1] == number:
        of_split[-1] = (of_split[-1][0], number + 1)
      else:
        of_split.append((number, number + 1))
  return ranges
