"""The interface of trackers."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from etils import epath


@dataclasses.dataclass(frozen=True)
class Tracked:
  """What a tracker is told of a run before it shows it.

  Attributes:
    workdir: Directory of the run.
    config: Values of all fields of the config, by dotted name.
    first_step: Step at which the run starts: that of the checkpoint from which
      it is resumed, or 0.
    run_id: The id that the tracker gave the run when it was started first; ''
      for a run that it does not know.
  """

  workdir: epath.Path
  config: Mapping[str, Any]
  first_step: int
  run_id: str

  @property
  def name(self) -> str:
    """The last two parts of the directory, such as 'runs-first'."""
    return "-".join(part for part in self.workdir.parts[-2:] if part != "/")


class Tracker(abc.ABC):
  """Shows one run in an application.

  It is made when the run starts and used in one thread. Whatever a method
  raises, the run goes on without the tracker. Keys and tokens come from the
  environment or the files of the application itself, never from a config.

  Attributes:
    package: Name of the package that it needs, in the package index.
    run_id: The id by which the application knows the run; '' if a resumed run
      needs none.
    place: Where the run is seen: a link, or a command that shows it; '' for
      neither.
  """

  package: ClassVar[str]
  run_id: str = ""
  place: str = ""

  @abc.abstractmethod
  def __init__(self, run: Tracked) -> None:
    """Begins to show a run, or goes on where it was resumed.

    Args:
      run: The run.
    """

  @abc.abstractmethod
  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Adds a point to each curve.

    Args:
      step: Step of the values.
      values: Values by name.
    """

  @abc.abstractmethod
  def picture(self, step: int, title: str, png: bytes) -> None:
    """Shows a picture.

    Args:
      step: Step of the network that it is of.
      title: Its title.
      png: Content of the PNG.
    """

  @abc.abstractmethod
  def page(self, step: int, html: str) -> None:
    """Shows the report of the run, if the application can show pages.

    Args:
      step: Step of the network that it is of.
      html: The page, which loads nothing.
    """

  @abc.abstractmethod
  def close(self) -> None:
    """Waits until all is written or sent; is also called after a failure."""
