"""The job of a run on a Slurm cluster: what describes it, and its script."""

import dataclasses
import pathlib
import re
import shlex
import sys

from hdc_jax import errors
from hdc_jax.errors import ConfigError, Hung
from launch import description, outcomes
from launch.description import Run

TASKS = ("gpu", "node")

_BODY = pathlib.Path(__file__).with_name("slurm.sh")
# The time that a run has to save its state, as in the other launchers.
_GRACE_SECONDS = 300
# Tasks that have lost another one may wait for it for ever; Slurm ends them.
_WAIT_SECONDS = 60
_SBATCH = r"--([a-z][-a-z]*)(=[^\s'\"\\#]+)?"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlurmRun(Run):
  """The description of a run on a Slurm cluster.

  Attributes:
    nodes: Number of nodes.
    gpus_per_node: Number of GPUs of each node.
    task: Whether each GPU or each node has a process of its own, one of
      `TASKS`.
    cpus_per_gpu: Number of CPUs for each GPU.
    sbatch: More flags of sbatch, such as '--partition=gpu'.
  """

  nodes: int
  gpus_per_node: int
  task: str
  cpus_per_gpu: int
  sbatch: tuple[str, ...] = ()

  def __post_init__(self) -> None:
    super().__post_init__()
    for name in ("nodes", "gpus_per_node", "cpus_per_gpu"):
      if getattr(self, name) < 1:
        raise ConfigError(f"--{name}={getattr(self, name)}: 1 or more")
    errors.choose("--task", self.task, TASKS)
    for flag in self.sbatch:
      match = re.fullmatch(_SBATCH, flag)
      if not match:
        raise ConfigError(
          f"--sbatch={flag}: write one flag of sbatch, in full, without spaces "
          "or quotes, as in --sbatch=--partition=gpu"
        )
      if match[1] in (name for name, _ in self.header):
        raise ConfigError(f"--sbatch={flag}: the launcher sets --{match[1]}")
    options = description.check_args(
      self.args,
      self.nodes * self.gpus_per_node,
      self.nodes * self.tasks_per_node,
    )
    errors.require("--workdir", options.workdir, "name a shared directory")
    if options.coordinator:
      raise ConfigError(
        f"--coordinator={options.coordinator}: leave it out, or unset "
        "HDC_COORDINATOR; the tasks of a job find each other"
      )

  @property
  def tasks_per_node(self) -> int:
    """Number of processes on each node."""
    return self.gpus_per_node if self.task == "gpu" else 1

  @property
  def cpus_per_task(self) -> int:
    """Number of CPUs of each process."""
    return self.cpus_per_gpu * self.gpus_per_node // self.tasks_per_node

  @property
  def header(self) -> tuple[tuple[str, str], ...]:
    """Flags of sbatch that the launcher sets, with their values."""
    return (
      ("job-name", self.name),
      ("output", "%x-%j.log"),
      ("open-mode", "append"),
      ("nodes", str(self.nodes)),
      ("ntasks-per-node", str(self.tasks_per_node)),
      ("gpus-per-node", str(self.gpus_per_node)),
      ("cpus-per-task", str(self.cpus_per_task)),
      # Not to the shell of the job, but to all processes of all tasks.
      ("signal", f"TERM@{_GRACE_SECONDS}"),
      ("requeue", ""),
    )

  @property
  def words(self) -> tuple[str, ...]:
    """The words of the command that every task runs."""
    env, args = self.env, self.args
    if self.task == "node":
      # Under Slurm, JAX gives each process one GPU unless told otherwise.
      devices = ",".join(map(str, range(self.gpus_per_node)))
      env = (("JAX_LOCAL_DEVICE_IDS", devices), *env)
    if self.nodes * self.tasks_per_node > 1:
      args = (*args, "--coordinator=auto")
    pairs = (f"{name}={value}" for name, value in env)
    return ("env", *pairs, sys.executable, "-m", "hdc_jax.main", *args)


def script(run: SlurmRun) -> str:
  """Makes the script of the job.

  Args:
    run: The run.
  """
  flags = [f"--{name}={value}".rstrip("=") for name, value in run.header]
  options = (
    # The others may still have something to write when the first one fails.
    "--kill-on-bad-exit=0",
    f"--wait={_WAIT_SECONDS}",
    # srun does not take it over from sbatch.
    f"--cpus-per-task={run.cpus_per_task}",
  )
  lines = (
    "#!/usr/bin/env bash",
    *(f"#SBATCH {flag}" for flag in (*flags, *run.sbatch)),
    f"telling=({' '.join(map(str, outcomes.TELLING))})",
    f"again=({' '.join(map(str, (*outcomes.AGAIN, *outcomes.KILLED)))})",
    f"hung={Hung.exit_code}",
    f"retries={run.retries}",
    f"tasks={run.nodes * run.tasks_per_node}",
    f"options=({shlex.join(options)})",
    f"words=({shlex.join(run.words)})",
  )
  return "\n".join((*lines, "", _BODY.read_text()))
