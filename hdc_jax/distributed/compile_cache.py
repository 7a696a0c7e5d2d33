"""Compiled programs on disk: what was compiled once is not compiled again."""

import logging
import os
import pathlib
import platform

import jax

_log = logging.getLogger(__name__)

# Bytes of programs to keep; beyond, those go that were not used for longest.
_MOST_BYTES = 4 << 30


def enable() -> None:
  """Keeps compiled programs in the user's cache directory.

  Nothing changes where JAX was told of another directory, by
  `JAX_COMPILATION_CACHE_DIR`, or to keep none, by
  `JAX_ENABLE_COMPILATION_CACHE=false`; nor where the directory cannot be
  written to. Call it after the processes of a run have joined.

  A program for CPUs may not run on another model of CPU, so that each host has
  its own, even if hosts share the directory.
  """
  config = jax.config
  told = config.jax_compilation_cache_dir  # pyrefly: ignore
  if told or not config.jax_enable_compilation_cache:  # pyrefly: ignore
    return
  root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
  backend = jax.default_backend()
  name = f"cpu-{platform.node()}" if backend == "cpu" else backend
  path = pathlib.Path(root).expanduser() / "hdc_jax" / "compiled" / name
  try:
    path.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    _log.debug("compiled programs are not kept: %s", error)
    return
  if not os.access(path, os.W_OK):
    return
  config.update("jax_compilation_cache_dir", str(path))
  config.update("jax_compilation_cache_max_size", _MOST_BYTES)
  _log.info("compiled programs are kept in %s", path)
