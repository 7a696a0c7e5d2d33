"""CPU time of a clip, by the length of the video that it is cut out of.

A video is encoded once, and repeated to each length, in a dataset of its own.
Clips go through the training loader, as in `bench_loader`; rows take turns.
"""

import argparse
import dataclasses
import pathlib
import tempfile
from collections.abc import Sequence

from etils import epath

from benchmarks import bench_loader, measure
from hdc_jax.data import sources
from hdc_jax.data.datasets.base import Listing, VideoFile
from hdc_jax.data.options import Clips
from hdc_jax.data.store import records
from hdc_jax.data.video import codec as codec_lib
from hdc_jax.data.video.codec import Encoded
from hdc_jax.data.video.originals import Picture
from hdc_jax.prepare import indexing, shards
from hdc_jax.runs.text_table import format_rows
from hdc_jax.runtime import commands

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_length VIDEO --seconds 10 200 600 7200
"""


def write(
  directory: pathlib.Path, encoded: Encoded, seconds: float
) -> sources.Source:
  """Writes a dataset of one video, which repeats another one.

  Args:
    directory: Directory of the dataset.
    encoded: The video, of which a last chunk that is not full is left out.
    seconds: Least length, in seconds.
  """
  record, chunks = records.cut("video", {}, encoded)
  per_chunk = min(record.chunk_frames, encoded.num_frames)
  whole = encoded.num_frames // per_chunk
  times = -(-int(seconds * encoded.fps) // (whole * per_chunk))
  listing = Listing([VideoFile("video", "video", {}, ("train",))], {})
  (plan,) = shards.plan(listing, {}, 1)
  prepared = shards.Prepared(
    [
      (
        dataclasses.replace(
          record, num_frames=whole * per_chunk * times, chunk_frames=per_chunk
        ),
        chunks[:whole] * times,
      )
    ],
    Picture(encoded.width, encoded.height, interlaced=False),
  )
  indexing.combine(
    [shards.write(epath.Path(directory), plan, [prepared])],
    request="",
    codec=encoded.codec,
    short_side=min(encoded.height, encoded.width),
    listing=listing,
  ).save(directory)
  return sources.sample(directory, 1)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = commands.make_parser(
    "python -m benchmarks.bench_length", __doc__, _EXAMPLES
  )
  add = parser.add_argument
  add("video", metavar="VIDEO", help="a video file")
  add(
    "--seconds",
    metavar="S",
    type=float,
    nargs="+",
    default=[10.0, 200.0, 600.0],
    help="lengths to which it is repeated; default 10 200 600",
  )
  add(
    "--codecs",
    nargs="+",
    choices=codec_lib.CODECS,
    default=codec_lib.CODECS,
    help="codecs of the records; default: all",
  )
  for name, kind, default, text in (
    ("short_side", int, 128, "short side of the frames in pixels"),
    ("frames", int, 16, "frames per clip"),
    ("stride", int, 1, "source frames from one frame of a clip to the next"),
    ("repeats", int, 5, "rounds in which the rows take turns"),
    ("round", float, 1.0, "CPU time of a row in a round, in seconds"),
  ):
    add(
      f"--{name}",
      metavar="N",
      type=kind,
      default=default,
      help=f"{text}; default {default:g}",
    )
  add("--json", metavar="FILE", help="file to write the record to")
  return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> None:
  clips = Clips(
    frames=options.frames, stride=options.stride, canvas=options.short_side
  )
  rows = {}
  with tempfile.TemporaryDirectory() as directory:
    for codec in options.codecs:
      encoded = codec_lib.encode(
        options.video, codec=codec, short_side=options.short_side
      )
      for seconds in options.seconds:
        name = f"{codec}, {seconds:g} s"
        source = write(pathlib.Path(directory) / name, encoded, seconds)
        rows[name] = bench_loader.from_loader(source, clips, threads=1)
    measured = bench_loader.measure_rows(rows, options.round, options.repeats)
  for row in measured:
    low, high = row.pop("clips_per_second_per_core_p10_p90")
    row.pop("clips_per_second")
    row["ms_per_clip"] = 1e3 / row["clips_per_second_per_core"]
    row["ms_per_clip_p10_p90"] = [1e3 / high, 1e3 / low]
  shown = [
    {"row": row["name"], "ms of CPU time a clip": row["ms_per_clip"]}
    for row in measured
  ]
  print(f"{options.frames} frames, stride {options.stride}, {measure.device()}")
  print(format_rows(shown))
  measure.write_json(
    options.json,
    {
      "rows": measured,
      "frames": options.frames,
      "stride": options.stride,
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
