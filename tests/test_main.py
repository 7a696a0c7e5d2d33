"""The command line: what it does, and one clear line for what it cannot."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from hdc_jax import main
from tests import small

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

ROOT = pathlib.Path(__file__).parents[1]

SMALL = ("--config.data.batch_size=4", *small.FLAGS)


def command(*args, module="hdc_jax.main"):
  return [sys.executable, "-m", module, *args]


def environment():
  return os.environ | {"JAX_PLATFORMS": "cpu"}


def run(*args, **changes):
  return subprocess.run(
    command(*args, **changes),
    cwd=ROOT,
    env=environment(),
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


TINY = "--config=configs/tiny.py"

BAD = {
  "no config": ((), 2, "--config is not set"),
  "no such file": (
    ("--config=configs/tny.py",),
    2,
    "--config=configs/tny.py: there is no such file; configs of the package "
    "are c3d, cvrl_r3d50, dsm_c3d, i3d, r2plus1d10, r2plus1d18, r3d101, "
    "r3d152, r3d18, r3d34, r3d50, s3d, slowonly50, tables, tiny; did you mean "
    "tiny?",
  ),
  "no workdir": (
    (TINY, "--config.data.path=x"),
    2,
    "--workdir is not set",
  ),
  "unknown flag": ((TINY, "--wrkdir=x"), 2, "wrkdir"),
  "unknown field": (
    (TINY, "--workdir=x", "--config.optim.lrr=1"),
    2,
    "config.optim: 'lrr' is not one of name, schedule, lr, momentum, decay, "
    "l2, decayed; did you mean 'lr'?",
  ),
  "unknown section": (
    (TINY, "--workdir=x", "--config.optm.lr=1"),
    2,
    "did you mean 'optim'?",
  ),
  "mistyped value": (
    (TINY, "--workdir=x", "--config.data.frames=many"),
    2,
    "config.data.frames=many",
  ),
  "unknown argument": (
    (f"{TINY}:taks=retrieve", "--workdir=x"),
    2,
    "config argument: 'taks' is not one of task",
  ),
  "unknown task": (
    (f"{TINY}:task=train", "--workdir=x"),
    2,
    "config.task: 'train' is not one of pretrain, finetune, linear",
  ),
  "unknown method": (
    (TINY, "--workdir=x", "--config.data.path=x", "--config.method.name=hcd"),
    2,
    "config.method.name: 'hcd' is not one of hdc, cvrl, dsm",
  ),
  "unknown method of a config file": (
    (f"{TINY}:method=hcd", "--workdir=x"),
    2,
    "config.method.name: 'hcd' is not one of hdc, cvrl, dsm",
  ),
  "unknown backbone": (
    (TINY, "--workdir=x", "--config.data.path=x", "--config.model.name=r3d"),
    2,
    "config.model.name: 'r3d' is not one of r3d18, r3d34, r3d50, r3d101",
  ),
  "unknown task of a field": (
    (TINY, "--workdir=x", "--config.task=train"),
    2,
    "config.task: 'train' is not one of pretrain, finetune, linear",
  ),
  "no data": ((TINY, "--workdir=x"), 2, "config.data.path is not set"),
  "missing data": (
    (TINY, "--workdir=x", "--config.data.path=/nowhere"),
    3,
    "/nowhere",
  ),
  "no batch": (
    (TINY, "--workdir=x", "--config.data.path=x", "--config.data.batch_size=0"),
    2,
    "config.data.batch_size=0 must be at least 1",
  ),
  "uneven batch": (
    (TINY, "--workdir=x", "--config.data.path=x", "--config.data.batch_size=9"),
    2,
    "config.data.batch_size=9 does not split over 8 devices: use 8 or 16",
  ),
  "uneven microbatches": (
    (
      TINY,
      "--workdir=x",
      "--config.data.path=x",
      "--config.data.batch_size=16",
      "--config.train.microbatches=4",
    ),
    2,
    "config.train.microbatches=4 does not divide the 2 videos that each device "
    "has of a batch: use 2",
  ),
  "stray argument": ((TINY, "--workdir=x", "pretrain"), 2, "'pretrain'"),
}


@pytest.fixture
def call(monkeypatch, capsys):
  """Calls `main` in this process; gives the exit code and both outputs."""
  monkeypatch.chdir(ROOT)

  def use(*args):
    code = main.main(args)
    return code, *capsys.readouterr()

  return use


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, call):
  args, want, message = BAD[case]
  code, _, stderr = call(*args)
  assert code == want, stderr
  (line,) = stderr.strip().splitlines()
  assert line.startswith("error: ")
  assert message in line


FILES = {
  "syntax": (
    "def get_config(arg=''):\n  return (1,\n",
    ", line 2: SyntaxError",
  ),
  "exception": (
    "def get_config(arg=''):\n  return {}['x']",
    ", line 2: KeyError",
  ),
  "nothing to call": ("config = 1", "AttributeError"),
  "no config": ("get_config = dict", "returns no ConfigDict"),
  "no task": (
    "from ml_collections import ConfigDict\n"
    "get_config = lambda arg: ConfigDict()",
    "config.task: '' is not one of pretrain",
  ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_config_file_is_one_line(case, call, tmp_path):
  text, message = FILES[case]
  path = tmp_path / "mine.py"
  path.write_text(text)
  code, _, stderr = call(f"--config={path}", "--workdir=x")
  assert code == 2, stderr
  (line,) = stderr.strip().splitlines()
  assert line.startswith("error: ")
  assert message in line


@pytest.mark.parametrize("name", ["tiny", "configs/tiny.py", "tiny.py"])
def test_configs_are_found_from_anywhere(name, call, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  code, stdout, _ = call(
    f"--config={name}", "--config.data.path=x", "--dry_run"
  )
  assert code == 0
  assert '"batch_size": 32' in stdout


def test_a_process_ends_with_the_code():
  done = run(TINY, "--workdir=x", "--config.data.path=/nowhere")
  assert done.returncode == 3, done.stderr
  assert done.stderr.startswith("error: ")


def test_debug_shows_the_traceback(call):
  code, _, stderr = call(TINY, "--workdir=x", "--debug")
  assert code == 2
  assert "Traceback" in stderr
  assert "error: config.data.path is not set" in stderr


def test_help_teaches(call, capsys):
  with pytest.raises(SystemExit, match="0"):
    call("--help")
  stdout = capsys.readouterr().out
  assert "--config=configs/r3d18.py" in stdout
  assert "--workdir" in stdout


@pytest.mark.slow
def test_ctrl_c_saves_and_a_rerun_goes_on(prepared, tmp_path):
  """A real process: interrupted, resumed, with its ids at debug level."""
  args = (
    TINY,
    f"--config.data.path={prepared}",
    f"--workdir={tmp_path}",
    "--config.train.steps=100000",
    "--debug",
    *SMALL,
  )
  process = subprocess.Popen(
    command(*args, module="tests.quick"),
    cwd=ROOT,
    env=environment(),
    stderr=subprocess.PIPE,
    text=True,
  )
  seen = []
  for line in process.stderr:
    seen.append(line)
    if sum("batch of" in earlier for earlier in seen) >= 5:
      break
  process.send_signal(signal.SIGINT)
  stderr = "".join(seen) + process.communicate(timeout=120)[1]
  assert process.returncode == 5, stderr
  assert "error: stopped by SIGINT at step" in stderr
  assert "batch of synthetic" in stderr or "batch of" in stderr
  (saved,) = (int(p.name) for p in (tmp_path / "checkpoints").iterdir())

  done = run(
    *args[: -len(SMALL) - 2],
    f"--config.train.steps={saved + 2}",
    *SMALL,
    module="tests.quick",
  )
  assert done.returncode == 0, done.stderr
  assert f"resuming {tmp_path} at step {saved}" in done.stderr
  assert f"{saved + 2}/{saved + 2} steps" in done.stderr
