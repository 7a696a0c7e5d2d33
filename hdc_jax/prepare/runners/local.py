"""Makes shards one after the other, their videos in many processes."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from etils import epath

from hdc_jax.errors import ConfigError
from hdc_jax.prepare import shards
from hdc_jax.prepare.runners import videos
from hdc_jax.prepare.runners.job import Job
from hdc_jax.prepare.shards import Prepared, Skipped
from hdc_jax.runtime.progress import Progress


def check_options(name: str, options: Sequence[str]) -> None:
  """Raises a ConfigError if there are options, as this runner has none."""
  if options:
    raise ConfigError(
      f"arguments after -- are for Beam, which --runner={name} is not part of: "
      f"{' '.join(options)}"
    )


def make_shards(job: Job, progress: Progress) -> None:
  """Makes the shards of a job.

  Args:
    job: The shards.
    progress: Counts the videos.
  """
  files = [file for plan in job.plans for file in plan.files]
  with videos.make_workers(job.workers) as workers:
    # The videos of all shards in one go: no process waits for a shard to end.
    results = _counted(
      videos.prepare_videos(workers, files, *job.settings), progress
    )
    for plan in job.plans:
      shards.write(
        epath.Path(job.directory),
        plan,
        itertools.islice(results, len(plan.files)),
      )


def _counted(
  results: Iterable[Prepared | Skipped], progress: Progress
) -> Iterator[Prepared | Skipped]:
  """Yields the results, and shows how many of them were skipped."""
  skipped = 0
  for result in results:
    skipped += isinstance(result, Skipped)
    progress.update(skipped=skipped)
    yield result
