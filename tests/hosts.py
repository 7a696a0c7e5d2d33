"""Real processes on this machine that form one JAX cluster, over loopback."""

import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def free_port():
  """One that nothing listens to."""
  with socket.socket() as found:
    found.bind(("localhost", 0))
    return found.getsockname()[1]


def environment(devices):
  """The environment variables of a process that has CPU devices."""
  return os.environ | {
    "PYTHONPATH": str(ROOT),
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(devices),
  }


def start(commands, devices, directory=ROOT):
  """Starts processes of Python.

  Args:
    commands: the arguments of each.
    devices: of each.
    directory: where they are run; a package there comes first.
  """
  return [
    subprocess.Popen(
      [sys.executable, *map(str, command)],
      cwd=directory,
      env=environment(devices),
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for command in commands
  ]


def finish(started, timeout=300, end=False):
  """Waits for processes, or ends them; gives exit codes and outputs."""
  try:
    if end:
      for process in started:
        process.kill()
    outputs = [process.communicate(timeout=timeout)[0] for process in started]
  finally:
    for process in started:
      process.kill()
  return [
    (process.returncode, output)
    for process, output in zip(started, outputs, strict=True)
  ]


def launch(module, processes, devices, *arguments, timeout=300):
  """Runs a module in several processes; fails with the output of one that did.

  Args:
    module: as for `python -m`; it calls `join` before anything else.
    processes: how many.
    devices: of each.
    *arguments: of the module, after what `join` takes.
    timeout: in seconds.
  """
  port = free_port()
  commands = [
    ("-m", module, port, processes, index, *arguments)
    for index in range(processes)
  ]
  for code, output in finish(start(commands, devices), timeout):
    assert code == 0, output


def join(arguments):
  """Joins the cluster; returns the arguments that are left."""
  import jax

  port, processes, index, *rest = arguments
  jax.distributed.initialize(f"localhost:{port}", int(processes), int(index))
  return rest


def main_commands(processes, *flags):
  """The command of each process of a run of `hdc_jax.main`, see `quick`."""
  port = free_port()
  cluster = (f"--coordinator=localhost:{port}", f"--processes={processes}")
  return [
    ("-m", "tests.quick", *cluster, f"--process={index}", *flags)
    for index in range(processes)
  ]
