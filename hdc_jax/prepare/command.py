"""Prepares videos for training: original files in, ArrayRecord shards out."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from etils import epath

from hdc_jax.data.datasets import DATASETS, Request
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.store.index import Index
from hdc_jax.data.video import codec as codec_lib
from hdc_jax.data.video import h264
from hdc_jax.errors import DataError, HdcError
from hdc_jax.prepare import arguments, runners, shards, summary
from hdc_jax.prepare.shards import Plan, Sidecar
from hdc_jax.runtime import buckets, files
from hdc_jax.runtime.progress import Progress

_INTERRUPTED = 130  # the shell's code for a process that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  options = arguments.parse(argv)
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
  make_shards = runners.load(options.runner, options.runner_options)
  for path in filter(None, (options.source, options.splits, options.output)):
    buckets.check_access(path)
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
  # From here to the end the directory is not a dataset.
  index_lib.mark_unfinished(directory)
  files.remove(directory / index_lib.INDEX)
  sidecars, made = _make_shards(directory, plans, make_shards, options)
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
    files.write(directory / f"{why}.txt", lines.encode())
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
  directory: epath.Path,
  plans: Sequence[Plan],
  make_shards: Callable[[runners.Job, Progress], None],
  options: argparse.Namespace,
) -> tuple[list[Sidecar], int]:
  """Makes the shards that are not finished.

  Returns:
    The sidecars of all shards, and the number of videos that were read.
  """
  done = shards.finished(directory, plans)
  missing = [p for p, s in zip(plans, done, strict=True) if s is None]
  total = sum(len(plan.files) for plan in plans)
  videos = sum(len(plan.files) for plan in missing)
  if len(missing) < len(plans):
    print(f"{len(plans) - len(missing)} of {len(plans)} shards are finished")
  job = runners.Job(
    directory=os.fspath(directory),
    plans=missing,
    codec=options.codec,
    short_side=options.short_side,
    workers=options.workers,
    runner=options.runner,
    runner_options=options.runner_options,
  )
  try:
    with Progress(total, "videos", "preparing", total - videos) as progress:
      make_shards(job, progress)
  except KeyboardInterrupt:
    raise KeyboardInterrupt(_how_far(directory, plans)) from None
  sidecars = shards.finished(directory, plans)
  if None in sidecars:
    raise DataError(
      f"{_how_far(directory, plans)}; --output has to be where all workers of "
      f"{options.runner} see the same files, such as gs://"
    )
  return sidecars, videos


def _how_far(directory: epath.Path, plans: Sequence[Plan]) -> str:
  sidecars = shards.finished(directory, plans)
  return (
    f"{len(plans) - sidecars.count(None)} of {len(plans)} shards are finished; "
    "run the same command again to make the rest"
  )
