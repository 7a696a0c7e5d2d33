"""A dataset of many shards in a stand-in for an object store.

One real shard is written, and served under the names of all: the index, the
order and the loader see all videos, and the store reads real bytes. Each row is
a process of its own, which opens the dataset, makes the order, and takes
batches at the pace of a device. Its batches are compared with those of a local
dataset whose shards are links to that one.
"""

import argparse
import dataclasses
import hashlib
import itertools
import json
import multiprocessing
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from etils import epath

from benchmarks import measure, object_store
from hdc_jax.data import lanes, sources
from hdc_jax.data.clips import loader, sampling, training_clips
from hdc_jax.data.datasets.base import Listing, VideoFile
from hdc_jax.data.options import Clips, Loading
from hdc_jax.data.store import records
from hdc_jax.data.store.index import INDEX, Index, Shard
from hdc_jax.data.video import codec
from hdc_jax.data.video.originals import Picture
from hdc_jax.errors import ConfigError
from hdc_jax.prepare import indexing, shards
from hdc_jax.runs.text_table import format_rows
from hdc_jax.runtime import commands

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_scale VIDEO VIDEO --clips=1 --json=scale.json
"""

_REMOTE = "s3://b/data"
_CLIPS = Clips(frames=16, canvas=128)
_MIB = 1 << 20


def write(
  directory: pathlib.Path, paths: Sequence[str], videos: int, seconds: float
) -> tuple[Index, pathlib.Path]:
  """Writes a shard of videos of one length, which repeat others.

  Args:
    directory: Directory to write to.
    paths: Video files, of which the videos are made in turn.
    videos: Number of videos in the shard.
    seconds: Least length of a video, in seconds.

  Returns:
    The index of a dataset of this shard alone, and the path of the shard.
  """
  made = []
  for path in paths:
    encoded = codec.encode(path, short_side=_CLIPS.canvas)
    record, chunks = records.cut("", {}, encoded)
    frames = min(record.chunk_frames, encoded.num_frames)
    whole = encoded.num_frames // frames
    times = -(-int(seconds * encoded.fps) // (whole * frames))
    record = dataclasses.replace(
      record, num_frames=whole * frames * times, chunk_frames=frames
    )
    picture = Picture(encoded.width, encoded.height, interlaced=False)
    made.append((record, chunks[:whole] * times, picture))
  ids = [f"{i:07d}" for i in range(videos)]
  listing = Listing([VideoFile(i, i, {}, ("train",)) for i in ids], {})
  (plan,) = shards.plan(listing, {}, 1)

  def prepared() -> Iterator[shards.Prepared]:
    for i, each in zip(ids, itertools.cycle(made), strict=False):
      record, chunks, picture = each
      record = dataclasses.replace(record, id=i)
      yield shards.Prepared([(record, chunks)], picture)

  sidecar = shards.write(epath.Path(directory), plan, prepared())
  index = indexing.combine(
    [sidecar],
    request="",
    codec="h264",
    short_side=_CLIPS.canvas,
    listing=listing,
  )
  return index, directory / plan.name


def many(index: Index, count: int) -> Index:
  """The index of a dataset of many shards like the one of another dataset."""
  (shard,) = index.shards
  named = [
    dataclasses.replace(
      shard, name=f"shard-{i:05d}-of-{count:05d}.array_record"
    )
    for i in range(count)
  ]
  total = count * shard.videos
  return dataclasses.replace(
    index, shards=named, num_videos=total, splits={"train": [(0, total)]}
  )


def link(directory: pathlib.Path, index: Index, shard: pathlib.Path) -> None:
  """Makes a local dataset, whose shards are links to one."""
  directory.mkdir()
  for each in index.shards:
    (directory / each.name).symlink_to(shard)
  index.save(directory)


@dataclasses.dataclass(frozen=True)
class Row:
  """How batches are read.

  Attributes:
    name: Name of the row.
    path: The dataset.
    share: What the host that is measured has of the batches.
    batch: Videos of a batch of this host.
    clips: Clips of a video.
    steps: Batches that are timed, after the first ones.
    seconds: Time of a step of the device; 0 for none.
    threads: Threads that decode.
  """

  name: str
  path: str
  share: lanes.Share
  batch: int
  clips: int
  steps: int
  seconds: float
  threads: int

  def read(self) -> dict[str, Any]:
    """Opens the dataset and takes the batches; returns what was measured."""
    object_store.use()
    before, start = _memory(), time.perf_counter()
    source = sources.open(self.path, access="stream", share=self.share)
    opened, index_memory = time.perf_counter() - start, _memory() - before
    cut = training_clips.make_cut(
      source,
      _CLIPS,
      records=source.index.split("train"),
      starts=sampling.IndependentStarts(self.clips),
    )
    batches = loader.training_batches(
      cut,
      Loading(threads=self.threads),
      batch_size=self.batch * self.share.process_count,
      seed=0,
      process_index=self.share.process_index,
      process_count=self.share.process_count,
      lanes=self.share.lanes,
    )
    ordered, order_memory = time.perf_counter() - start, _memory() - before
    digests = [_digest(next(batches))]
    first = time.perf_counter() - start
    for _ in range(2):
      digests.append(_digest(next(batches)))  # Read ahead before is not timed.
    waited, begin = 0.0, time.perf_counter()
    for _ in range(self.steps):
      time.sleep(self.seconds)
      asked = time.perf_counter()
      batch = next(batches)
      waited += time.perf_counter() - asked
      digests.append(_digest(batch))
    spent = time.perf_counter() - begin
    batches.close()
    return {
      "name": self.name,
      "open_seconds": opened,
      "index_mib": index_memory / _MIB,
      "order_seconds": ordered - opened,
      "order_mib": order_memory / _MIB,
      "first_batch_seconds": first,
      "memory_mib": (_memory() - before) / _MIB,
      "step_seconds": self.seconds,
      "videos_per_second": self.batch * self.steps / spent,
      "data_wait": waited / spent,
      "requests": object_store.Store.requests,
      "opening_bytes": object_store.Store.opening,
      "record_bytes": object_store.Store.received - object_store.Store.opening,
      "digests": digests,
    }


def _memory() -> int:
  """Bytes of memory that this process has."""
  with open("/proc/self/statm", encoding="ascii") as file:
    return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _digest(batch: training_clips.Batch) -> str:
  """The SHA-256 of everything in a batch."""
  content = b"".join(batch[name].tobytes() for name in sorted(batch))
  return hashlib.sha256(content).hexdigest()


def _send(row: Row, result: Any) -> None:
  result.send(row.read())


def apart(row: Row) -> dict[str, Any]:
  """Reads a row in a process of its own."""
  here, there = multiprocessing.Pipe()
  context = multiprocessing.get_context("spawn")
  process = context.Process(target=_send, args=(row, there))
  process.start()
  there.close()
  try:
    return here.recv()
  except EOFError:
    raise ConfigError(f"{row.name}: see the error above") from None
  finally:
    process.join()


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = commands.make_parser(
    "python -m benchmarks.bench_scale", __doc__, _EXAMPLES
  )
  add = parser.add_argument
  add("paths", metavar="VIDEO", nargs="+", help="video files")
  for name, kind, default, text in (
    ("videos", int, 20_000_000, "videos of the dataset"),
    ("shards", int, 4096, "its shards"),
    ("seconds", float, 10.0, "length of a video"),
    ("hosts", int, 64, "hosts and lanes of the second row"),
    ("batch", int, 64, "videos of a batch of a host"),
    ("clips", int, 2, "clips of a video"),
    ("steps", int, 30, "batches that are timed"),
    ("load", float, 0.5, "pace of the device, by that of the local loader"),
    ("threads", int, 4, "threads that decode"),
    ("latency", float, 0.04, "seconds before the store answers"),
    ("errors", float, 0.01, "share of its answers that are errors"),
    ("limit", float, 1000.0, "requests a second that it serves"),
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


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
  """Measures all rows; see `main`."""
  videos = options.videos // options.shards
  faults = object_store.Faults(options.latency, options.errors, options.limit)
  whole, host = lanes.ALL, lanes.Share(options.hosts, 0, options.hosts)
  rows: list[dict[str, Any]] = []
  with tempfile.TemporaryDirectory() as folder:
    directory = pathlib.Path(folder)
    one, shard = write(directory, options.paths, videos, options.seconds)
    index = many(one, options.shards)
    local = directory / "local"
    link(local, index, shard)
    content = (local / INDEX).read_bytes()

    def row(name: str, path: str, share: lanes.Share, pace: float) -> Row:
      return Row(
        name,
        path,
        share,
        options.batch,
        options.clips,
        options.steps,
        pace,
        options.threads,
      )

    with object_store.serving(str(shard), content, faults):
      for name, share in (("all videos", whole), ("a host's lanes", host)):
        near = apart(row(f"{name}, local", str(local), share, 0.0))
        pace = options.batch / (options.load * near["videos_per_second"])
        far = apart(row(f"{name}, streamed", _REMOTE, share, pace))
        _compare(near, far, index.shards[0], options)
        rows += [near, far]
  return rows


def _compare(
  near: dict[str, Any],
  far: dict[str, Any],
  shard: Shard,
  options: argparse.Namespace,
) -> None:
  """Adds what the streamed row has in common with the local one."""
  far["equal"] = near.pop("digests") == far.pop("digests")
  # Some more videos were read ahead, so that the share is a little less.
  videos = (options.steps + 3) * options.batch
  far["share_of_bytes"] = (
    far["record_bytes"] * shard.videos / (videos * shard.bytes)
  )


def _run(options: argparse.Namespace) -> None:
  rows = measured(options)
  shown = [
    {
      "row": row["name"],
      "s to open": row["open_seconds"],
      "s to order": row["order_seconds"],
      "MiB then": row["order_mib"],
      "s to 1st batch": row["first_batch_seconds"],
      "MiB at the end": row["memory_mib"],
      "videos/s": row["videos_per_second"],
      "data wait, %": 100 * row["data_wait"],
      "bytes, %": 100 * row.get("share_of_bytes", np.nan),
    }
    for row in rows
  ]
  print(f"{options.videos:,} videos, {measure.device()}")
  print(format_rows(shown))
  for row in rows:
    if "equal" in row:
      equal = "equal to" if row["equal"] else "OTHER THAN"
      answers = json.dumps(row["requests"])
      print(
        f"{row['name']}: batches {equal} local ones; answers {answers}; "
        f"{row['opening_bytes'] / _MIB:,.0f} MiB to open shards"
      )
  measure.write_json(
    options.json,
    {
      "rows": rows,
      **{k: v for k, v in vars(options).items() if k not in ("json", "paths")},
      "device": measure.device(),
      "versions": measure.versions("av", "grain", "array_record", "fsspec"),
    },
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


if __name__ == "__main__":
  commands.leave(main())
