"""A description says what is wrong with it before it costs anything."""

import subprocess
import sys

import pytest

from hdc_jax.errors import ConfigError
from launch import gke, skypilot, tpu_vm
from tests.launch import example

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
  "secret": ({"env": "HF_TOKEN=s3cret"}, "--env=HF_TOKEN=…: the environment"),
  "no config": ({"args": ("--workdir=gs://x",)}, "--config"),
  "local workdir": ({"args": (*example.ARGS, "--workdir=runs")}, "gs://"),
  "uneven batch": (
    {"args": (*example.ARGS, "--config.data.batch_size=24")},
    "4x4 has 16 chips",
  ),
  "batch in two words": (
    {"args": (*example.ARGS, "--config.data.batch_size", "24")},
    "4x4 has 16 chips",
  ),
  "no number": (
    {"args": (*example.ARGS, "--config.data.batch_size=all")},
    "batch_size=all",
  ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_descriptions(case):
  changes, message = BAD[case]
  with pytest.raises(ConfigError) as error:
    example.run(**changes)
  assert message in str(error.value)
  assert "s3cret" not in str(error.value)


def test_good_descriptions():
  run = example.run("--env=A=b=c", args=(*example.ARGS, "--", "x"))
  assert run.env == (("A", "b=c"),)
  assert run.args == (*example.ARGS, "--", "x")
  even = example.run(args=(*example.ARGS, "--config.data.batch_size=64"))
  assert even.words[-1] == "--config.data.batch_size=64"
  assert example.run(code="gs://bucket/hdc.tar.gz").code


@pytest.mark.parametrize("launcher", [tpu_vm, gke, skypilot])
def test_errors_are_one_line(launcher, capsys):
  project = ["--project=p"] if launcher is tpu_vm else []
  assert launcher.main(example.argv(*project, zone="moon")) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: --zone=moon")


@pytest.mark.parametrize("launcher", [tpu_vm, gke, skypilot])
def test_help_teaches(launcher, capsys):
  with pytest.raises(SystemExit):
    launcher.main(["--help"])
  text = capsys.readouterr().out
  name = launcher.__name__
  assert f"python -m {name} --name=k400-hdc --slice=v5e:16x16" in text
  assert "--config=configs/r3d18.py" in text
  assert "--capacity" in text


@pytest.mark.parametrize(
  ("launcher", "flag", "tool"),
  [(tpu_vm, "--project=p", "gcloud"), (gke, "--apply", "kubectl")],
)
def test_what_is_not_installed(launcher, flag, tool, capsys, monkeypatch):
  monkeypatch.setenv("PATH", "/nowhere")
  assert launcher.main(example.argv(flag)) == 2
  assert f"{tool} is not installed" in capsys.readouterr().err


def test_launchers_import_nothing_heavy():
  code = (
    "import sys; import launch.tpu_vm, launch.gke, launch.skypilot;"
    "print({'jax', 'flax', 'ml_collections', 'numpy'} & set(sys.modules))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=example.ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout == "set()\n"
