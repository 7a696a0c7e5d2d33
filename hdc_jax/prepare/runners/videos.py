"""Videos to records, in processes that may crash: the same for all runners."""

from collections.abc import Iterator, Sequence

from hdc_jax.data.datasets import VideoFile
from hdc_jax.data.video import codec as codec_lib
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import DataError, HdcError
from hdc_jax.prepare import cutting
from hdc_jax.prepare.shards import Prepared, Skipped
from hdc_jax.runtime.workers import Died, Workers


def prepare_video(
  file: VideoFile,
  codec: str,
  short_side: int,
  deinterlace: bool = False,
  segment: float = 0.0,
) -> Prepared | Skipped:
  """Turns one video file into a record, or several.

  Args:
    file: File of the video.
    codec: Codec of the record, one of `codec.CODECS`.
    short_side: Short side of the frames, in pixels.
    deinterlace: Whether to deinterlace the frames that are interlaced.
    segment: Length of the parts into which a long video is cut, in seconds; 0
      for none.

  Returns:
    The records, or the reason why there are none.

  Raises:
    ConfigError, StorageError: If a bucket fails.
    OSError: If the disk is full, or fails in another way.
  """
  try:
    with Original(
      file.path,
      short_side,
      start=file.start,
      end=file.end,
      deinterlace=deinterlace,
    ) as original:
      encoded = codec_lib.encode_original(original, codec)
      videos = cutting.cut(file, encoded, segment)
      return Prepared(videos, original.picture)
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
  workers: Workers,
  videos: Sequence[VideoFile],
  codec: str,
  short_side: int,
  deinterlace: bool = False,
  segment: float = 0.0,
) -> Iterator[Prepared | Skipped]:
  """Turns video files into records.

  Args:
    workers: Processes from `make_workers`.
    videos: Files of the videos.
    codec: Codec of the records, one of `codec.CODECS`.
    short_side: Short side of the frames, in pixels.
    deinterlace: Whether to deinterlace the frames that are interlaced.
    segment: See `prepare_video`.

  Yields:
    For each file, in order, its records or the reason why there are none, such
    as a crash of the codec.
  """
  results = workers.map(
    (file, codec, short_side, deinterlace, segment) for file in videos
  )
  for file, result in zip(videos, results, strict=True):
    if isinstance(result, Died):
      result = Skipped(file.id, f"{file.path}: the codec crashed on it")
    yield result
