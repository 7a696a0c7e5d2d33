"""Real processes on this machine that form one JAX cluster, over loopback."""

import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "jax"


def launch(module, processes, devices, *arguments, timeout=300):
  """Runs a module in several processes; fails with the output of one that did.

  Args:
    module: as for `python -m`; it calls `join` before anything else.
    processes: how many.
    devices: of each.
    *arguments: of the module, after what `join` takes.
    timeout: in seconds.
  """
  with socket.socket() as found:
    found.bind(("localhost", 0))
    port = found.getsockname()[1]
  started = [
    subprocess.Popen(
      [
        *(sys.executable, "-m", module),
        *map(str, (port, processes, index, devices, *arguments)),
      ],
      cwd=ROOT,
      env=os.environ | {"JAX_PLATFORMS": "cpu"},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    for index in range(processes)
  ]
  try:
    outputs = [process.communicate(timeout=timeout)[0] for process in started]
  finally:
    for process in started:
      process.kill()
  for process, output in zip(started, outputs, strict=True):
    assert process.returncode == 0, output


def join(arguments):
  """Joins the cluster; returns the arguments that are left."""
  import jax

  port, processes, index, devices, *rest = arguments
  jax.config.update("jax_num_cpu_devices", int(devices))
  jax.config.update("jax_compilation_cache_dir", str(CACHE))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
  jax.distributed.initialize(f"localhost:{port}", int(processes), int(index))
  return rest
