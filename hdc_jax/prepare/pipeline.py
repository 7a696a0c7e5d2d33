"""The way from a dataset's videos to its shards and their index."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence

from etils import epath

from hdc_jax.data.datasets import DATASETS, Request
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.store.index import Index
from hdc_jax.data.video import codec as codec_lib
from hdc_jax.data.video import encoder, originals
from hdc_jax.errors import DataError
from hdc_jax.prepare import cutting, indexing, runners, shards, summary
from hdc_jax.prepare.shards import Plan, Sidecar
from hdc_jax.runtime import buckets, files
from hdc_jax.runtime.progress import Progress


def prepare(
  dataset: str,
  request: Request,
  *,
  codec: str = "h264",
  short_side: int = 128,
  deinterlace: bool = False,
  segment: float = 0.0,
  num_shards: int | None = None,
  runner: str = "local",
  runner_options: Sequence[str] = (),
) -> None:
  """Lists the videos, makes the shards that are missing, writes the index.

  Args:
    dataset: Name of the dataset, one of `DATASETS`.
    request: Where its files are, and where the shards go.
    codec: Codec of the records, one of `codec.CODECS`.
    short_side: Short side of the stored frames, in pixels.
    deinterlace: Whether to deinterlace the frames that are interlaced.
    segment: Length of the parts into which long videos are cut, in seconds; 0
      for none.
    num_shards: Number of shards; by default one for so many videos as
      `shards.VIDEOS_PER_SHARD` says.
    runner: Name of what makes the shards, one of `RUNNERS`.
    runner_options: Arguments of the runner, if it is one of Apache Beam.

  Raises:
    ConfigError: If the options do not fit together or to the dataset.
    DataError: If files of the dataset are missing, or no video can be used.
    StorageError: If a bucket fails.
    OSError: If the disk is full or cannot be written.
    KeyboardInterrupt: If it is interrupted; its message says how far it is.
  """
  start = time.monotonic()
  codec_lib.check_settings(codec, short_side)
  make_shards = runners.load(runner, runner_options)
  places = (request.source, request.splits, request.output, *request.tables)
  for path in filter(None, places):
    buckets.check_access(path)
  directory = epath.Path(request.output)
  DATASETS[dataset].check(request)
  listing = DATASETS[dataset].list_videos(request)
  if segment:
    listing = cutting.with_groups(listing)
  settings = {
    "codec": codec,
    "short_side": short_side,
    "encoder": encoder.ENCODER_VERSION,
    "frames": originals.VERSION,
    "deinterlace": deinterlace,
    # The settings of a dataset without are those of earlier versions.
    **({"segment": segment} if segment else {}),
  }
  plans = shards.plan(listing, settings, num_shards)
  digest = indexing.request_digest(plans, listing)
  if prepared := _prepared(directory, digest):
    indexing.remove_others(directory, prepared)  # which may have failed
    print(f"already prepared: {directory}")
    return
  # From here to the end the directory is not a dataset.
  index_lib.mark_unfinished(directory)
  files.remove(directory / index_lib.INDEX)
  job = runners.Job(
    directory=os.fspath(directory),
    plans=plans,
    codec=codec,
    short_side=short_side,
    deinterlace=deinterlace,
    segment=segment,
    workers=request.workers,
    runner=runner,
    runner_options=runner_options,
  )
  sidecars, read = _complete(job, make_shards)
  if not any(sidecar.shard.videos for sidecar in sidecars):
    skipped = [s for sidecar in sidecars for s in sidecar.skipped]
    raise DataError(
      f"no usable videos in {request.source or directory}: none of "
      f"{len(skipped)} can be read; the first: {skipped[0].reason}"
    )
  index = indexing.combine(
    sidecars,
    request=digest,
    codec=codec,
    short_side=short_side,
    listing=listing,
  )
  for reason, ids in listing.left_out.items():
    lines = "".join(f"{video_id}\n" for video_id in ids)
    files.write(directory / f"{reason}.txt", lines.encode())
  index.save(directory)
  indexing.remove_others(directory, index)
  print(
    summary.describe(directory, index, sidecars, listing, deinterlace, segment)
  )
  seconds = time.monotonic() - start
  print(f"  {read:,} videos read in {seconds:.1f} s ({read / seconds:.3g}/s)")


def _prepared(directory: epath.Path, digest: str) -> Index | None:
  """The index of the dataset of a request, if all of its shards are there."""
  try:
    index = Index.load(directory)
    index.check_shards(directory)
  except DataError:
    return None
  return index if index.request == digest else None


def _complete(
  job: runners.Job, make_shards: Callable[[runners.Job, Progress], None]
) -> tuple[list[Sidecar], int]:
  """Makes those shards of a job that are not finished.

  Args:
    job: All shards of the dataset.
    make_shards: What makes them, from `runners.load`.

  Returns:
    The sidecars of all shards, and the number of videos that were read.
  """
  directory, plans = epath.Path(job.directory), job.plans
  done = shards.finished(directory, plans)
  missing = [p for p, s in zip(plans, done, strict=True) if s is None]
  total = sum(len(plan.files) for plan in plans)
  videos = sum(len(plan.files) for plan in missing)
  if len(missing) < len(plans):
    print(f"{len(plans) - len(missing)} of {len(plans)} shards are finished")
  try:
    with Progress(total, "videos", "preparing", total - videos) as progress:
      make_shards(dataclasses.replace(job, plans=missing), progress)
  except KeyboardInterrupt as interrupt:  # SIGTERM too
    raise type(interrupt)(_how_far(directory, plans)) from None
  sidecars = [s for s in shards.finished(directory, plans) if s is not None]
  if len(sidecars) < len(plans):
    raise DataError(
      f"{_how_far(directory, plans)}; --output has to be where all workers of "
      f"{job.runner} see the same files, such as gs://"
    )
  return sidecars, videos


def _how_far(directory: epath.Path, plans: Sequence[Plan]) -> str:
  """Words on how many shards are finished, and how to make the rest."""
  sidecars = shards.finished(directory, plans)
  return (
    f"{len(plans) - sidecars.count(None)} of {len(plans)} shards are finished; "
    "run the same command again to make the rest"
  )
