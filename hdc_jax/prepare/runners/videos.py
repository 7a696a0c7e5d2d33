"""Videos to records, in processes that may crash: the same for all runners."""

from collections.abc import Iterator, Sequence

from hdc_jax.data.datasets import VideoFile
from hdc_jax.data.store.records import Record
from hdc_jax.data.video import codec as codec_lib
from hdc_jax.errors import DataError, HdcError
from hdc_jax.prepare.shards import Skipped
from hdc_jax.runtime.workers import Died, Workers


def prepare_video(
  file: VideoFile, codec: str, short_side: int
) -> bytes | Skipped:
  """Turns one video file into a record.

  Args:
    file: File of the video.
    codec: Codec of the record, one of `codec.CODECS`.
    short_side: Short side of the frames, in pixels.

  Returns:
    The serialized record, or the reason why there is none.

  Raises:
    ConfigError, StorageError: If a bucket fails.
    OSError: If the disk is full, or fails in another way.
  """
  try:
    encoded = codec_lib.encode(file.path, codec=codec, short_side=short_side)
    record = Record(file.id, file.labels, encoded, file.tags, file.group)
    return record.to_bytes()
  except DataError as error:
    return Skipped(file.id, str(error))
  except (HdcError, OSError):
    raise
  except Exception as error:  # one strange file must not end a run of days
    return Skipped(file.id, f"{file.path}: {error!r}")


def make_workers(processes: int) -> Workers:
  """Creates the processes for `prepare_videos`; none is started yet."""
  return Workers(prepare_video, processes)


def prepare_videos(
  workers: Workers, videos: Sequence[VideoFile], codec: str, short_side: int
) -> Iterator[bytes | Skipped]:
  """Turns video files into records.

  Args:
    workers: Processes from `make_workers`.
    videos: Files of the videos.
    codec: Codec of the records, one of `codec.CODECS`.
    short_side: Short side of the frames, in pixels.

  Yields:
    For each video, in order, the serialized record or the reason why there is
    none, such as a crash of the codec.
  """
  results = workers.map((file, codec, short_side) for file in videos)
  for file, result in zip(videos, results, strict=True):
    if isinstance(result, Died):
      result = Skipped(file.id, f"{file.path}: the codec crashed on it")
    yield result
