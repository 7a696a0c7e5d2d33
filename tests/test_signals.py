"""Ctrl-C and SIGTERM in every phase of real processes, which have workers."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests import hosts, small

pytestmark = pytest.mark.slow

# Says when signals are about to be handled: Python itself is up.
START = """
from hdc_jax.runtime import commands
print("up", file=__import__("sys").stderr, flush=True)
from hdc_jax import main
commands.leave(main.main())
"""
# The same, where the network does not matter.
QUICK = "from tests import quick\nquick.use(setattr)\n" + START
CODES = {signal.SIGINT: 130, signal.SIGTERM: 5}
LINES = {signal.SIGINT: "interrupted", signal.SIGTERM: "stopped by SIGTERM"}
# Phase → the line after which it begins, and seconds from there to the signal.
PHASES = {
  "importing": ("up", 0.5),
  "starting": ("up", 6.0),
  "compiling": ("compiling the train step …", 0.5),
}


def start(code, *args):
  return subprocess.Popen(
    [sys.executable, "-c", code, *args],
    cwd=hosts.ROOT,
    env=os.environ | {"PYTHONPATH": str(hosts.ROOT), "JAX_PLATFORMS": "cpu"},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )


def pretrain(code, prepared, workdir, steps=100_000):
  return start(
    code,
    "--config=configs/tiny.py",
    f"--config.data.path={prepared}",
    f"--workdir={workdir}",
    "--config.data.workers=2",
    "--config.data.batch_size=8",
    f"--config.train.steps={steps}",
    *small.FLAGS,
  )


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("trained")
  process = pretrain(QUICK, prepared, workdir, steps=1)
  _, stderr = process.communicate(timeout=300)
  assert process.returncode == 0, stderr
  return workdir


def wait_for(process, text):
  for line in process.stderr:
    if text in line:
      return
  pytest.fail(f"ended with {process.wait()} before {text!r}")


def end(process, number):
  """Sends a signal as a terminal or a scheduler does: to all processes."""
  os.killpg(process.pid, number)
  stderr = process.communicate(timeout=120)[1]
  return process.returncode, stderr.splitlines()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", CODES)
def test_before_the_first_step(phase, number, prepared, tmp_path):
  line, seconds = PHASES[phase]
  process = pretrain(START, prepared, tmp_path)
  wait_for(process, line)
  time.sleep(seconds)
  code, lines = end(process, number)
  assert code == CODES[number], lines
  assert lines[-1] == LINES[number]
  assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("number", CODES)
def test_in_a_training(number, prepared, tmp_path):
  process = pretrain(QUICK, prepared, tmp_path)
  wait_for(process, "compiling the train step took")
  wait_for(process, "/100000 steps")
  code, lines = end(process, number)
  assert code == 5, lines
  assert f"error: stopped by {number.name} at step" in lines[-1]
  assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("number", CODES)
def test_in_an_evaluation(number, prepared, trained, tmp_path):
  process = start(
    QUICK,
    "--config=configs/tiny.py:task=retrieve",
    f"--config.data.path={prepared}",
    f"--config.checkpoint={trained}",
    f"--workdir={tmp_path}",
    "--config.data.workers=2",
    *(flag for flag in small.FLAGS if "method" not in flag),
  )
  wait_for(process, "up")
  while not (tmp_path / "config.json").exists():  # the encoding begins
    assert process.poll() is None
    time.sleep(0.1)
  time.sleep(1.0)
  code, lines = end(process, number)
  assert code == CODES[number], lines
  assert lines[-1] == LINES[number]
  assert not any("Traceback" in line for line in lines)
