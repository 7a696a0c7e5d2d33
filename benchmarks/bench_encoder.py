"""What settings of the encoder cost: bytes, PSNR, time to encode and decode.

Videos are encoded with each combination of settings, and clips of 16 frames are
decoded, out of memory (bare) and through the training loader. Rows take turns,
and times are CPU time of the process, so that other load changes little.
"""

import argparse
import functools
import itertools
import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from etils import epath

from benchmarks import measure
from hdc_jax.data import feeding, sources
from hdc_jax.data.clips import sampling
from hdc_jax.data.datasets.base import Listing, VideoFile
from hdc_jax.data.options import Clips
from hdc_jax.data.store import records
from hdc_jax.data.video import codec, encoder
from hdc_jax.data.video.codec import Encoded
from hdc_jax.data.video.frames import Window
from hdc_jax.data.video.originals import Original, Picture
from hdc_jax.prepare import indexing, shards
from hdc_jax.runs.text_table import format_rows
from hdc_jax.runtime import commands

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_encoder VIDEOS --bframes 0 1 2 3 --gop 16 8
  python -m benchmarks.bench_encoder VIDEOS --preset medium faster veryfast \\
    --crf 20 21 22
"""
_FRAMES = 16  # frames per clip


class Setting(NamedTuple):
  """What differs from one row to the next."""

  preset: str
  crf: str
  bframes: str
  gop: str

  @property
  def options(self) -> dict[str, str]:
    """The options of the encoder; of those given twice, the last one counts."""
    given = encoder.OPTIONS["x264-params"]
    own = f"keyint={self.gop}:min-keyint={self.gop}:bframes={self.bframes}"
    return encoder.OPTIONS | {
      "preset": self.preset,
      "crf": self.crf,
      "x264-params": f"{given}:{own}",
    }


def encode(
  frames: Sequence[np.ndarray], setting: Setting
) -> tuple[Encoded, float]:
  """Encodes frames.

  Args:
    frames: The frames, uint8 `[3·H/2, W]` each, as `Original.frames` has them.
    setting: Settings of the encoder.

  Returns:
    The video, and the CPU time that it took, in seconds.
  """
  start = time.process_time()
  with mock.patch.object(encoder, "OPTIONS", setting.options):
    encoded = codec.encode_frames(iter(frames), "h264", fps=25.0)
  return encoded, time.process_time() - start


def psnr(frames: Sequence[np.ndarray], encoded: Encoded) -> float:
  """Mean over frames of the PSNR of luma, in dB.

  Args:
    frames: The frames that were encoded.
    encoded: The video.
  """
  window = Window(0, 0, encoded.height, encoded.width)
  shown = codec.decode(encoded, range(len(frames)), window).y
  luma = np.stack([frame[: encoded.height] for frame in frames])
  errors = np.square(luma.astype(np.float32) - shown).mean(axis=(1, 2))
  return float(np.mean(10 * np.log10(255**2 / errors.clip(1e-9))))


def write(directory: pathlib.Path, videos: Sequence[Encoded]) -> sources.Source:
  """Writes a dataset of one shard.

  Args:
    directory: Directory of the dataset.
    videos: Its videos.
  """
  names = [f"{i:06d}" for i in range(len(videos))]
  listing = Listing([VideoFile(n, n, {}, ("train",)) for n in names], {})
  (plan,) = shards.plan(listing, {}, 1)
  prepared = [
    shards.Prepared(
      [records.cut(name, {}, video)], Picture(video.width, video.height, False)
    )
    for name, video in zip(names, videos, strict=True)
  ]
  indexing.combine(
    [shards.write(epath.Path(directory), plan, prepared)],
    request="",
    codec="h264",
    short_side=min(videos[0].height, videos[0].width),
    listing=listing,
  ).save(directory)
  return sources.sample(directory, len(videos))


def bare(videos: Sequence[Encoded], stride: int, seconds: float) -> float:
  """Decodes clips out of memory, always at the same random places.

  Args:
    videos: The videos.
    stride: Frames of the video from one frame of a clip to the next.
    seconds: Least CPU time, in seconds.

  Returns:
    Clips per second of CPU time.
  """
  rng, span = np.random.default_rng(0), stride * (_FRAMES - 1) + 1
  long_enough = [video for video in videos if video.num_frames >= span]
  start, count = time.process_time(), 0
  while (spent := time.process_time() - start) < seconds:
    for video in long_enough:
      first = int(rng.integers(video.num_frames - span + 1))
      side = min(video.height, video.width)
      frames = range(first, first + span, stride)
      codec.decode(video, frames, Window(0, 0, side, side))
    count += len(long_enough)
  return count / spent


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = commands.make_parser(
    "python -m benchmarks.bench_encoder", __doc__, _EXAMPLES
  )
  add = parser.add_argument
  add("videos", metavar="VIDEOS", nargs="+", help="video files")
  for name, default, text in (
    ("preset", encoder.OPTIONS["preset"], "presets of x264"),
    ("crf", encoder.OPTIONS["crf"], "qualities of x264"),
    ("bframes", "3", "disposable frames after another one"),
    ("gop", str(encoder.GOP), "frames from one keyframe to the next"),
  ):
    add(
      f"--{name}",
      metavar="X",
      nargs="+",
      default=[default],
      help=f"{text}; default {default}",
    )
  for name, default, text in (
    ("short_side", 128, "short side of the frames in pixels"),
    ("most", 144, "frames that are read of a video"),
    ("repeats", 7, "rounds in which the rows take turns"),
  ):
    add(
      f"--{name}",
      metavar="N",
      type=int,
      default=default,
      help=f"{text}; default {default}",
    )
  add(
    "--strides",
    metavar="N",
    type=int,
    nargs="+",
    default=[1, 2, 4],
    help="source frames from one frame of a clip to the next; default 1 2 4",
  )
  add(
    "--seconds",
    metavar="S",
    type=float,
    default=0.5,
    help="CPU time of a row in a round; default 0.5",
  )
  add("--json", metavar="FILE", help="file to write the record to")
  return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> None:
  videos = []
  for path in options.videos:
    with Original(path, options.short_side) as original:
      frames = itertools.islice(original.frames(), options.most)
      videos.append([frame.copy() for frame in frames])
  count = sum(map(len, videos))
  settings = [
    Setting(*each)
    for each in itertools.product(
      options.preset, options.crf, options.bframes, options.gop
    )
  ]
  rows, timed = [], {}
  with tempfile.TemporaryDirectory() as directory:
    for number, setting in enumerate(settings):
      made = [encode(frames, setting) for frames in videos]
      encoded = [video for video, _ in made]
      quality = [psnr(*pair) for pair in zip(videos, encoded, strict=True)]
      rows.append(
        setting._asdict()
        | {
          "encode": sum(seconds for _, seconds in made),
          "bytes": sum(len(video.packets) for video in encoded) / count,
          "psnr": float(np.mean(quality)),
          "least": min(quality),
        }
      )
      source = write(pathlib.Path(directory) / str(number), encoded)
      for stride in options.strides:
        clips = Clips(frames=_FRAMES, stride=stride, canvas=options.short_side)
        timed[number, stride, "bare"] = functools.partial(
          bare, encoded, stride, options.seconds
        )
        timed[number, stride, "loader"] = functools.partial(
          feeding.clips_per_second,
          source,
          clips,
          sampling.IndependentStarts(1),
          options.seconds,
        )
    rates: dict[Any, list[float]] = {key: [] for key in timed}
    for _ in range(options.repeats):
      for key, run in timed.items():
        rates[key].append(run())
  for (number, stride, kind), each in rates.items():
    rows[number][f"{kind} ×{stride}"] = 1e3 / float(np.median(each))
  print(
    f"{len(videos)} videos, {count} frames of short side "
    f"{options.short_side}; seconds to encode, bytes a frame, dB, and ms of "
    f"CPU time a clip by stride; {measure.device()}"
  )
  print(format_rows(rows))
  measure.write_json(
    options.json,
    {
      "rows": rows,
      "frames": count,
      "short_side": options.short_side,
      "device": measure.device(),
      "versions": measure.versions("av", "grain", "array_record"),
    },
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


if __name__ == "__main__":
  commands.leave(main())
