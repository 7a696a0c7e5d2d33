"""A full disk at every write of a run: one line and a code, and a rerun ends.

The writes are found by tracing a run, see `full_disk.c`, and each of them fails
in a run of its own. `make test` takes a few of them, `make test-slow` all.
"""

import collections
import errno
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import pytest

from hdc_jax import errors
from tests import hosts
from tests.disks import run_on_disk

HERE = pathlib.Path(__file__).parent
FAULTS = int(os.environ.get("HDC_JAX_DISK_FAULTS", "2"))  # of each command
# Codes after which a disk may be mended, and the command run again.
CODES = {
  error.exit_code
  for error in (errors.ConfigError, errors.DataError, errors.StorageError)
}
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("gcc"),
    reason="calls of the C library are replaced: it needs Linux and gcc",
  ),
]


class Runs:
  """A process that runs commands, below a directory whose disk may fail."""

  def __init__(self, folder, prepared):
    self.root, self.before = folder / "root", folder / "before"
    self.root.mkdir()
    shutil.copytree(prepared, self.before / "data")
    (self.before / "data" / "checked.json").unlink(missing_ok=True)
    library, disk = folder / "full_disk.so", folder / "disk"
    subprocess.run(
      [
        *("gcc", "-O1", "-shared", "-fPIC", "-o", library),
        *(HERE / "full_disk.c", "-ldl"),
      ],
      check=True,
    )
    disk.write_bytes(
      run_on_disk.FIELDS.pack(0, 0, 0, 0)
      + struct.pack("4096s", os.fsencode(self.root))
    )
    self._process = subprocess.Popen(
      [
        *(sys.executable, "-m", "tests.disks.run_on_disk"),
        *(disk, self.root, self.before),
      ],
      cwd=hosts.ROOT,
      env=hosts.environment(1)
      | {
        "LD_PRELOAD": str(library),
        "HDC_JAX_TEST_DISK": str(disk),
        "TMPDIR": str(self.root / "tmp"),
      },
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )

  def run(self, kind, first=0, last=0, error=0):
    """Runs a command; calls from the first to the last one fail."""
    print(json.dumps([kind, first, last, error]), file=self._process.stdin)
    self._process.stdin.flush()
    for line in self._process.stdout:
      if line.startswith("OUTCOME "):
        return json.loads(line.removeprefix("OUTCOME "))
    raise AssertionError(f"it has ended with {self._process.wait()}")

  def close(self):
    self._process.kill()
    self._process.communicate()


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory):
  made = Runs(tmp_path_factory.mktemp("disks"), prepared)
  assert made.run("pretrain")["code"] == 0
  shutil.copytree(made.root / "run", made.before / "trained")
  yield made
  made.close()


def kind_of(call):
  """What a call does to which file, without names that differ each time."""
  _, _, what, path = call
  path = re.sub(r"\d{3,}|\.[0-9a-f]{8}\.", "N", path)
  path = re.sub(r"(?<=checkpoints/)\d+|(?<=/d/).*|(?<=/tmp/)\w+", "N", path)
  return what, path


def choose(calls, count):
  """Numbers of calls: one of each kind, from early to late, and then others."""
  numbers = collections.defaultdict(list)
  for call in calls:
    numbers[kind_of(call)].append(int(call[0]))
  # The first one of some kinds, and the last one of the others.
  chosen = [of_kind[-(i % 2)] for i, of_kind in enumerate(numbers.values())]
  if count < len(chosen):
    middles = [(2 * i + 1) / (2 * count) for i in range(count)]
    return [chosen[int(len(chosen) * middle)] for middle in middles]
  others = sorted({n for each in numbers.values() for n in each} - {*chosen})
  return (chosen + others)[:count]


def faults(numbers):
  """How calls fail: one of them, or all from one on; full, broken, read-only.

  Args:
    numbers: Numbers of calls.
  """
  for i, number in enumerate(numbers):
    last = number if i % 2 else run_on_disk.FOREVER
    yield number, last, errno.ENOSPC
    if i % 5 == 0:
      yield number, number, errno.EIO
    if i % 5 == 1:
      yield number, run_on_disk.FOREVER, errno.EROFS


# What a training can do without, and the warning if it cannot be written.
WARNED = {
  "config.json": "config.json is not written: ",
  "metrics.jsonl": "metrics are not up to date: ",
  "report.html": "report.html is not written: ",
}


def wrong_with(outcome, wanted):
  """What is wrong with the end of a run whose disk has failed.

  Args:
    outcome: Of the run, and of a rerun on a sound disk if it has failed.
    wanted: What an undisturbed run leaves.
  """
  code, said, left = outcome["code"], outcome["said"], outcome["result"]
  lines = said.splitlines()
  found = []
  if code and code not in CODES:
    found.append(f"it ends with code {code}")
  if sum(line.startswith("error: ") for line in lines) != bool(code):
    found.append("it does not say in one line what has ended it")
  if any("Traceback" in line for line in lines):
    found.append("it shows a traceback")
  if code and outcome["again"]:
    found.append(f"the rerun ends with code {outcome['again']}")
  for name in wanted.keys() | left.keys():
    warned = not code and WARNED.get(name, "\0") in said
    if wanted.get(name) != left.get(name) and not warned:
      found.append(f"{name} is not what an undisturbed run leaves")
  return found


@pytest.mark.parametrize("kind", run_on_disk.commands(""))
def test_any_write_may_fail(kind, runs):
  undisturbed = runs.run(kind)
  assert undisturbed["code"] == 0, undisturbed["said"]
  calls, wanted = undisturbed["calls"], undisturbed["result"]
  # Everything that is left was seen when it was written.
  seen = {path.replace(".orbax-checkpoint-tmp", "") for *_, path in calls}
  assert seen >= {
    str(path) for path in (runs.root / "run").rglob("*") if path.is_file()
  }
  codes = collections.Counter()
  for first, last, error in faults(choose(calls, FAULTS)):
    outcome = runs.run(kind, first, last, error)
    failed = [call for call in outcome["calls"] if call[1] == "1"]
    codes[outcome["code"]] += 1
    wrong = wrong_with(outcome, wanted)
    assert not wrong, (wrong, failed[:1], outcome)
  print(f"{kind}: {len(calls)} calls, exit codes of runs: {codes}")
