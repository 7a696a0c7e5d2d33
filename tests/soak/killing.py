"""Processes of `hdc_jax.main` to kill.

`python -m tests.soak.killing` is a server, which has imported all libraries. It
forks a process for each command, so that one starts in a second instead of in
ten.
"""

import contextlib
import dataclasses
import fnmatch
import importlib
import json
import os
import pathlib
import random
import select
import shutil
import signal
import subprocess
import sys
import time

from tests import hosts
from tests.data.clips.test_workers import SITE

_UNFINISHED = "*.orbax-checkpoint-tmp"
_PAUSE = 0.004  # seconds from one look at a process to the next
_TICKS = os.sysconf("SC_CLK_TCK")
_SHARED = pathlib.Path("/dev/shm")


@dataclasses.dataclass(frozen=True)
class After:
  """A kill after so much CPU time, which a busy machine does not stretch."""

  seconds: float


@dataclasses.dataclass(frozen=True)
class InSave:
  """A kill while a checkpoint is being written.

  Attributes:
    saves: Whole saves to let pass.
    changes: Changes of the unfinished checkpoint's files to let pass.
    seconds: From there to the kill.
  """

  saves: int
  changes: int
  seconds: float


@dataclasses.dataclass(frozen=True)
class Frozen:
  """Random moments at which a process is stopped, and its directory copied.

  That is the directory as SIGKILL leaves it at that moment: what the process
  has written is in the hands of the kernel. Then the process goes on.

  Attributes:
    rng: Gives random numbers.
    directory: Gets the copies.
    most: Most copies of each save, and until the next one.
    odds: Probability of a copy at each look at the process, likewise.
  """

  rng: random.Random
  directory: pathlib.Path
  most: tuple[int, int] = (7, 8)
  odds: tuple[float, float] = (0.2, 0.01)


@dataclasses.dataclass(frozen=True)
class End:
  """How a process has ended.

  Attributes:
    code: Its exit code, or minus the signal.
    cpu: CPU time that it took, in seconds.
    output: What it has printed.
    in_save: Whether a checkpoint was unfinished then.
  """

  code: int
  cpu: float
  output: str
  in_save: bool


class Server:
  """Starts processes, one at a time; as a context manager, it ends itself."""

  def __init__(self, directory):
    self._log = directory / "output.txt"
    self._mark = f"kill{os.getpid()}"
    (directory / "sitecustomize.py").write_text(SITE.format(self._mark))
    path = f"{directory}:{hosts.ROOT}"
    with open(directory / "server.txt", "w") as errors:
      self._process = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.killing"],
        cwd=hosts.ROOT,
        # Whatever takes long to compile or not: restarts do not compile.
        env=hosts.environment(1)
        | {
          "PYTHONPATH": path,
          "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
          "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
      )

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._process.stdin.close()
    code = self._process.wait(timeout=60)
    self._process.stdout.close()
    assert code == 0

  def run(self, arguments, workdir, kill=None, cold=False):
    """Runs a command until it ends or is killed.

    Args:
      arguments: Of `hdc_jax.main`.
      workdir: The directory of the run.
      kill: When it is killed; None for never. Of `Frozen`, when it is stopped.
      cold: Whether it is a Python of its own, which imports the libraries.

    Returns:
      How it has ended. No process and no shared memory of it are left.
    """
    command = [*arguments, f"--workdir={workdir}"]
    request = [str(self._log), cold, command]
    self._process.stdin.write(json.dumps(request).encode() + b"\n")
    self._process.stdin.flush()
    pid = int(self._process.stdout.readline())
    if isinstance(kill, After):
      self._wait_for_time(pid, kill.seconds)
    elif isinstance(kill, InSave):
      self._wait_for_save(kill, workdir)
    elif kill:
      self._freeze(pid, kill, workdir)
    if kill:
      _send(pid, signal.SIGKILL)
    code, cpu = json.loads(self._process.stdout.readline())
    output = self._log.read_text(errors="replace")
    self._check_nothing_left(pid)
    return End(code, cpu, output, bool(unfinished(workdir)))

  def _has_ended(self):
    return bool(select.select([self._process.stdout], [], [], 0)[0])

  def _wait_for_time(self, pid, seconds):
    while not self._has_ended() and _cpu_time(pid) < seconds:
      time.sleep(_PAUSE)

  def _wait_for_save(self, kill, workdir):
    seen, passed, before = set(), 0, []
    while not self._has_ended():
      now = unfinished(workdir)  # of which the first is a checkpoint
      seen.update(now[:1])
      if now and now != before and len(seen) > kill.saves:
        passed += 1
        if passed > kill.changes:
          time.sleep(kill.seconds)
          return
      before = now
      time.sleep(_PAUSE if now else 3 * _PAUSE)

  def _freeze(self, pid, frozen, workdir):
    made, count, save = [0, 0], 0, None
    while not self._has_ended():
      now = unfinished(workdir)
      if now and now[0] != save:
        made, save = [0, 0], now[0]
      kind = 0 if now else 1
      may = made[kind] < frozen.most[kind]
      if may and frozen.rng.random() < frozen.odds[kind]:
        _send(pid, signal.SIGSTOP)
        while _stat(pid)[:1] not in ([], ["T"], ["Z"]):
          time.sleep(0.001)
        if workdir.exists():
          shutil.copytree(workdir, frozen.directory / f"moment{count}")
          count, made[kind] = count + 1, made[kind] + 1
        _send(pid, signal.SIGCONT)
      time.sleep(_PAUSE)

  def _check_nothing_left(self, pid):
    deadline = time.monotonic() + 60.0
    while True:
      left = [*_session(pid), *_SHARED.glob(f"*{self._mark}*")]
      if not left:
        return
      assert time.monotonic() < deadline, left
      time.sleep(0.05)


def unfinished(workdir):
  """Unfinished checkpoints below a directory, and what is in them."""
  found = []
  for directory, names, files in os.walk(workdir):  # which may disappear
    path = pathlib.Path(directory)
    if any(fnmatch.fnmatch(part, _UNFINISHED) for part in path.parts):
      found += [path, *(path / name for name in sorted(files))]
    names.sort()
  return found


def _send(pid, signal_number):
  """Sends a signal, unless the process has ended meanwhile."""
  with contextlib.suppress(ProcessLookupError):
    os.kill(pid, signal_number)


def _stat(pid):
  """What comes after the name of a process in /proc; [] if there is none."""
  try:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().split(") ")[-1].split()
  except (FileNotFoundError, ProcessLookupError):
    return []


def _cpu_time(pid):
  return sum(map(int, _stat(pid)[11:13])) / _TICKS


def _session(pid):
  """The processes of a session that have not ended."""
  found = []
  for path in pathlib.Path("/proc").glob("[0-9]*"):
    stat = _stat(path.name)
    if stat and int(stat[3]) == pid and stat[0] != "Z":
      found.append(int(path.name))
  return found


_IMPORTED = (
  "hdc_jax.main",
  "hdc_jax.config.flags",
  "hdc_jax.distributed.compile_cache",
  "hdc_jax.distributed.failures",
  "hdc_jax.runtime.logs",
  "hdc_jax.tasks.dry_run",
  "hdc_jax.tasks.execution",
  "matplotlib.backends.backend_agg",
  "matplotlib.backends.backend_svg",
  "scipy.linalg",
)


def _serve():
  from tests import quick

  quick.use(setattr)
  for name in _IMPORTED:
    importlib.import_module(name)
  for line in sys.stdin:
    request = json.loads(line)
    pid = os.fork()
    if not pid:
      _become(*request)
    print(pid, flush=True)
    _, status, usage = os.wait4(pid, 0)
    cpu = usage.ru_utime + usage.ru_stime
    print(json.dumps([os.waitstatus_to_exitcode(status), cpu]), flush=True)


def _become(log, cold, arguments):
  """Runs a command in this process, which has a session of its own."""
  os.setsid()
  output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
  for number, file in enumerate(
    (os.open(os.devnull, os.O_RDONLY), output, output)
  ):
    os.dup2(file, number)
  if cold:
    command = [sys.executable, "-m", "tests.quick", *arguments]
    os.execv(sys.executable, command)

  from hdc_jax import main
  from hdc_jax.runtime import commands

  commands.leave(main.main(arguments))


if __name__ == "__main__":
  with contextlib.suppress(KeyboardInterrupt):
    _serve()
