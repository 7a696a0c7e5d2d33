"""The host script: whatever is asked for arrives, and what it ends with too."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launch import description
from launch.gcloud import ENDED, HOST, Commands
from tests.launch import example

pytestmark = example.READS_CONFIGS

# Anything but NUL, which no argument can have, with what shells trip over.
WORDS = st.text(
  st.characters(exclude_characters="\0", exclude_categories=["Cs"])
  | st.sampled_from("'\"\\ \n\t$`*?~!#;&|<>(){}[]=%"),
  max_size=30,
)
PYTHON = """#!/bin/bash
printf '%s\\0' "$VALUE" "$@" > "$HOME/seen"
exit "${CODE:-0}"
"""
# Each writes down how it is called. uv comes from pip.
NOTE = '#!/bin/bash\necho "${0##*/}" "$@" >> "$HOME/calls"\n'
TOOLS = {
  "git": NOTE,
  "uv": NOTE,
  "sudo": NOTE,
  "gcloud": NOTE + 'tar -cz -C "$HOME" host.sh\n',
  "python3": NOTE + 'install -D "$HOME/bin/uv" "$HOME/hdc/uv/bin/uv"\n',
}


def executable(path, text):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(0o755)


@pytest.fixture
def home(tmp_path):
  """A host with the script copied to it."""
  shutil.copy(HOST, tmp_path / "host.sh")
  (tmp_path / "hdc" / "code").mkdir(parents=True)
  executable(tmp_path / "hdc/venv/bin/python", PYTHON)
  for name, text in TOOLS.items():
    executable(tmp_path / "bin" / name, text)
  return tmp_path


def on_host(home, command, **env):
  """What a command of gcloud ssh does: the login shell runs it at home."""
  path = f"{home / 'bin'}:{os.environ['PATH']}"
  return subprocess.run(
    ["sh", "-c", command],
    cwd=home,
    env={"HOME": str(home), "PATH": path, **env},
    capture_output=True,
    text=True,
    check=False,
  )


def command_of(argv):
  (word,) = [word for word in argv if word.startswith("--command=")]
  return word.removeprefix("--command=")


@settings(
  max_examples=40,
  deadline=None,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(words=st.lists(WORDS, max_size=5), value=WORDS)
def test_any_words_arrive_unchanged(home, words, value):
  args = (*example.ARGS, *words)
  with pytest.MonkeyPatch.context() as patch:
    # The run itself would refuse most words.
    options = argparse.Namespace(workdir="gs://bucket/runs")
    patch.setattr(description, "check_args", lambda *_: options)
    run = example.run(f"--env=VALUE={value}", args=args)
  shutil.rmtree(home / "started", ignore_errors=True)
  done = on_host(home, command_of(Commands(run, "project").start()))
  assert done.returncode == 0, done.stderr
  seen = (home / "seen").read_bytes().decode().split("\0")[:-1]
  assert seen == [value, "-m", "hdc_jax.main", *args]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 137])
def test_the_exit_code_is_passed_on_and_said(home, code):
  run = example.run(f"--env=CODE={code}")
  done = on_host(home, command_of(Commands(run, "project").start()))
  assert done.returncode == code
  assert done.stdout == f"{ENDED} {code}\n"


def test_a_second_start_on_a_slice_ends_as_preempted(home):
  start = command_of(Commands(example.run(), "project").start())
  assert on_host(home, start).returncode == 0
  (home / "seen").unlink()
  assert on_host(home, start).returncode == 5
  assert not (home / "seen").exists()


def test_signals_reach_the_command(home):
  """A pod is stopped by a signal to its first process."""
  executable(
    home / "hdc/venv/bin/python",
    "#!/bin/bash\ntrap 'exit 5' TERM\necho ready\nwhile :; do sleep 0.01; done",
  )
  process = subprocess.Popen(
    ["bash", home / "host.sh", "run"],
    env={**os.environ, "HOME": str(home)}
    | {"HDC_WORDS": example.run().encoded_words},
    stdout=subprocess.PIPE,
    text=True,
  )
  with process:
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(10) == 5


def test_no_command_is_an_error(home):
  assert on_host(home, "bash host.sh run").returncode != 0
  assert on_host(home, "bash host.sh run", HDC_WORDS="").returncode != 0


@pytest.mark.parametrize(
  ("code", "fetched"),
  [
    (
      f"https://github.com/me/hdc-jax.git@{example.COMMIT}",
      f"git fetch --quiet --depth=1 https://github.com/me/hdc-jax.git "
      f"{example.COMMIT}",
    ),
    ("gs://bucket/hdc.tar.gz", "gcloud storage cat gs://bucket/hdc.tar.gz"),
  ],
)
def test_setup_installs_the_code(home, code, fetched):
  run = example.run(code=code)
  done = on_host(home, command_of(Commands(run, "project").setup()))
  assert done.returncode == 0, done.stderr
  calls = (home / "calls").read_text().splitlines()
  assert fetched in calls
  hdc = home / "hdc"
  assert calls[-3:] == [
    f"python3 -m pip install --quiet --target={hdc}/uv uv",
    f"uv venv --quiet --python=3.12 {hdc}/venv",
    f"uv pip install --quiet --python={hdc}/venv/bin/python .[tpu]",
  ]


@pytest.mark.parametrize(
  ("tool", "reached"), [("git", ["sudo"]), ("python3", ["sudo", "git"])]
)
def test_setup_stops_at_what_fails(home, tool, reached):
  executable(home / "bin" / tool, "#!/bin/bash\nexit 7\n")
  setup = command_of(Commands(example.run(), "project").setup())
  assert on_host(home, setup).returncode == 1
  calls = (home / "calls").read_text().splitlines()
  assert list(dict.fromkeys(call.split()[0] for call in calls)) == reached


@pytest.mark.parametrize(
  ("broken", "code"), [("git", 1), ("uv", 1), ("nothing", 2)]
)
def test_a_setup_that_fails_is_not_taken_for_a_run_that_does(
  home, broken, code
):
  """On GKE they share an exit code, and a run's 2 is final."""
  uv = "#!/bin/bash\nmkdir -p ~/hdc/venv/bin; cp ~/python ~/hdc/venv/bin\n"
  executable(home / "bin" / "uv", uv)
  executable(home / "python", PYTHON)
  executable(home / "bin" / broken, "#!/bin/bash\nexit 2\n")
  run = example.run("--env=CODE=2")
  done = on_host(
    home,
    "bash host.sh setup run",
    HDC_CODE=run.code,
    HDC_WORDS=run.encoded_words,
  )
  assert done.returncode == code, done.stderr
  assert (home / "seen").exists() == (code == 2)


def test_shm_grows_where_it_can(home):
  setup = command_of(Commands(example.run(), "project").setup())
  assert on_host(home, setup).returncode == 0
  calls = (home / "calls").read_text().splitlines()
  grow = "sudo --non-interactive mount -o remount,size=90% /dev/shm"
  assert calls[0] == grow
  executable(home / "bin" / "sudo", "#!/bin/bash\nexit 1\n")
  assert on_host(home, setup).returncode == 0


def test_a_host_without_sudo(home):
  (home / "bin" / "sudo").unlink()
  for tool in ("bash", "sh", "rm", "mkdir", "install"):
    (home / "bin" / tool).symlink_to(shutil.which(tool))
  setup = command_of(Commands(example.run(), "project").setup())
  done = on_host(home, setup, PATH=str(home / "bin"))
  assert (done.returncode, done.stderr) == (0, "")


def test_shellcheck():
  installed = pathlib.Path(sys.executable).parent / "shellcheck"
  subprocess.run([installed, HOST], check=True)
