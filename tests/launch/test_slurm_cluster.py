"""Runs on a real Slurm cluster: how they end, and what they go on from."""

import dataclasses
import pathlib
import re
import sys

import jax
import numpy as np
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.distributed import mesh
from hdc_jax.runs import metrics
from hdc_jax.tasks import pretrain
from launch import slurm, slurm_job
from launch.shell import Processes
from tests import hosts, small
from tests.launch import example, slurm_cluster

pytestmark = pytest.mark.slow

_STEPS = 40
_FLAGS = (
  f"--config={hosts.ROOT}/configs/tiny.py",
  *small.FLAGS,
  "--config.method.contrasts=('spatial',)",
  "--config.method.momentum=0.9",
  "--config.method.queue=16",
  "--config.data.batch_size=8",
  "--config.data.threads=1",
  f"--config.train.steps={_STEPS}",
  "--config.train.log_every=1",
  "--config.train.checkpoint_every=100000",
)
# Stands for the Python of a task: at each start, it waits for some seconds and
# ends with a code, as the line of that start says; or with 5, after SIGTERM,
# which `sleep` may get first.
_STAND_IN = """#!/bin/bash
trap 'exit 5' TERM
start=$((${SLURM_RESTART_COUNT:-0} + 1))
read -r seconds code < <(sed -n "${start}p" "$PLAN/$SLURM_PROCID")
sleep "$seconds" & wait "$!" || exit 5
if ((code == 137)); then kill -KILL $$; fi
exit "$code"
"""
_LONG = 1000


@dataclasses.dataclass
class Case:
  """How two tasks end at each start, and what comes of it."""

  first: list  # of the first task: seconds and code of each start
  second: list
  code: int  # of the launcher
  starts: int = 1
  retries: int = 3
  sbatch: tuple = ()


# What is done to jobs once they run.
_INTERVENTIONS = {
  "cancelled": ("scancel",),
  "requeued": ("scontrol", "requeue"),
}
CASES = {
  "done": Case([(0, 0)], [(0, 0)], code=0),
  "config": Case([(0, 2)], [(0.5, 134)], code=2),
  "the reason comes last": Case([(0, 6)], [(0.5, 3)], code=3),
  "a bug, and what it does to others": Case([(0, 1)], [(0.5, 137)], code=1),
  "killed, and what it does to others": Case(
    [(0, 137), (0, 0)], [(0.5, 6), (0, 0)], code=0, starts=2
  ),
  "another code": Case([(0, 120)], [(0, 0)], code=120),
  "storage": Case([(0, 8), (0, 0)], [(0, 8), (0, 0)], code=0, starts=2),
  "hung": Case([(0, 6), (0, 0)], [(0, 134), (0, 0)], code=0, starts=2),
  "too often": Case([(0, 5)] * 2, [(0, 5)] * 2, code=5, starts=2, retries=1),
  "one is lost, the other waits": Case(
    [(0, 137), (0, 0)], [(_LONG, 0), (0, 0)], code=0, starts=2
  ),
  # Five minutes before the limit, which is at the next look.
  "time limit": Case(
    *[[(_LONG, 0), (0, 0)]] * 2, code=0, starts=2, sbatch=("--time=5",)
  ),
  "cancelled": Case([(_LONG, 0)], [(_LONG, 0)], code=130),
  "requeued": Case(*[[(_LONG, 0), (0, 0)]] * 2, code=0, starts=2),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
  """The environment of a cluster."""
  if programs := slurm_cluster.missing():
    pytest.skip(
      f"{', '.join(programs)}: not installed; on Debian as root, .ci/run "
      "installs slurm-wlm and munge"
    )
  with slurm_cluster.running(tmp_path_factory.mktemp("slurm")) as env:
    yield env


@pytest.fixture
def as_python(cluster, tmp_path, monkeypatch):
  """Puts a script in the place of the Python that jobs run."""
  monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
  monkeypatch.chdir(tmp_path)

  def write(text):
    path = tmp_path / "python"
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))

  return write


def submit(**description):
  """Submits a run of two tasks; gives what follows it."""
  run = slurm_job.SlurmRun(
    **{"name": "test", "nodes": 1, "gpus_per_node": 2, "task": "gpu"},
    **{"cpus_per_gpu": 1},
    **description,
  )
  job = slurm.submit(slurm_job.script(run))
  return slurm.Follower(job, pathlib.Path(f"test-{job}.log"), Processes(), 0.2)


def state(workdir):
  """The leaves of the last state, and the loss of each step."""
  with saving.Checkpoints(workdir) as saved:
    options = pretrain.TASK.schema.build(saved.config(_STEPS))
    training = options.make_training(mesh.make_mesh(1))
    found = training.restore_state(saved, _STEPS).state
  lines = [line for line in metrics.read_metrics(workdir) if "loss" in line]
  return jax.tree.leaves(jax.device_get(found)), [
    (line["step"], line["loss"]) for line in lines
  ]


def steps(workdir):
  """How many steps the run has logged."""
  return len(metrics.read_metrics(workdir))


def test_two_tasks_are_queued_again_and_end_as_undisturbed(
  cluster, as_python, prepared, tmp_path, monkeypatch, quick_backbones, capfd
):
  flags = (*_FLAGS, f"--config.data.path={prepared}")
  alone, workdir = tmp_path / "alone", tmp_path / "run"
  commands = hosts.main_commands(2, f"--workdir={alone}", *flags)
  started = hosts.start(commands, 1)
  for name, value in hosts.environment(1).items():
    monkeypatch.setenv(name, value)
  # `-m hdc_jax.main` becomes the same with backbones that are quick to compile.
  as_python(f'#!/bin/sh\nshift 2\nexec {sys.executable} -m tests.quick "$@"\n')
  for code, output in hosts.finish(started):
    assert code == 0, output

  follower = submit(args=(f"--workdir={workdir}", *flags))
  slurm_cluster.wait_for(lambda: steps(workdir) > 5)
  (job,) = slurm_cluster.ask(cluster, "squeue", "-h", "-o%i").split()
  slurm_cluster.ask(cluster, "scancel", "--signal=TERM", job)
  code = follower.follow()
  output = capfd.readouterr().out
  assert code == 0, output
  assert "launch: start 0 ended with 5" in output
  assert "launch: start 1 ended with 0" in output
  assert "resuming" in output
  (want, losses), (got, others) = state(alone), state(workdir)
  assert others == losses
  assert [step for step, _ in losses] == list(range(1, _STEPS + 1))
  for one, other in zip(want, got, strict=True):
    assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@example.READS_CONFIGS
def test_how_runs_end(cluster, as_python, tmp_path, monkeypatch, capfd):
  """All at once, as most of the time is spent waiting."""
  as_python(_STAND_IN)
  monkeypatch.setattr(slurm_job, "_WAIT_SECONDS", 2)
  jobs = {}
  for name, case in CASES.items():
    plan = tmp_path / name
    plan.mkdir()
    for task, ends in enumerate((case.first, case.second)):
      lines = (f"{seconds} {code}\n" for seconds, code in ends)
      (plan / str(task)).write_text("".join(lines))
    jobs[name] = submit(
      args=(f"--config={example.ROOT}/configs/r3d18.py", *example.ARGS[1:]),
      env=(("PLAN", str(plan)),),
      retries=case.retries,
      sbatch=case.sbatch,
    )
  for name, command in _INTERVENTIONS.items():
    slurm_cluster.wait_for(jobs[name].log.exists)
    slurm_cluster.ask(cluster, *command, jobs[name].job)
  for name, case in CASES.items():
    code = jobs[name].follow()
    text = capfd.readouterr().out
    starts = len(re.findall("launch: start . on", text))
    assert (code, starts) == (case.code, case.starts), (name, text)
