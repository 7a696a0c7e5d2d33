"""The gcloud commands for a slice, as tuples of words."""

import dataclasses
import os
import pathlib
import shlex

from launch import outcomes
from launch.slice_run import SliceRun

HOST = pathlib.Path(__file__).with_name("host.sh")

_TPUS = ("gcloud", "compute", "tpus")
_CAPACITY = {"on-demand": (), "spot": ("--spot",), "reserved": ("--reserved",)}
# A lost host does not close its connection, so ssh has to probe it, and to give
# up after a while.
_SSH = (
  "--ssh-flag=-oConnectTimeout=30",
  "--ssh-flag=-oServerAliveInterval=10",
  "--ssh-flag=-oServerAliveCountMax=3",
)
# Printed by every host at its end, with its exit code: gcloud returns the code
# of only one host, which need not be the one that gives the reason.
ENDED = "launch: this host ended with"


@dataclasses.dataclass(frozen=True)
class Commands:
  """The commands for the slice of a run.

  Attributes:
    run: The run. The queued resource of its slice, and the node, have its name;
      of several slices, the names of the nodes begin with it.
    project: ID of the Google Cloud project.
  """

  run: SliceRun
  project: str

  @property
  def _where(self) -> tuple[str, ...]:
    return f"--zone={self.run.zone}", f"--project={self.project}", "--quiet"

  def _queue(self, verb: str, *flags: str) -> tuple[str, ...]:
    name = self.run.name
    return (*_TPUS, "queued-resources", verb, name, *flags, *self._where)

  def _node(self, verb: str, *flags: str) -> tuple[str, ...]:
    """A command on all hosts at once, as they wait for each other."""
    group, nodes = ("tpu-vm",), ()
    if self.run.slice.count > 1:
      group, nodes = ("queued-resources",), ("--node=all", "--batch-size=all")
    return (
      *_TPUS,
      *group,
      verb,
      *flags,
      *nodes,
      "--worker=all",
      *self._where,
    )

  def _ssh(self, command: str) -> tuple[str, ...]:
    return self._node("ssh", self.run.name, *_SSH, f"--command={command}")

  def describe(self) -> tuple[str, ...]:
    """The command that prints the state of the slice."""
    return self._queue("describe", "--format=value(state.state)")

  def explain(self) -> tuple[str, ...]:
    """The command that prints the reason for the state of the slice."""
    return self._queue("describe", "--format=yaml(state)")

  def create(self) -> tuple[str, ...]:
    """The command that queues for the slice."""
    names = (f"--node-id={self.run.name}",)
    if (count := self.run.slice.count) > 1:
      names = (f"--node-count={count}", f"--node-prefix={self.run.name}")
    return self._queue(
      "create",
      *names,
      f"--accelerator-type={self.run.slice.accelerator_type}",
      f"--runtime-version={self.run.slice.generation.runtime_version}",
      *_CAPACITY[self.run.capacity],
    )

  def delete(self) -> tuple[str, ...]:
    """The command that deletes the slice, or leaves the queue."""
    return self._queue("delete", "--force")

  def copy(self) -> tuple[str, ...]:
    """The command that copies `host.sh` to every host."""
    return self._node("scp", os.path.relpath(HOST), f"{self.run.name}:host.sh")

  def setup(self) -> tuple[str, ...]:
    """The command that installs the code on every host."""
    code = shlex.quote(self.run.code)
    return self._ssh(f"HDC_CODE={code} bash host.sh setup")

  def start(self) -> tuple[str, ...]:
    """The command that starts the run on every host, and waits for its end.

    When a connection breaks, gcloud starts the run a second time on that host
    alone, where the first one may still be active. The second one exits as
    preempted instead, so that the run is resumed on a new slice.
    """
    words = shlex.quote(self.run.encoded_words)
    return self._ssh(
      f"(mkdir started || exit {outcomes.AGAIN[0]}; "
      f"HDC_WORDS={words} bash host.sh run); "
      f'code=$?; echo "{ENDED} $code"; exit $code'
    )
