"""Measures how many training clips per second a core of this machine decodes.

From this `plan` estimates how many cores a host needs to feed its chips.
"""

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Generator

import numpy as np

from hdc_jax.data import mixtures, sources
from hdc_jax.data.clips import loader, sampling, training_clips
from hdc_jax.data.options import Clips, Loading
from hdc_jax.data.store import prepared, records
from hdc_jax.data.store.index import Index
from hdc_jax.data.store.shard_files import OneVideo
from hdc_jax.data.synthetic import videos as synthetic
from hdc_jax.data.video import codec
from hdc_jax.runtime import buckets

# The generated video is as long as those of Kinetics-400, and as wide as most.
_FRAMES = 250
_ASPECT = 4 / 3

# Videos of a dataset that are measured with, and how they are read.
_SAMPLE, _BATCH, _THREADS = 64, 16, 2

# The usual short sides of prepared videos in pixels; the first is the default.
_SHORT_SIDES = (128, 256)


def likely_short_side(canvas: int) -> int:
  """The most likely short side of the videos that a canvas is cut from.

  Args:
    canvas: Side of the canvas in pixels.

  Returns:
    Pixels.
  """
  return max((s for s in _SHORT_SIDES if s <= canvas), default=_SHORT_SIDES[0])


def videos_of(path: str, short_side: int) -> tuple[sources.Source, str]:
  """Finds videos to measure with.

  Args:
    path: The dataset to train on; '' if it is not known yet.
    short_side: Short side in pixels of the frames to measure with.

  Returns:
    Videos, and what they are, in words: some of the dataset; or a generated
    one, if the dataset is not known, or is prepared and in a bucket.

  Raises:
    DataError: If there is no such dataset.
  """
  codecs = {
    one: sources.read_index(one).codec for one in mixtures.paths(path) if one
  }
  if path and not any(
    buckets.is_remote(one) and name in codec.CODECS
    for one, name in codecs.items()
  ):
    return sources.sample(path, _SAMPLE, short_side), "videos of the dataset"
  codec_name = next(iter(codecs.values()), "h264")
  return _generate(short_side, codec_name), "a generated video"


def batches_of(
  source: sources.Source, clips: Clips, starts: sampling.Starts, threads: int
) -> Generator[training_clips.Batch, None, None]:
  """Batches out of the training loader, however few videos there are.

  Args:
    source: Videos, which are read again and again until they fill a batch.
    clips: How clips are cut.
    starts: How the method places the clips of a video.
    threads: Threads that decode.
  """
  records = np.resize(np.arange(len(source)), max(len(source), _BATCH))
  cut = training_clips.make_cut(source, clips, records=records, starts=starts)
  return loader.training_batches(
    cut, Loading(threads=threads), batch_size=_BATCH, seed=0
  )


def clips_per_second(
  source: sources.Source,
  clips: Clips,
  starts: sampling.Starts,
  seconds: float,
) -> float:
  """Measures how many training clips per second a core of this machine gives.

  The clips go through the loader, into batches, as in training. They are read
  from memory or the page cache.

  Args:
    source: Videos; those of the dataset, or like them.
    clips: How clips are cut.
    starts: How the method places the clips of a video.
    seconds: CPU time to measure for, in seconds. The time of the cores that
      other processes take does not count.

  Returns:
    Clips per second of CPU time.

  Raises:
    DataError: If the videos cannot be decoded.
  """
  batches = batches_of(source, clips, starts, _THREADS)
  with contextlib.closing(batches):
    next(batches)  # The first one creates the threads and their decoders.
    start, count = time.process_time(), 0
    while (spent := time.process_time() - start) < seconds:
      count += len(next(batches)["y"]) * starts.clips
  return count / spent


def _generate(side: int, codec_name: str) -> prepared.Sample:
  """Generates a video and encodes it as `prepare` does, to a short side."""
  video = synthetic.draw(0, 0, _FRAMES, side, 2 * round(side * _ASPECT / 2))
  with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "video.mp4")
    synthetic.write(video, path)
    encoded = codec.encode(path, codec=codec_name, short_side=side)
  index = Index("", "", codec_name, side, 1, _FRAMES, {}, {}, (), ())
  record, chunks = records.cut("generated", {}, encoded)
  stored = OneVideo(record.to_bytes(), chunks)
  return prepared.Sample(index, stored, "a generated video")


def processor() -> str:
  """The name of this machine's CPU, such as 'AMD EPYC 7B12'."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      names = [line for line in file if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip()
  except (OSError, IndexError):
    return platform.processor() or platform.machine()
