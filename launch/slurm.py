"""Runs on nodes of a Slurm cluster, as a batch job.

Submits the job, prints its log and waits for its end; Ctrl-C ends the waiting
only. Five minutes before its time limit, and when Slurm preempts it, the run
saves its state, and the job is queued again under the same number. The nodes
use the Python that calls the launcher, in the current directory. Both of them,
and --workdir, have to be where all nodes can reach them.
"""

import argparse
import codecs
import logging
import pathlib
import re
import subprocess
import sys
from collections.abc import Sequence

from hdc_jax.errors import BUG, INTERRUPTED, ConfigError, Hung
from hdc_jax.runtime import commands
from launch import description
from launch.shell import Processes, Shell, require
from launch.slurm_job import TASKS, SlurmRun, script

_EXAMPLES = r"""example:
  python -m launch.slurm --name=k400-hdc --nodes=2 --gpus_per_node=8 \
    --sbatch=--partition=gpu --sbatch=--time=1-00:00:00 -- \
    --config=configs/r3d18.py --config.data.path=/shared/k400 \
    --workdir=/shared/runs/k400-hdc

  scancel JOB ends it. With --dry_run, the launcher prints the job's script:
  sbatch submits it without waiting for its end.

The exit code is that of the run, see hdc_jax/errors.py; 130 if the job was
cancelled, or after Ctrl-C. After 5, 6, 8, and 134, 137 or 143 (aborted, killed,
terminated) it is queued again, --retries times; after 1, 2, 3, 4 and 9 it is
not.
"""

_INVALID = "Invalid job id"
_COMPLETED, _FAILED, _CANCELLED = "COMPLETED", "FAILED", "CANCELLED"
# States in which Slurm itself has ended a job that is not queued again.
_ENDED = (
  *("TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY"),
  *("BOOT_FAIL", "DEADLINE", "REVOKED"),
)

_log = logging.getLogger("launch")


def submit(text: str) -> str:
  """Submits the script of a job.

  Returns:
    The number of the job.

  Raises:
    ConfigError: If Slurm refuses it.
  """
  done = subprocess.run(
    ("sbatch", "--parsable"),
    input=text,
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    raise ConfigError(f"sbatch refuses the job: {done.stderr.strip()}")
  return done.stdout.strip().partition(";")[0]


class Follower:
  """Follows a job until its end.

  Attributes:
    job: Number of the job.
    log: File that gets the job's output.
  """

  def __init__(
    self, job: str, log: pathlib.Path, shell: Shell, poll_seconds: float
  ) -> None:
    """Sets what to follow.

    Args:
      job: Number of the job.
      log: File that gets the job's output.
      shell: The shell that runs commands.
      poll_seconds: Pause between two queries of the state, in seconds.
    """
    self.job = job
    self.log = log
    self._shell = shell
    self._poll_seconds = poll_seconds
    self._read = 0
    # What was added can end within a character.
    self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
    self._seen = ""

  def follow(self) -> int:
    """Prints the log of the job, and waits for its end.

    Returns:
      The exit code.
    """
    while True:
      code = self._look()
      self._print_log()
      if code is not None:
        return code
      self._shell.sleep(self._poll_seconds)

  def _look(self) -> int | None:
    """Asks for the state of the job; returns its exit code if it has ended."""
    failed, text = self._shell.ask(
      ("scontrol", "--oneliner", "show", "job", self.job)
    )
    if failed and _INVALID in text:
      _log.error("Slurm has forgotten job %s: read %s", self.job, self.log)
      return BUG
    if failed:
      _log.warning("%s", text)
      return None
    facts = dict(re.findall(r"\b(JobState|Reason|ExitCode)=(\S+)", text))
    state = facts["JobState"]
    shown = f"{state} ({facts['Reason']})".removesuffix(" (None)")
    if shown != self._seen:
      _log.info("job %s is %s", self.job, shown)
    self._seen = shown
    code, _, number = facts["ExitCode"].partition(":")
    codes = {
      _COMPLETED: 0,
      _FAILED: int(code) or 128 + int(number),
      _CANCELLED: INTERRUPTED,
      **dict.fromkeys(_ENDED, Hung.exit_code),
    }
    return codes.get(state)

  def _print_log(self) -> None:
    """Prints what was added to the log."""
    if self.log.exists():
      with self.log.open("rb") as file:
        file.seek(self._read)
        added = file.read()
      self._read += len(added)
      sys.stdout.write(self._decoder.decode(added))
      sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
  """Submits the run on the command line, and follows it.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code.
  """
  return commands.run(_parse, _run, argv)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = description.make_parser("python -m launch.slurm", __doc__, _EXAMPLES)
  add = parser.add_argument
  add("--nodes", type=int, default=1, help="how many; by default %(default)s")
  add(
    "--gpus_per_node",
    type=int,
    required=True,
    metavar="N",
    help="GPUs of each node",
  )
  add(
    "--task",
    default="gpu",
    metavar="WHAT",
    help=f"what has a process of its own: {' or '.join(TASKS)}; by default "
    "%(default)s",
  )
  add(
    "--cpus_per_gpu",
    type=int,
    default=8,
    metavar="N",
    help="CPUs for each GPU, which read and cut videos; by default %(default)s",
  )
  add(
    "--sbatch",
    action="append",
    default=[],
    metavar="FLAG",
    help="one more flag of sbatch: --sbatch=--partition=gpu; repeat it",
  )
  add(
    "--poll_seconds",
    type=float,
    default=10.0,
    metavar="S",
    help="seconds between two questions for the job's state; by default "
    "%(default)s",
  )
  flags = description.parse(parser, argv)
  flags.run = SlurmRun(
    name=flags.name,
    args=flags.args,
    env=flags.env,
    retries=flags.retries,
    nodes=flags.nodes,
    gpus_per_node=flags.gpus_per_node,
    task=flags.task,
    cpus_per_gpu=flags.cpus_per_gpu,
    sbatch=tuple(flags.sbatch),
  )
  return flags


def _run(flags: argparse.Namespace) -> int:
  """Submits and follows the job, or prints its script; returns the code."""
  text = script(flags.run)
  if flags.dry_run:
    print(text, end="")
    return 0
  require("sbatch")
  logging.basicConfig(format="launch: %(message)s", level=logging.INFO)
  job = submit(text)
  log = pathlib.Path(f"{flags.run.name}-{job}.log")
  _log.info("job %s, which writes to %s", job, log)
  try:
    return Follower(job, log, Processes(), flags.poll_seconds).follow()
  except KeyboardInterrupt:
    _log.info("job %s goes on: scancel %s ends it", job, job)
    return INTERRUPTED


if __name__ == "__main__":
  commands.leave(main())
