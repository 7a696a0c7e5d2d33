"""Reading of prepared datasets: videos by record number."""

import os

from array_record.python.array_record_data_source import ArrayRecordDataSource
from etils import epath

from hdc_jax.data.store import cache as cache_lib
from hdc_jax.data.store import records
from hdc_jax.data.store.index import Index
from hdc_jax.data.store.records import Record
from hdc_jax.data.video import codec
from hdc_jax.data.video.frames import Frames, Indices, Window
from hdc_jax.errors import DataError


class RecordVideo:
  """A video of a prepared dataset, see `sources.Video`."""

  def __init__(self, record: Record) -> None:
    """Makes a video of a record.

    Args:
      record: The record, whose frames stay encoded until they are read.
    """
    self.id, self.labels = record.id, record.labels
    self.tags, self.group = record.tags, record.group
    self._encoded = record.encoded
    self.num_frames = record.encoded.num_frames
    self.fps = record.encoded.fps
    self.height, self.width = record.encoded.height, record.encoded.width

  def read(self, indices: Indices, window: Window) -> Frames:
    """Decodes frames, see `sources.Video.read`."""
    try:
      return codec.decode(self._encoded, indices, window)
    except DataError as error:
      raise DataError(f"{self.id}: {error}") from error

  def label(self, name: str, frame: int) -> int:
    """Returns the class at a frame, see `sources.Video.label`."""
    return records.find_label(self.id, self.labels, name, frame)


class PreparedDataset:
  """A prepared dataset, see `sources.Source`."""

  def __init__(self, directory: epath.Path, cache: epath.PathLike) -> None:
    """Opens a dataset; one in a bucket is copied to the cache first.

    Args:
      directory: Directory that `prepare` wrote, on a disk or in a bucket.
      cache: Local directory for copies of datasets in buckets.

    Raises:
      DataError: If the index or a shard is missing or damaged.
      StorageError: If a bucket fails.
    """
    self.index = Index.load(directory)
    directory = cache_lib.copy_if_remote(directory, self.index, cache)
    self.index.check_shards(directory)
    self._directory = os.fspath(directory)
    # The ranges of records are given, so no shard is opened before it is read.
    self._records = ArrayRecordDataSource(
      [
        os.fspath(directory / f"{shard.name}[0:{shard.videos}]")
        for shard in self.index.shards
      ]
    )

  def __len__(self) -> int:
    return self.index.num_videos

  def __getitem__(self, i: int) -> RecordVideo:
    if not 0 <= i < len(self):
      raise IndexError(f"there is no video {i} among {len(self)}")
    try:
      return RecordVideo(Record.from_bytes(self._records[i]))
    except (DataError, ValueError, RuntimeError) as error:
      raise DataError(f"{self._directory}: record {i}: {error}") from error

  def __repr__(self) -> str:
    return f"Prepared({self._directory}, {self.index.fingerprint[:12]})"
