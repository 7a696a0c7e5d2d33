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
  "nothing": (
    {"args": (*example.ARGS, "--config.data.batch_size=0")},
    "batch_size=0",
  ),
  "the recipe's batch": (
    {"slice": "v5e:16x16"},
    "--config.data.batch_size=128: 16x16 has 256 chips",
  ),
  "a protocol's batch": (
    {"slice": "v5e:8x8", "args": (*example.ARGS, "--config.task=finetune")},
    "--config.test.batch_size=32: 8x8 has 64 chips",
  ),
  "of an evaluation": (
    {"slice": "v5e:8x8", "args": (*WORKDIR, f"{R3D18}:task=retrieve")},
    "--config.test.batch_size=32: 8x8 has 64 chips",
  ),
  "no such config": (
    {"args": (*WORKDIR, "--config=configs/r4d18.py")},
    "cannot read configs/r4d18.py",
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


@pytest.mark.parametrize(
  "config", [f"{R3D18}:task=preview", "--config=configs/tables.py:table=1"]
)
def test_what_has_no_batch_to_split(config):
  assert example.run(slice="v5e:16x16", args=(config, *WORKDIR))


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
  code = (
    "import sys; import launch.tpu_vm, launch.gke, launch.skypilot;"
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
