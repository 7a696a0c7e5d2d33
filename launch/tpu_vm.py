"""Runs on the hosts of a TPU slice, as a queued resource of Cloud TPU.

Queues for the slice, installs the code on every host, starts the run there and
prints its output. When the slice is lost, the launcher queues for another one,
and the run resumes from its --workdir. At the end, or after Ctrl-C, the slice
is deleted, however long that takes; Ctrl-C during a pause before another try to
delete it gives up. Keep the launcher running: in tmux, on a machine that stays
up.
"""

import argparse
import enum
import logging
import shlex
from collections.abc import Sequence

from hdc_jax import errors
from hdc_jax.errors import INTERRUPTED, ConfigError
from hdc_jax.runtime import commands
from launch import outcomes, signals, slice_run
from launch.gcloud import ENDED, Commands
from launch.shell import Processes, Rehearsal, Shell, pauses, require, show

_EXAMPLES = r"""example:
  python -m launch.tpu_vm --name=k400-hdc --slice=v5e:16x16 --capacity=spot \
    --zone=us-west4-a --project=my-project \
    --code=https://github.com/me/hdc-jax.git@0123…full…commit -- \
    --config=configs/r3d18.py --config.data.path=gs://my-bucket/k400 \
    --config.data.batch_size=4096 --workdir=gs://my-bucket/runs/k400-hdc

  With --dry_run it prints the commands instead, for a run without trouble.

The exit code is that of the run, see hdc_jax/errors.py; 130 after Ctrl-C. After
5, 6, 8, a lost slice and 134, 137 or 143 (aborted, killed, terminated) it is
tried again; after 1, 2, 3, 4 and 9 it is not.
"""

_WAITING = ("CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING")
_READY = "ACTIVE"
_FAILED = "FAILED"
# Our own states: there is no such resource, or the query failed.
_GONE = "NOT_FOUND"
_UNKNOWN = "UNKNOWN"

_log = logging.getLogger("launch")


class Step(enum.Enum):
  """The steps of a launch."""

  CREATE = enum.auto()
  WAIT = enum.auto()
  SETUP = enum.auto()
  RUN = enum.auto()
  DELETE = enum.auto()
  PAUSE = enum.auto()
  DONE = enum.auto()


class Launcher:
  """Launches a run, on as many slices one after another as it needs."""

  def __init__(
    self, commands: Commands, shell: Shell, poll_seconds: float
  ) -> None:
    """Sets what the launcher needs.

    Args:
      commands: The commands for the slice.
      shell: The shell that runs these commands.
      poll_seconds: Pause between two queries of the state, in seconds.
    """
    self._commands = commands
    self._retries = commands.run.retries
    self._shell = shell
    self._poll_seconds = poll_seconds
    self._code = 0
    # The step after deletion.
    self._next = Step.DONE
    # Whether the run has ever been started.
    self._has_run = False
    # Pauses between slices that fail one after another before the run starts.
    self._pauses = pauses(poll_seconds)
    self._steps = {
      Step.CREATE: self._create,
      Step.WAIT: self._wait,
      Step.SETUP: self._setup,
      Step.RUN: self._run,
      Step.DELETE: self._delete,
      Step.PAUSE: self._pause,
    }

  def launch(self) -> int:
    """Launches the run, and waits for its end.

    Returns:
      The exit code.

    Raises:
      ConfigError: If a resource of that name may exist already; it is not
        deleted.
    """
    # Only a resource that certainly did not exist before may be deleted.
    if (state := self._state()) != _GONE:
      raise ConfigError(
        f"--name: there may be one already, {state}; choose another, or delete "
        f"it: {shlex.join(self._commands.delete())}"
      )
    step = Step.CREATE
    while step is not Step.DONE:
      try:
        step = self._steps[step]()
      except KeyboardInterrupt:
        step = self._end(INTERRUPTED, "interrupted")
      except Exception:
        # Whatever the error is, a slice that is not deleted costs more.
        if step is Step.DELETE:
          raise
        _log.exception("the launcher failed")
        step = self._end(1, "please report it")
    return self._code

  def _create(self) -> Step:
    code, text = self._shell.ask(self._commands.create())
    return self._stumble(f"cannot queue: {text}") if code else Step.WAIT

  def _wait(self) -> Step:
    seen = ""
    while (state := self._state()) != _READY:
      if state == _FAILED:
        _, why = self._shell.ask(self._commands.explain())
        return self._stumble(f"Cloud TPU could not provide the slice:\n{why}")
      if state not in (*_WAITING, _UNKNOWN):
        return self._retry(f"the slice is {state}")
      if state != seen:
        _log.info("the slice is %s", state)
      seen = state
      self._shell.sleep(self._poll_seconds)
    _log.info("the slice is there")
    return Step.SETUP

  def _setup(self) -> Step:
    for argv in (self._commands.copy(), self._commands.setup()):
      code, _ = self._shell.follow(argv, ENDED)
      if code and self._lost(code):
        return self._retry("lost the slice while setting it up")
      if code:
        return self._stumble("cannot install the code, see above")
    return Step.RUN

  def _run(self) -> Step:
    self._has_run = True
    self._pauses = pauses(self._poll_seconds)
    code, said = self._shell.follow(self._commands.start(), rf"{ENDED} (\d+)")
    code = code and outcomes.telling([int(word) for word in said], code)
    if code == 0:
      return self._end(0, "the run is done")
    if code in outcomes.FINAL:
      return self._end(code, "the run failed, see above")
    if code in outcomes.AGAIN:
      return self._retry("the run was stopped, hung, or lost its bucket")
    if code in outcomes.KILLED:
      return self._retry("the processes of the run were killed")
    # gcloud returns the first code, which can be that of a host that only lost
    # its connection to another one.
    if len(said) < self._commands.run.slice.hosts or self._lost(code):
      return self._retry("lost the slice, or one of its hosts")
    return self._end(code, "the run failed, see above")

  def _delete(self) -> Step:
    for pause in pauses(self._poll_seconds):
      with signals.ignored():
        code, text = self._shell.ask(self._commands.delete())
        gone = code == 0 or _GONE in text or self._state() == _GONE
      if gone:
        return self._next
      try:
        _log.warning("not deleted, again in %.0f s: %s", pause, text)
        self._shell.sleep(pause)
      except KeyboardInterrupt:
        break
    _log.error(
      "NOT DELETED, and it may cost money:\n%s", show(self._commands.delete())
    )
    self._code = self._code or INTERRUPTED
    return Step.DONE

  def _pause(self) -> Step:
    pause = next(self._pauses)
    _log.info("queueing again in %.0f s", pause)
    self._shell.sleep(pause)
    return Step.CREATE

  def _state(self) -> str:
    code, text = self._shell.ask(self._commands.describe())
    if code and _GONE in text:
      return _GONE
    if code:
      _log.warning("%s", text)
      return _UNKNOWN
    return text

  def _lost(self, code: int) -> bool:
    return code == outcomes.UNREACHABLE or self._state() != _READY

  def _retry(self, why: str, then: Step = Step.CREATE) -> Step:
    """Goes on with another slice, if any tries are left."""
    if not self._retries:
      return self._end(outcomes.AGAIN[0], f"{why}, once too often")
    _log.info("%s; on to another one, %d more", why, self._retries)
    self._retries -= 1
    self._next = then
    return Step.DELETE

  def _stumble(self, why: str) -> Step:
    """Tries again if the run has ever been started; else it is an error."""
    if self._has_run:
      return self._retry(why, then=Step.PAUSE)
    return self._end(1, why)

  def _end(self, code: int, why: str) -> Step:
    _log.info("%s", why)
    self._code = code
    self._next = Step.DONE
    return Step.DELETE


def main(argv: Sequence[str] | None = None) -> int:
  """Launches the run on the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code.
  """
  return commands.run(_parse, _run, argv)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = slice_run.make_parser("python -m launch.tpu_vm", __doc__, _EXAMPLES)
  parser.add_argument(
    "--poll_seconds",
    type=float,
    default=30.0,
    metavar="S",
    help="seconds between two questions for the slice's state; by default "
    "%(default)s",
  )
  flags = slice_run.parse(parser, argv)
  errors.require("--project", flags.project, "name a Google Cloud project")
  return flags


def _run(flags: argparse.Namespace) -> int:
  """Launches the run, or prints the commands; returns the exit code."""
  gcloud = Commands(flags.run, flags.project)
  if flags.dry_run:
    # Answers: no resource exists, it is created, ready at once, and deleted.
    shell = Rehearsal([(1, _GONE), (0, ""), (0, _READY), (0, "")])
    return Launcher(gcloud, shell, flags.poll_seconds).launch()
  require("gcloud")
  logging.basicConfig(format="launch: %(message)s", level=logging.INFO)
  signals.interrupt()
  return Launcher(gcloud, Processes(), flags.poll_seconds).launch()


if __name__ == "__main__":
  commands.leave(main())
