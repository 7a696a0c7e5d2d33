"""Makes shards on Apache Beam: on many machines, or on this one.

An element of the pipeline is one shard. A worker prepares its videos in another
process, which a crash of the codec may end: the video is left out then, as with
the local runner. If a worker itself is lost, Beam gives the shard to another
one; a shard is there whole or not at all. Plans can be large and Beam's graphs
cannot, so the plans are in a file beside the shards.
"""

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from etils import epath

from hdc_jax.errors import ConfigError, DataError, StorageError
from hdc_jax.prepare import shards
from hdc_jax.prepare.runners import videos
from hdc_jax.prepare.runners.job import Job
from hdc_jax.prepare.shards import Plan
from hdc_jax.runtime import files
from hdc_jax.runtime.interrupts import Terminated
from hdc_jax.runtime.progress import Progress

_PLANS = ".shard-plans.tmp"  # removed together with shards of earlier requests
_INTERVAL = 5.0  # seconds between two counts of the finished shards


def check_options(name: str, options: Sequence[str]) -> None:
  """Raises a ConfigError if Beam refuses the options of a runner."""
  try:
    _make_pipeline(name, options)
  except (ValueError, TypeError) as error:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raise ConfigError(f"--runner={name}: {' '.join(lines)}") from error


def _make_pipeline(runner: str, options: Sequence[str]) -> beam.Pipeline:
  return beam.Pipeline(
    options=PipelineOptions(
      list(options),
      runner=runner,
      # There are no triggers; but without this, DirectRunner may download
      # another runner and run that.
      allow_unsafe_triggers=True,
    )
  )


def make_shards(job: Job, progress: Progress) -> None:
  """Makes the shards of a job.

  Args:
    job: The shards; all workers must see their directory under its path.
    progress: Counts the videos of finished shards.

  Raises:
    DataError: If the pipeline fails.
  """
  if not job.plans:
    return
  directory = epath.Path(job.directory)
  lines = [plan.to_json() for plan in job.plans]
  ends = itertools.accumulate(map(len, lines), initial=0)
  files.write(directory / _PLANS, b"".join(lines))
  _remove_sidecars(directory, job.plans)
  pipeline = _make_pipeline(job.runner, job.runner_options)
  _ = (
    pipeline
    | "Shards" >> beam.Create(list(itertools.pairwise(ends)))
    | "Spread" >> beam.Reshuffle()
    | "Make" >> beam.ParDo(_MakeShard(job))
  )
  with _watching(directory, job.plans, progress):
    try:
      _run(pipeline)
    except Exception as error:
      # What Beam makes of Ctrl-C and SIGTERM where they meet the work itself.
      for kind in (KeyboardInterrupt, Terminated):
        if str(error).startswith(kind.__name__):
          raise kind from None
      reason = (str(error).strip() or repr(error)).splitlines()[-1]
      raise DataError(
        f"--runner={job.runner} failed: {reason}; run the same command again "
        "to make the rest, with --debug to see more"
      ) from error


class _MakeShard(beam.DoFn):
  """Makes the shard whose plan is at a place in the file of plans."""

  def __init__(self, job: Job) -> None:
    self._directory = job.directory
    self._settings = job.settings
    self._videos, self._skipped = (
      Metrics.counter("hdc_jax", name) for name in ("videos", "skipped")
    )

  def setup(self) -> None:
    self._workers = videos.make_workers(1)  # for each of Beam's threads

  def process(self, place: tuple[int, int]) -> None:
    start, stop = place
    directory = epath.Path(self._directory)
    with (directory / _PLANS).open("rb") as file:
      file.seek(start)
      plan = Plan.from_json(file.read(stop - start))
    if shards.finished(directory, [plan])[0]:  # by an earlier attempt
      return
    results = videos.prepare_videos(self._workers, plan.files, *self._settings)
    sidecar = shards.write(directory, plan, results)
    self._videos.inc(sidecar.shard.videos)
    self._skipped.inc(len(sidecar.skipped))

  def teardown(self) -> None:
    self._workers.close()


def _run(pipeline: beam.Pipeline) -> None:
  """Runs a pipeline to its end; an interruption here cancels it elsewhere."""
  result = pipeline.run()
  try:
    result.wait_until_finish()
  except KeyboardInterrupt:
    with contextlib.suppress(Exception):
      result.cancel()
    raise


def _remove_sidecars(directory: epath.Path, plans: Sequence[Plan]) -> None:
  """Removes those of an earlier request, so that new ones can be counted."""
  stale = _sidecars(plans).keys() & set(files.list_names(directory))
  for name in stale:
    files.remove(directory / name)


def _sidecars(plans: Sequence[Plan]) -> dict[str, int]:
  """The number of videos of each plan, by the name of its sidecar."""
  return {
    shards.sidecar_of(epath.Path(plan.name)).name: len(plan.files)
    for plan in plans
  }


@contextlib.contextmanager
def _watching(
  directory: epath.Path, plans: Sequence[Plan], progress: Progress
) -> Iterator[None]:
  """Counts shards as they are finished, on whatever machine that is."""
  awaited = _sidecars(plans)
  ended = threading.Event()

  def count() -> None:
    with contextlib.suppress(OSError, StorageError):
      for name in awaited.keys() & set(files.list_names(directory)):
        progress.update(awaited.pop(name))

  def watch() -> None:
    while not ended.wait(_INTERVAL):
      count()

  thread = threading.Thread(target=watch, daemon=True)
  thread.start()
  try:
    yield
  finally:
    ended.set()
    thread.join()
    count()
