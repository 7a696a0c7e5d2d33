"""Signals end a process, whatever its main thread is doing."""

import signal
import subprocess
import sys
import time

import pytest

# A process that does something for as long as it is left to.
PROCESS = """
import ctypes, gc, os, signal, sys, threading, time
from hdc_jax.runtime import commands, interrupts
interrupts.STUCK_SECONDS = float(sys.argv[3])
interrupts.GRACE_SECONDS = 3 * interrupts.STUCK_SECONDS

def sleep():
  print("begun", flush=True)
  time.sleep(60)

def in_native_code():
  print("begun", flush=True)
  ctypes.CDLL(None).sleep(60)

def in_a_callback():
  # It ends early, and what was raised in it goes no further.
  class Callback:
    def __del__(self):
      sleep()
  Callback()
  print("went on", flush=True)
  time.sleep(60)

def clearing_up():
  try:
    sleep()
  finally:
    time.sleep(1)
    print("cleared up", flush=True)

def clearing_up_forever():
  try:
    sleep()
  finally:
    print("clearing up", flush=True)
    time.sleep(60)

def parse(argv):
  if sys.argv[1] == "importing":
    sys.path.insert(0, sys.argv[2])
    try:
      import slow
    except BaseException:
      raise ImportError  # as extensions do
  return commands.make_parser("x", "").parse_args(argv)

def work(_):
  globals()[sys.argv[1]]()

commands.leave(commands.run(parse, work, []))
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 5}
LINES = {signal.SIGINT: "interrupted\n", signal.SIGTERM: "stopped by SIGTERM\n"}
WORK = {
  "sleep": "",
  "in_native_code": "",
  "in_a_callback": "went on\n",
  "clearing_up": "cleared up\n",
  "clearing_up_forever": "clearing up\n",
  "importing": "",
}


def start(work, directory, patience):
  (directory / "slow.py").write_text(
    "import time\nprint('begun', flush=True)\ntime.sleep(60)\n"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", PROCESS, work, directory, str(patience)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == "begun\n"
  return process


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_a_process_in_one_line(work, number, tmp_path):
  process = start(work, tmp_path, patience=1)
  process.send_signal(number)
  stdout, stderr = process.communicate(timeout=30)
  assert (process.returncode, stdout, stderr) == (
    CODES[number],
    WORK[work],
    LINES[number],
  )


@pytest.mark.parametrize("work", ["clearing_up_forever", "in_native_code"])
def test_a_second_signal_ends_it_at_once(work, tmp_path):
  process = start(work, tmp_path, patience=1000)
  process.send_signal(signal.SIGINT)
  if WORK[work]:
    assert process.stdout.readline() == WORK[work]
  else:
    time.sleep(0.3)
  process.send_signal(signal.SIGINT)
  _, stderr = process.communicate(timeout=30)
  assert (process.returncode, stderr) == (130, "interrupted\n")
