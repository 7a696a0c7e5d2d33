"""A description says what is wrong with it before it costs anything."""

import re
import shlex
import subprocess
import sys

import pytest

from hdc_jax.errors import ConfigError
from launch import gke, outcomes, skypilot, tpu_vm
from tests.launch import example

pytestmark = example.READS_CONFIGS

R3D18 = "--config=configs/r3d18.py"
WORKDIR = ("--workdir=gs://bucket/runs/first",)
DATA = ("--config.data.path=gs://bucket/k400",)
TRAINED = ("--config.checkpoint=gs://bucket/runs/k400",)
TABLE = (
  "--config=configs/tables.py:table=1",
  "--config.pretrain.data.path=gs://bucket/k400",
  "--config.ucf101=gs://bucket/ucf101",
)
LAUNCHERS = (tpu_vm, gke, skypilot)
BAD = {
  "name": ({"name": "K400"}, "--name=K400: lower-case"),
  "long name": ({"name": "k" * 41}, "--name="),
  "slice": ({"slice": "v5e:3x3"}, "v5e comes as"),
  "zone": ({"zone": "us-west4"}, "--zone=us-west4: a zone"),
  "capacity": ({"capacity": "free"}, "on-demand, spot, reserved"),
  "branch": ({"code": "https://github.com/me/x.git@main"}, "--code: write"),
  "password": (
    {"code": f"https://me:s3cret@github.com/x.git@{example.COMMIT}"},
    "--code: write",
  ),
  "retries": ({"retries": -1}, "--retries=-1"),
  "env": ({"env": "no-name=1"}, "NAME=VALUE"),
  **{
    f"secret {name}": ({"env": f"{name}=s3cret"}, f"--env={name}=…: others")
    for name in (
      "HF_TOKEN",
      "PRIVATE_KEY",
      "AWS_ACCESS_KEY_ID",
      "DB_PASSWD",
      "PASSWORD",
      "GOOGLE_CREDENTIALS",
    )
  },
  "secret in a value": (
    {"env": "PROXY=http://me:s3cret@host"},
    "--env=PROXY=http://me:…@host: others can read the password",
  ),
  "no config": ({"args": ("--workdir=gs://x",)}, "--config"),
  "local workdir": ({"args": (*example.ARGS, "--workdir=runs")}, "gs://"),
  "uneven batch": (
    {"args": (*example.ARGS, "--config.data.batch_size=24")},
    "config.data.batch_size=24 does not split over 16 devices: use 16 or 32",
  ),
  "part of a lane": (
    {
      "args": (
        *example.ARGS,
        "--config.data.batch_size=32",
        "--config.data.lanes=2",
      )
    },
    "config.data.lanes=2 do not split over 4 processes: use 1 or 4",
  ),
  "batch in two words": (
    {"args": (*example.ARGS, "--config.data.batch_size", "24")},
    "config.data.batch_size=24 does not split over 16 devices",
  ),
  "no number": (
    {"args": (*example.ARGS, "--config.data.batch_size=all")},
    "batch_size=all",
  ),
  "nothing": (
    {"args": (*example.ARGS, "--config.data.batch_size=0")},
    "config.data.batch_size=0 must be at least 1",
  ),
  "the recipe's batch": (
    {"slice": "v5e:16x16"},
    "config.data.batch_size=128 does not split over 256 devices",
  ),
  "a protocol's batch": (
    {
      "slice": "v5e:8x8",
      "args": (*WORKDIR, *DATA, f"{R3D18}:task=finetune"),
    },
    "config.data.batch_size=32 does not split over 64 devices",
  ),
  "of an evaluation": (
    {
      "slice": "v5e:8x8",
      "args": (*WORKDIR, *DATA, *TRAINED, f"{R3D18}:task=retrieve"),
    },
    "config.test.batch_size=32 does not split over 64 devices",
  ),
  "of a table's runs": (
    {"slice": "v5e:8x8", "args": (*WORKDIR, *TABLE)},
    "config.data.batch_size=32 does not split over 64 devices",
  ),
  "no such config": (
    {"args": (*WORKDIR, "--config=configs/r4d18.py")},
    "--config=configs/r4d18.py",
  ),
  "another task by a field": (
    {"args": (*example.ARGS, "--config.task=finetune")},
    "--config=FILE:task=finetune",
  ),
  "unknown field": (
    {"args": (*example.ARGS, "--config.optim.lrr=1")},
    "config.optim: 'lrr' is not one of",
  ),
  "field without an effect": (
    {"args": (*example.ARGS, "--config.method.margin=1.0")},
    "'margin' is not one of",
  ),
  "value out of range": (
    {"args": (*example.ARGS, "--config.train.steps=-5")},
    "config.train.steps=-5 must be at least 1",
  ),
  "no dataset": (
    {"args": (*WORKDIR, R3D18)},
    "config.data.path is not set",
  ),
  "stray argument": ({"args": (*example.ARGS, "--", "x")}, "unexpected arg"),
  "NUL": ({"args": (*example.ARGS, "--config.seed=1\0")}, "NUL character"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_descriptions(case):
  changes, message = BAD[case]
  with pytest.raises(ConfigError) as error:
    example.run(**changes)
  assert message in str(error.value)
  assert "s3cret" not in str(error.value)


def test_good_descriptions():
  words = ("--debug", "--config.data.cache=/a 'b' \"$c")
  run = example.run(
    "--env=A=b=c", "--env=A_TOKEN_FILE=/etc/token", args=(*example.ARGS, *words)
  )
  assert run.env == (("A", "b=c"), ("A_TOKEN_FILE", "/etc/token"))
  assert run.args == (*example.ARGS, *words)
  even = example.run(args=(*example.ARGS, "--config.data.batch_size=64"))
  assert even.words[-1] == "--config.data.batch_size=64"
  assert example.run(code="gs://bucket/hdc.tar.gz").code


def test_what_has_no_batch_to_split():
  args = (*WORKDIR, *DATA, f"{R3D18}:task=preview")
  assert example.run(slice="v5e:16x16", args=args)


def test_the_batches_of_a_table_that_split():
  assert example.run(args=(*WORKDIR, *TABLE))


def test_the_project_is_that_of_the_libraries():
  run = example.run("--project=mine", "--env=A=b")
  assert run.env == (("GOOGLE_CLOUD_PROJECT", "mine"), ("A", "b"))


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"zone": "moon"}, "--zone=moon"),
    (
      {"args": (*example.ARGS, "--config.method.temperature=0.0")},
      "config.method.temperature=0.0 must be above 0",
    ),
  ],
)
def test_errors_are_one_line(launcher, changes, message, capsys):
  assert launcher.main(example.argv("--project=p", **changes)) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: {message}")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_one_command_line_for_all(launcher, capsys, monkeypatch):
  """And a dry run of it does nothing, and needs no tool for that."""
  monkeypatch.chdir(example.ROOT)
  monkeypatch.setenv("PATH", "/nowhere")
  assert launcher.main(example.argv("--project=mine", "--dry_run")) == 0
  assert "k400-hdc" in capsys.readouterr().out


def test_cloud_tpu_needs_a_project(capsys):
  assert tpu_vm.main(example.argv("--dry_run")) == 2
  assert "error: --project is not set" in capsys.readouterr().err


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_help_teaches(launcher, capsys):
  with pytest.raises(SystemExit):
    launcher.main(["--help"])
  text = capsys.readouterr().out
  name = launcher.__name__
  assert f"python -m {name} --name=k400-hdc --slice=v5e:16x16" in text
  assert "--config=configs/r3d18.py" in text
  assert "--capacity" in text
  assert ", ".join(map(str, outcomes.AGAIN)) in text
  assert len(list(examples(text))) == 1


def test_the_pages_know_what_is_tried_again():
  readme = (example.ROOT / "launch" / "README.md").read_text()
  pods = (example.ROOT / "docs" / "pods.md").read_text()
  for code in outcomes.AGAIN:
    assert f"{code}: " in readme
    assert re.search(rf"^\| {code} \|.*launchers resume", pods, re.MULTILINE)


def test_examples_of_the_pages_would_start():
  pods = (example.ROOT / "docs" / "pods.md").read_text()
  assert len(list(examples(pods))) == 2


def examples(text):
  """The runs that a text has commands for, but those with words left out."""
  for where, args in re.findall(
    r"python -m launch\.[^…\n]*--slice=(\S+).*? -- (.*?[^\\])\n",
    text,
    re.DOTALL,
  ):
    words = shlex.split(args.partition(" > ")[0].replace("\\\n", ""))
    yield example.run(slice=where, args=tuple(words))


@pytest.mark.parametrize(
  ("launcher", "flag", "tool"),
  [(tpu_vm, "--project=p", "gcloud"), (gke, "--apply", "kubectl")],
)
def test_what_is_not_installed(launcher, flag, tool, capsys, monkeypatch):
  monkeypatch.setenv("PATH", "/nowhere")
  assert launcher.main(example.argv(flag)) == 2
  assert f"{tool} is not installed" in capsys.readouterr().err


def test_launchers_import_nothing_heavy():
  """For --help, and for what is wrong before the config is read."""
  code = (
    "import sys;"
    "import launch.tpu_vm, launch.gke, launch.skypilot, launch.slurm;"
    "print({'jax', 'flax', 'numpy'} & set(sys.modules))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=example.ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == "set()\n"


@pytest.mark.slow
def test_reading_the_config_starts_no_accelerator():
  code = (
    "from jax._src import xla_bridge; from tests.launch import example;"
    "example.run(); print(xla_bridge.backends_are_initialized())"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=example.ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == "False\n"
