"""Prepares videos for training: original files in, ArrayRecord shards out."""

import argparse
import itertools
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence

from etils import epath

from hdc_jax.data import codec as codec_lib
from hdc_jax.data import h264, records, shards, summary
from hdc_jax.data.datasets import DATASETS, Request, VideoFile, layouts
from hdc_jax.data.records import Index, Record
from hdc_jax.data.shards import Plan, Sidecar, Skipped
from hdc_jax.errors import DataError, HdcError
from hdc_jax.progress import Progress
from hdc_jax.workers import Died, Workers

_INTERRUPTED = 130  # the shell's code for a process that Ctrl-C ended

_HELP = """\
Every video is decoded once, turned upright, scaled to --short_side and stored
as H.264 from which a training clip of 16 frames can be cut in about 2 ms.

Interrupted or killed, it goes on at the first shard that is not finished when
run again. Run again on a complete dataset, it does nothing; if some of the
files have changed, it makes only the shards they are in. Videos that cannot be
used are left out and named at the end and in index.json.

examples:
  # eight motions in front of eight scenes, generated: something to try
  python -m hdc_jax.prepare --dataset=synthetic --output=runs/demo/data

  # your own videos; sub-folders, if there are any, are the classes
  python -m hdc_jax.prepare --dataset=folder --source=~/videos --output=data

  # a published dataset, all its splits at once
  python -m hdc_jax.prepare --dataset=ucf101 --source=~/UCF-101 \\
    --splits=~/ucfTrainTestlist --output=data

  # twice the resolution, all cores, few large shards
  python -m hdc_jax.prepare --dataset=folder --source=~/videos --output=data \\
    --short_side=256 --shards=16

what has to lie where, by dataset:
"""


def prepare_video(
  file: VideoFile, codec: str, short_side: int
) -> bytes | Skipped:
  """Turns one video file into a record.

  Args:
    file: the video.
    codec: 'h264' or 'raw'.
    short_side: of the frames, in pixels.

  Returns:
    The serialized record, or the reason why there is none.
  """
  try:
    encoded = codec_lib.encode(file.path, codec=codec, short_side=short_side)
    return Record(file.id, file.labels, encoded).to_bytes()
  except DataError as error:
    return Skipped(file.id, str(error))
  except Exception as error:  # one strange file must not end a run of days
    return Skipped(file.id, f"{file.path}: {error!r}")


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  options = _parse(argv)
  for stream in (sys.stdout, sys.stderr):  # names of files may not be UTF-8
    stream.reconfigure(errors="backslashreplace")
  try:
    _prepare(options)
  except (HdcError, OSError) as error:  # OSError: a disk full, no permission
    if options.debug:
      traceback.print_exc()
    print(f"error: {error}", file=sys.stderr)
    return getattr(error, "exit_code", DataError.exit_code)
  except KeyboardInterrupt as interrupt:
    print("interrupted", *interrupt.args, sep=": ", file=sys.stderr)
    return _INTERRUPTED
  return 0


def _prepare(options: argparse.Namespace) -> None:
  """Lists the videos, makes the shards that are missing, writes the index."""
  start = time.monotonic()
  codec_lib.check_settings(options.codec, options.short_side)
  directory = epath.Path(options.output)
  asked = Request(
    source=options.source,
    splits=options.splits,
    output=options.output,
    videos=options.videos,
    seed=options.seed,
    workers=options.workers,
  )
  dataset = DATASETS[options.dataset]
  dataset.check(asked)
  listing = dataset.list_videos(asked)
  settings = {
    "codec": options.codec,
    "short_side": options.short_side,
    "encoder": h264.ENCODER_VERSION,
  }
  plans = shards.plan(listing, settings, options.shards)
  request = shards.request_digest(plans, listing)
  if _is_prepared(directory, request):
    print(f"already prepared: {directory}")
    return
  directory.mkdir(parents=True, exist_ok=True)
  # From here to the end the directory is not a dataset.
  (directory / records.INDEX).unlink(missing_ok=True)
  sidecars, made = _make_shards(directory, plans, options)
  videos = sum(sidecar.shard.videos for sidecar in sidecars)
  if not videos:
    skipped = [s for sidecar in sidecars for s in sidecar.skipped]
    raise DataError(
      f"no usable videos in {options.source or directory}: none of "
      f"{len(skipped)} can be read; the first: {skipped[0].reason}"
    )
  index = shards.combine(
    sidecars,
    request=request,
    codec=options.codec,
    short_side=options.short_side,
    listing=listing,
  )
  for why, which in listing.left_out.items():
    lines = "".join(f"{name}\n" for name in which)
    (directory / f"{why}.txt").write_text(lines, encoding="utf-8")
  index.save(directory)
  shards.remove_others(directory, index)
  print(summary.describe(directory, index, sidecars))
  seconds = time.monotonic() - start
  print(f"  {made:,} videos read in {seconds:.1f} s ({made / seconds:.3g}/s)")


def _is_prepared(directory: epath.Path, request: str) -> bool:
  try:
    index = Index.load(directory)
    index.check_shards(directory)
  except DataError:
    return False
  return index.request == request


def _make_shards(
  directory: epath.Path, plans: Sequence[Plan], options: argparse.Namespace
) -> tuple[list[Sidecar], int]:
  """Makes the shards that are not finished.

  Returns:
    The sidecars of all shards, and the number of videos that were read.
  """
  done = {plan.name: shards.finished(directory, plan) for plan in plans}
  missing = [plan for plan in plans if done[plan.name] is None]
  total = sum(len(plan.files) for plan in plans)
  if len(missing) < len(plans):
    print(f"{len(plans) - len(missing)} of {len(plans)} shards are finished")
  files = [file for plan in missing for file in plan.files]
  try:
    with (
      Progress(total, "videos", "preparing", total - len(files)) as progress,
      Workers(prepare_video, options.workers) as workers,
    ):
      results = workers.map(
        (file, options.codec, options.short_side) for file in files
      )
      results = _watch(results, files, progress)
      for plan in missing:
        done[plan.name] = shards.write(
          directory, plan, itertools.islice(results, len(plan.files))
        )
  except KeyboardInterrupt:
    finished = len(plans) - sum(sidecar is None for sidecar in done.values())
    raise KeyboardInterrupt(
      f"{finished} of {len(plans)} shards are finished; run the same command "
      "again to make the rest"
    ) from None
  return [done[plan.name] for plan in plans], len(files)


def _watch(
  results: Iterable[bytes | Skipped | Died],
  files: Sequence[VideoFile],
  progress: Progress,
) -> Iterator[bytes | Skipped]:
  """Passes results on, counts them and gives the dead a name."""
  skipped = 0
  for file, result in zip(files, results, strict=True):
    if isinstance(result, Died):
      result = Skipped(file.id, f"{file.path}: the codec crashed on it")
    skipped += isinstance(result, Skipped)
    progress.update(skipped=skipped)
    yield result


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    prog="python -m hdc_jax.prepare",
    description=__doc__,
    epilog=_HELP + layouts(),
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = parser.add_argument
  add("--dataset", required=True, choices=sorted(DATASETS))
  add(
    "--source",
    metavar="DIR",
    type=os.path.expanduser,
    help="where the video files are (synthetic: where to generate them, by "
    "default OUTPUT/videos)",
  )
  add(
    "--splits",
    metavar="DIR",
    type=os.path.expanduser,
    help="where the official split files are, for datasets that have some",
  )
  add(
    "--output",
    metavar="DIR",
    type=os.path.expanduser,
    required=True,
    help="where the prepared dataset goes",
  )
  add(
    "--codec",
    default="h264",
    choices=codec_lib.CODECS,
    help="h264 (about 1 KB a frame) or raw (exact; thirty times that); "
    "default: %(default)s",
  )
  add(
    "--short_side",
    metavar="PIXELS",
    type=int,
    default=128,
    help="of the stored frames; training crops are taken from these; "
    "default: %(default)s",
  )
  add(
    "--shards",
    metavar="N",
    type=_positive,
    help="files to write; give at least as many as hosts will read them; "
    f"default: one for {shards.VIDEOS_PER_SHARD} videos, "
    f"{shards.MAX_SHARDS} at most",
  )
  add(
    "--workers",
    metavar="N",
    type=_positive,
    default=os.cpu_count(),
    help="processes; default: one for each core, here %(default)s",
  )
  add(
    "--videos",
    metavar="N",
    type=_positive,
    default=640,
    help="synthetic: how many to generate; default: %(default)s",
  )
  add(
    "--seed",
    metavar="S",
    type=int,
    default=0,
    help="synthetic: another seed, other videos; default: %(default)s",
  )
  add("--debug", action="store_true", help="show a traceback with an error")
  return parser.parse_args(argv)


def _positive(text: str) -> int:
  number = int(text)
  if number < 1:
    raise argparse.ArgumentTypeError(f"{text} must be at least 1")
  return number


if __name__ == "__main__":
  sys.exit(main())
