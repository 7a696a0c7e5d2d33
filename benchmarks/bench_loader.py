"""Clips per second that one core cuts out of videos, beside other libraries.

A folder of videos is prepared as H.264 and as raw frames. Clips go through the
training loader from these, and from the original files; other libraries read
the same files, clip by clip: decord, OpenCV, PyAV, TorchCodec, and frames
stored as JPEG. Rows take turns, and rates count the CPU time of the process, so
that other load changes little. What is not installed is left out.
"""

import argparse
import contextlib
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import av
import numpy as np

import hdc_jax
from benchmarks import measure, video_readers
from hdc_jax.data import feeding, sources
from hdc_jax.data.clips import sampling
from hdc_jax.data.options import Clips
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runs.text_table import format_rows
from hdc_jax.runtime import commands

_EXAMPLES = """\
examples:
  All rows, of whole clips and of every fourth frame:
    python -m benchmarks.bench_loader VIDEOS --strides 1 4 --json=loader.json
  How the loader scales from one thread to two:
    python -m benchmarks.bench_loader VIDEOS --rows h264 raw --threads 1 2
  Videos of ten minutes, each made by repeating one of the folder:
    python -m benchmarks.bench_loader VIDEOS --rows h264 raw --minutes=10
"""
OURS = ("h264", "raw", "originals")
ROWS = (*OURS, *video_readers.NAMES)
_STARTS = sampling.IndependentStarts(1)

# Cuts the next clips, and says how many.
Next = Callable[[], int]


def lengthen(path: pathlib.Path, output: pathlib.Path, seconds: float) -> None:
  """Repeats a video until it is as long as is asked for, without decoding.

  Args:
    path: The video file.
    output: The file to write.
    seconds: Least duration, in seconds.
  """
  with av.open(str(path)) as source, av.open(str(output), "w") as target:
    stream: Any = source.streams.video[0]
    copy = target.add_stream_from_template(stream)
    packets: list[Any] = [
      packet for packet in source.demux(stream) if packet.size
    ]
    times = [(packet.pts, packet.dts) for packet in packets]
    ends = [p.pts + (p.duration or 0) for p in packets]
    length = max(ends) - min(pts for pts, _ in times)
    turns = int(np.ceil(seconds / float(length * stream.time_base)))
    for turn in range(turns):
      for packet, (pts, dts) in zip(packets, times, strict=True):
        packet.pts, packet.dts = pts + turn * length, dts + turn * length
        packet.time_base, packet.stream = stream.time_base, copy
        target.mux(packet)


def files_of(folder: str, side: int) -> dict[str, int]:
  """The video files of a folder that can be opened, and their frames.

  Args:
    folder: Folder of videos.
    side: Short side in pixels to which frames are scaled.

  Raises:
    DataError: If there is none.
  """
  source, found = sources.open(folder, side), {}
  for i in range(len(source)):
    with contextlib.suppress(DataError):
      video = source[i]
      found[os.path.join(folder, video.id)] = video.num_frames
  return found


def from_loader(source: sources.Source, clips: Clips, threads: int) -> Next:
  """Clips of a dataset, through the training loader.

  Args:
    source: The dataset.
    clips: How clips are cut.
    threads: Threads that decode.
  """
  batches = feeding.batches_of(source, clips, _STARTS, threads)
  return lambda: len(next(batches)["y"])


def from_files(
  read: video_readers.Reader, files: Mapping[str, int], clips: Clips, side: int
) -> Next:
  """Clips of files, each at a random place of a random file.

  Args:
    read: The reader.
    files: Number of frames by file.
    clips: How clips are cut.
    side: Short side of the frames, in pixels.
  """
  rng = np.random.default_rng(0)
  length = clips.stride * (clips.frames - 1) + 1
  long_enough = {f: n for f, n in files.items() if n >= length}
  if not long_enough:
    raise ConfigError(f"no video has the {length} frames of a clip")

  def next_clip() -> int:
    path = rng.choice(list(long_enough))
    start = int(rng.integers(long_enough[path] - length + 1))
    clip = read(path, range(start, start + length, clips.stride), side)
    assert clip.shape == (clips.frames, side, side, 3), clip.shape
    return 1

  return next_clip


def rates(next_clips: Next, seconds: float) -> tuple[float, float]:
  """Clips per second of CPU time, and per second that passed.

  Args:
    next_clips: Cuts clips.
    seconds: CPU time to measure for, in seconds.
  """
  wall, start, count = time.perf_counter(), time.process_time(), 0
  while (spent := time.process_time() - start) < seconds:
    count += next_clips()
  return count / spent, count / (time.perf_counter() - wall)


def measure_rows(
  rows: Mapping[str, Next], seconds: float, repeats: int
) -> list[dict[str, Any]]:
  """Measures the rows in turn.

  Args:
    rows: What cuts clips, by the name of the row.
    seconds: CPU time of a row in each round, in seconds.
    repeats: Number of rounds.

  Returns:
    For each row its name, the median and the 10th and 90th percentile of
    `clips_per_second_per_core`, and the median by the clock.
  """
  for next_clips in rows.values():
    next_clips()
  found = {name: [] for name in rows}
  for _ in range(repeats):
    for name, next_clips in rows.items():
      found[name].append(rates(next_clips, seconds))
  results = []
  for name, pairs in found.items():
    cpu, wall = np.array(pairs).T
    low, high = np.percentile(cpu, (10, 90))
    results.append(
      {
        "name": name,
        "clips_per_second_per_core": float(np.median(cpu)),
        "clips_per_second_per_core_p10_p90": [float(low), float(high)],
        "clips_per_second": float(np.median(wall)),
      }
    )
  return results


def make_rows(
  options: argparse.Namespace, folder: str, output: pathlib.Path
) -> dict[str, Next]:
  """What cuts clips, by row: its storage, stride and threads.

  Args:
    options: Options of the command.
    folder: Folder of the videos.
    output: Directory for what is made of them.
  """
  files = files_of(folder, options.short_side)
  readers = video_readers.installed()
  rows = {}
  for name in options.rows:
    if name in ("h264", "raw"):
      hdc_jax.prepare(
        "folder",
        output / name,
        source=folder,
        codec=name,
        short_side=options.short_side,
        quiet=True,
      )
    stored = files
    if name == "jpeg" and name in readers:
      stored = {}
      for path, frames in files.items():
        jpegs = str(output / name / os.path.basename(path))
        video_readers.write_jpegs(path, jpegs, options.short_side)
        stored[jpegs] = frames
    for stride in options.strides:
      clips = Clips(
        frames=options.frames, stride=stride, canvas=options.short_side
      )
      if name in OURS:
        place = folder if name == "originals" else str(output / name)
        source = sources.open(place, options.short_side, output / "cache")
        for threads in options.threads:
          label = f"{name}, stride {stride}, threads {threads}"
          rows[label] = from_loader(source, clips, threads)
      elif name in readers:
        stored = files
        if name == "jpeg":
          stored = {
            str(output / name / os.path.basename(f)): n
            for f, n in files.items()
          }
        rows[f"{name}, stride {stride}"] = from_files(
          readers[name], stored, clips, options.short_side
        )
  return rows


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = commands.make_parser(
    "python -m benchmarks.bench_loader", __doc__, _EXAMPLES
  )
  parser.add_argument("videos", metavar="VIDEOS", help="folder of video files")
  for name, default, text in (
    ("short_side", 128, "short side of the frames in pixels"),
    ("frames", 16, "frames per clip"),
    ("repeats", 5, "rounds in which the rows take turns"),
  ):
    parser.add_argument(
      f"--{name}",
      metavar="N",
      type=int,
      default=default,
      help=f"{text}; default {default}",
    )
  for name, default, text in (
    ("strides", [1], "source frames from one frame of a clip to the next"),
    ("threads", [1], "threads of the loader that decode"),
  ):
    parser.add_argument(
      f"--{name}",
      metavar="N",
      type=int,
      nargs="+",
      default=default,
      help=f"{text}; default 1",
    )
  parser.add_argument(
    "--rows",
    metavar="ROW",
    nargs="+",
    choices=ROWS,
    default=list(ROWS),
    help=f"of {', '.join(ROWS)}; default: all that are installed",
  )
  for name, default, text in (
    ("minutes", 0.0, "least duration of a video; 0: as it is"),
    ("seconds", 3.0, "CPU time of a row in a round"),
  ):
    parser.add_argument(
      f"--{name}",
      metavar="N",
      type=float,
      default=default,
      help=f"{text}; default {default:g}",
    )
  parser.add_argument(
    "--json", metavar="FILE", help="file to write the record to"
  )
  return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> None:
  missing = set(options.rows) - {*OURS, *video_readers.installed()}
  with tempfile.TemporaryDirectory() as directory:
    output, folder = pathlib.Path(directory), options.videos
    if options.minutes:
      (output / "long").mkdir()
      for path in files_of(folder, options.short_side):
        name = pathlib.Path(path).with_suffix(".mkv").name
        lengthen(
          pathlib.Path(path), output / "long" / name, 60.0 * options.minutes
        )
      folder = str(output / "long")
    rows = measure_rows(
      make_rows(options, folder, output), options.seconds, options.repeats
    )
  shown = [
    {
      "row": row["name"],
      "clips/s per core": row["clips_per_second_per_core"],
      "clips/s": row["clips_per_second"],
    }
    for row in rows
  ]
  print(f"{options.frames} frames of {options.short_side}², {measure.device()}")
  print(format_rows(shown))
  if missing:
    print(f"not installed, left out: {', '.join(sorted(missing))}")
  record = {
    "rows": rows,
    "left_out": sorted(missing),
    "frames": options.frames,
    "short_side": options.short_side,
    "minutes": options.minutes,
    "device": measure.device(),
    "versions": measure.versions("av", "grain", "array_record"),
  }
  measure.write_json(options.json, record)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


if __name__ == "__main__":
  commands.leave(main())
