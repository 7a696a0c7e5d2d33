"""Trackers: applications that show the curves and pictures of runs.

A tracker is one file with a subclass of `base.Tracker`, and one line here.
"""

import importlib.metadata
from collections.abc import Iterable

from hdc_jax.errors import ConfigError
from hdc_jax.runs.trackers.base import Tracker
from hdc_jax.runs.trackers.tensorboard import TensorBoard
from hdc_jax.runs.trackers.trackio_tracker import Trackio
from hdc_jax.runs.trackers.wandb_tracker import WeightsAndBiases

__all__ = ["TRACKERS", "check"]

TRACKERS: dict[str, type[Tracker]] = {
  "tensorboard": TensorBoard,
  "wandb": WeightsAndBiases,
  "trackio": Trackio,
}


def check(field: str, names: Iterable[str]) -> None:
  """Checks that the packages of trackers are installed.

  Nothing is imported, so that this takes no time.

  Args:
    field: The field that names the trackers, for the message.
    names: Keys of `TRACKERS`.

  Raises:
    ConfigError: If a package is missing, or a tracker is named twice.
  """
  names = tuple(names)
  if len(set(names)) < len(names):
    raise ConfigError(f"{field}={names} names a tracker twice: name it once")
  for name in names:
    package = TRACKERS[name].package
    try:
      importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
      raise ConfigError(
        f"{field}: {name!r} needs the package {package}, which is not "
        f"installed: pip install 'hdc-jax[trackers]', or leave {name!r} out"
      ) from error
