"""The gcloud commands that a slice takes, as lists of words."""

import dataclasses
import os
import pathlib
import shlex

from launch import outcomes
from launch.description import Run

HOST = pathlib.Path(__file__).with_name("host.sh")

_TPUS = ("gcloud", "compute", "tpus")
_CAPACITY = {"on-demand": (), "spot": ("--spot",), "reserved": ("--reserved",)}
# A host that is gone does not say so: ssh has to ask, and not for ever.
_SSH = (
  "--ssh-flag=-oConnectTimeout=30",
  "--ssh-flag=-oServerAliveInterval=30",
)
# Printed by every host at its end: gcloud itself passes on only one of the
# codes, and not the one that tells most.
ENDED = "launch: this host ended with"


@dataclasses.dataclass(frozen=True)
class Commands:
  """What is done to the slice of a run.

  Attributes:
    run: The run; its slice, as a queued resource and as a node, has its name.
    project: Who pays.
  """

  run: Run
  project: str

  @property
  def _where(self) -> tuple[str, ...]:
    return f"--zone={self.run.zone}", f"--project={self.project}", "--quiet"

  def _queue(self, verb: str, *flags: str) -> tuple[str, ...]:
    name = self.run.name
    return (*_TPUS, "queued-resources", verb, name, *flags, *self._where)

  def _node(self, verb: str, *flags: str) -> tuple[str, ...]:
    return (*_TPUS, "tpu-vm", verb, *flags, "--worker=all", *self._where)

  def _ssh(self, command: str) -> tuple[str, ...]:
    return self._node("ssh", self.run.name, *_SSH, f"--command={command}")

  def describe(self) -> tuple[str, ...]:
    """Prints the state of the slice."""
    return self._queue("describe", "--format=value(state.state)")

  def explain(self) -> tuple[str, ...]:
    """Prints why it is in that state."""
    return self._queue("describe", "--format=yaml(state)")

  def create(self) -> tuple[str, ...]:
    """Queues for the slice."""
    return self._queue(
      "create",
      f"--node-id={self.run.name}",
      f"--accelerator-type={self.run.slice.accelerator_type}",
      f"--runtime-version={self.run.slice.generation.runtime_version}",
      *_CAPACITY[self.run.capacity],
    )

  def delete(self) -> tuple[str, ...]:
    """Gives the slice back, or leaves the queue."""
    return self._queue("delete", "--force")

  def copy(self) -> tuple[str, ...]:
    """Copies the host script to every host."""
    return self._node("scp", os.path.relpath(HOST), f"{self.run.name}:host.sh")

  def setup(self) -> tuple[str, ...]:
    """Installs the code on every host."""
    code = shlex.quote(self.run.code)
    return self._ssh(f"HDC_CODE={code} bash host.sh setup")

  def start(self) -> tuple[str, ...]:
    """Runs the command on every host, until it ends on all.

    When a connection breaks, gcloud starts the command again on that host
    alone, where the first one may still be at work. The second ends as
    preempted instead, and the run goes on from a new slice.
    """
    words = shlex.quote(self.run.encoded_words)
    return self._ssh(
      f"(mkdir started || exit {outcomes.AGAIN[0]}; "
      f"HDC_WORDS={words} bash host.sh run); "
      f'code=$?; echo "{ENDED} $code"; exit $code'
    )
