"""Job scripts for Slurm, and what follows a job; see test_slurm_cluster."""

import pathlib
import subprocess
import sys

import pytest

from hdc_jax.errors import ConfigError
from launch import outcomes, slurm, slurm_job
from tests.launch import example

pytestmark = example.READS_CONFIGS

ARGS = (
  "--config=configs/r3d18.py",
  "--config.data.path=/shared/k400",
  "--workdir=/shared/runs/first",
)
BAD = {
  "name": ({"name": "K400"}, "--name=K400: lower-case"),
  "nodes": ({"nodes": 0}, "--nodes=0: 1 or more"),
  "gpus": ({"gpus_per_node": 0}, "--gpus_per_node=0: 1 or more"),
  "cpus": ({"cpus_per_gpu": 0}, "--cpus_per_gpu=0: 1 or more"),
  "task": ({"task": "core"}, "--task: 'core' is not one of gpu, node"),
  "secret": ({"env": "HF_TOKEN=s3cret"}, "--env=HF_TOKEN=…"),
  "short flag": ({"sbatch": "-pgpu"}, "--sbatch=-pgpu: write one flag"),
  "two flags": ({"sbatch": "--qos=a --mem=1"}, "write one flag of sbatch"),
  "its own flag": ({"sbatch": "--signal=USR1"}, "the launcher sets --signal"),
  "no workdir": ({"args": ARGS[:2]}, "--workdir is not set"),
  "coordinator": (
    {"args": (*ARGS, "--coordinator=auto")},
    "--coordinator=auto: leave it out",
  ),
  "uneven batch": (
    {"args": (*ARGS, "--config.data.batch_size=24")},
    "config.data.batch_size=24 does not split over 16 devices",
  ),
  "unknown field": (
    {"args": (*ARGS, "--config.optim.lrr=1")},
    "config.optim: 'lrr' is not one of",
  ),
}


def argv(*more, args=ARGS, **changes):
  flags = {"name": "k400-hdc", "nodes": 2, "gpus_per_node": 8} | changes
  return [*(f"--{n}={v}" for n, v in flags.items()), *more, "--", *args]


def printed(capsys, *more, **changes):
  """The script that a dry run prints."""
  assert slurm.main(argv("--dry_run", *more, **changes)) == 0
  return capsys.readouterr().out


@pytest.mark.parametrize("case", BAD)
def test_bad_descriptions(case, capsys):
  changes, message = BAD[case]
  assert slurm.main(argv("--dry_run", **changes)) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert message in line
  assert "s3cret" not in line


@pytest.mark.parametrize("task", slurm_job.TASKS)
def test_a_dry_run_prints_the_script(task, capsys, monkeypatch):
  """And needs no Slurm for that."""
  monkeypatch.setenv("PATH", "/nowhere")
  monkeypatch.setattr(sys, "executable", "/shared/venv/bin/python")
  more = ("--sbatch=--partition=gpu", "--sbatch=--exclusive", "--env=A=b c")
  text = printed(capsys, *more, task=task)
  golden = example.GOLDEN / f"slurm-{task}.sh"
  body = example.ROOT / "launch" / "slurm.sh"
  assert text == golden.read_text() + "\n" + body.read_text()


def test_a_task_alone_joins_no_other(capsys):
  text = printed(capsys, nodes=1, gpus_per_node=1)
  assert "--coordinator" not in text
  assert "JAX_LOCAL_DEVICE_IDS" not in text


def test_the_script_has_no_mistakes_of_shell(capsys, tmp_path):
  path = tmp_path / "job.sh"
  path.write_text(printed(capsys))
  shellcheck = pathlib.Path(sys.executable).with_name("shellcheck")
  subprocess.run([shellcheck, path], check=True)


def test_what_is_not_installed(capsys, monkeypatch):
  monkeypatch.setenv("PATH", "/nowhere")
  assert slurm.main(argv()) == 2
  assert "error: sbatch is not installed" in capsys.readouterr().err


def test_help_teaches(capsys):
  with pytest.raises(SystemExit):
    slurm.main(["--help"])
  text = capsys.readouterr().out
  assert "python -m launch.slurm --name=k400-hdc --nodes=2" in text
  assert ", ".join(map(str, outcomes.AGAIN)) in text


class Slurm:
  """A shell in which scontrol gives one answer after the other."""

  def __init__(self, *answers):
    self.answers = list(answers)
    self.asked = []

  def ask(self, argv):
    self.asked.append(" ".join(argv))
    return self.answers.pop(0)

  def sleep(self, seconds):
    del seconds


def job(state, code="0:0", reason="None"):
  return 0, f"JobId=7 JobState={state} Reason={reason} ExitCode={code} X=y"


@pytest.mark.parametrize(
  ("end", "code"),
  [
    (job("COMPLETED"), 0),
    (job("FAILED", "3:0"), 3),
    (job("FAILED", "0:9"), 137),
    (job("CANCELLED"), 130),
    (job("TIMEOUT"), 6),
    (job("NODE_FAIL"), 6),
    ((1, "slurm_load_jobs error: Invalid job id specified"), 1),
  ],
)
def test_a_job_is_followed_to_its_end(end, code, tmp_path, caplog, capsys):
  caplog.set_level("INFO")
  log = tmp_path / "test-7.log"
  shell = Slurm(
    job("PENDING", reason="Resources"),
    job("PENDING", reason="Resources"),
    (1, "Unable to contact slurm controller"),
    job("RUNNING"),
    end,
  )
  # The log is there later than the job, and grows; one character is cut.
  texts = [b"", b"", b"", b"step 1 \xc3", b"\xa4\nstep 2\n"]
  shell.sleep = lambda _: log.write_bytes(
    b"".join(texts[: len(shell.asked) + 1])
  )
  assert slurm.Follower("7", log, shell, 1.0).follow() == code
  assert set(shell.asked) == {"scontrol --oneliner show job 7"}
  assert capsys.readouterr().out == "step 1 ä\nstep 2\n"
  assert caplog.text.count("job 7 is PENDING (Resources)") == 1
  assert "Unable to contact" in caplog.text


def sbatch(directory, monkeypatch, text):
  tool = directory / "sbatch"
  tool.write_text(f"#!/bin/sh\n{text}\n")
  tool.chmod(0o755)
  monkeypatch.setenv("PATH", str(directory), prepend=":")


def test_a_script_is_submitted(tmp_path, monkeypatch):
  sbatch(tmp_path, monkeypatch, f"cat > {tmp_path}/in; echo '12;cluster'")
  assert slurm.submit("a script") == "12"
  assert (tmp_path / "in").read_text() == "a script"


def test_what_slurm_refuses(tmp_path, monkeypatch):
  sbatch(tmp_path, monkeypatch, "echo 'invalid partition' >&2; exit 1")
  with pytest.raises(ConfigError, match="sbatch refuses the job: invalid part"):
    slurm.submit("a script")


def test_ctrl_c_leaves_the_job_alone(tmp_path, monkeypatch, caplog):
  def interrupted(self):
    raise KeyboardInterrupt

  caplog.set_level("INFO")
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(slurm.Follower, "follow", interrupted)
  sbatch(tmp_path, monkeypatch, "echo 12")
  args = (f"--config={example.ROOT}/configs/r3d18.py", *ARGS[1:])
  assert slurm.main(argv(args=args)) == 130
  assert "job 12 goes on: scancel 12 ends it" in caplog.text
