"""Compiled programs are kept on disk, in processes that begin without any."""

import os
import subprocess
import sys

import pytest

from tests import hosts

COMPILE = """
import logging
logging.basicConfig(level=logging.INFO)
import jax
from hdc_jax.distributed import compile_cache
compile_cache.enable()
from jax._src import monitoring
monitoring.register_event_listener(lambda event, **_: print(event))
jax.jit(lambda x: x * 2 + 1)(3.0).block_until_ready()
"""


@pytest.fixture
def run(tmp_path):
  """Compiles a function in a new process; gives its lines."""

  def start(**environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    kept |= {
      "PYTHONPATH": str(hosts.ROOT),
      "JAX_PLATFORMS": "cpu",
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    return subprocess.run(
      [sys.executable, "-c", COMPILE],
      env=kept | environment,
      capture_output=True,
      text=True,
      check=True,
    )

  return start


HIT = "/jax/compilation_cache/cache_hits"


def test_a_second_process_does_not_compile(run, tmp_path):
  first, second = run(), run()
  assert HIT not in first.stdout
  assert HIT in second.stdout
  (directory,) = (tmp_path / "cache" / "hdc_jax" / "compiled").iterdir()
  assert directory.name.startswith("cpu-")
  assert f"compiled programs are kept in {directory}" in first.stderr


@pytest.mark.parametrize(
  "environment",
  [
    {"JAX_ENABLE_COMPILATION_CACHE": "false"},
    {"JAX_COMPILATION_CACHE_DIR": "other"},
    {"XDG_CACHE_HOME": "/dev/null"},
  ],
  ids=lambda e: next(iter(e)),
)
def test_others_are_left_alone(run, tmp_path, environment):
  """Who wants none, has another, or cannot have one."""
  if "JAX_COMPILATION_CACHE_DIR" in environment:
    environment = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "other")}
  assert "are kept in" not in run(**environment).stderr
  assert not (tmp_path / "cache").exists()
