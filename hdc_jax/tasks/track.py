"""Shows the reports of runs in their trackers."""

from etils import epath

from hdc_jax.report import page
from hdc_jax.report.figures import raster
from hdc_jax.runs import read
from hdc_jax.runs.trackers.tracking import Tracking


def show_report(tracking: Tracking, step: int, workdir: epath.PathLike) -> None:
  """Gives the report of a run, and its figures and pictures, to its trackers.

  Args:
    tracking: The trackers.
    step: Step of the network that the report is of.
    workdir: Directory of the run.

  Raises:
    OSError, StorageError: If a file of the run cannot be read.
  """
  if tracking.active:
    runs = read.read([workdir])
    tracking.report(step, raster.pictures(runs[0]), page.render(runs))
