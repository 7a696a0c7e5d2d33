"""Runs commands on a disk that fails, again and again in one process.

`full_disk.c` is loaded before the C library and counts what needs a disk. The
input is a line of JSON for each run, and so is the output. This is one process,
as a start takes longer than all that a run does.
"""

import concurrent.futures
import hashlib
import json
import mmap
import os
import pathlib
import shutil
import struct
import sys
import traceback

import jax
import numpy as np
import orbax.checkpoint as ocp

from tests import quick, small

FIELDS = struct.Struct("4l")  # of `struct disk`
FOREVER = 1 << 40
# What differs between two runs of the same command.
_TIMES = (
  *("seconds", "goodput", "clips_per_second", "data_wait", "hours"),
  *("device_seconds", "videos_per_second"),
)
_MAIN = ("--config.data.threads=1", *small.FLAGS)


def commands(root):
  """The command line of each kind of run, below a directory."""
  tiny, data = "--config=configs/tiny.py", f"--config.data.path={root}/data"
  test = [flag for flag in _MAIN if "method" not in flag]
  trained = f"--config.checkpoint={root}/trained"
  return {
    "prepare": [
      *("--dataset=synthetic", f"--output={root}/run", "--videos=4"),
      *("--short_side=32", "--shards=2", "--workers=1"),
    ],
    "pretrain": [
      *(tiny, data, f"--workdir={root}/run", "--config.data.batch_size=2"),
      *("--config.train.steps=2", "--config.train.checkpoint_every=1"),
      *("--config.train.log_every=1", *_MAIN),
    ],
    "embed": [
      *(f"{tiny}:task=embed", data, trained, f"--workdir={root}/run", *test),
    ],
    "retrieve": [
      *(f"{tiny}:task=retrieve", data, trained, f"--workdir={root}/run", *test),
    ],
  }


class Disk:
  """The file that `full_disk.c` shares with this process."""

  def __init__(self, path):
    with open(path, "r+b") as file:
      self._shared = mmap.mmap(file.fileno(), 0)
    self._log = pathlib.Path(f"{path}.log")

  def arm(self, first=0, last=0, error=0):
    self._log.write_text("")
    FIELDS.pack_into(self._shared, 0, 0, first, last, error)

  def calls(self):
    """Each call as its number, whether it failed, what it was, and where."""
    lines = self._log.read_text(errors="surrogateescape").splitlines()
    return [line.split(" ", 3) for line in lines]


def result(run):
  """What a run has left: the content of its files, without times."""
  found = {}
  for path in sorted(p for p in run.rglob("*") if p.is_file()):
    name = str(path.relative_to(run))
    folder, kind = name.split("/")[0], name.rpartition(".")[2]
    if folder in ("checkpoints", "tensorboard", "goodput.json"):
      continue  # one is read below, and the others are accounts of the run
    if kind == "jsonl":
      lines = map(json.loads, path.read_text().splitlines())
      found[name] = [_timeless(line) for line in lines]
    elif kind == "json":
      found[name] = _timeless(json.loads(path.read_text()))
    elif kind == "npz":
      with np.load(path) as file:
        found[name] = {k: v.tolist() for k, v in file.items()}
    elif kind == "html":
      found[name] = "</html>" in path.read_text()
    else:
      content = path.read_bytes()
      found[name] = hashlib.sha256(content).hexdigest()
  if (run / "checkpoints").is_dir():
    found["checkpoints"] = _state(run)
  return found


def _state(run):
  """The number and the content of the newest checkpoint, which is whole."""
  from hdc_jax.checkpoints import saving

  with saving.Checkpoints(run) as saved:
    step = saved.newest_whole()
  with ocp.StandardCheckpointer() as reader:
    state = reader.restore(run / "checkpoints" / str(step) / "state")
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(state):
    digest.update(np.asarray(leaf).tobytes())
  left = [p.name for p in (run / "checkpoints").iterdir() if "-tmp" in p.name]
  return [step, digest.hexdigest(), *left]


def _timeless(value):
  if isinstance(value, dict):
    return {k: _timeless(v) for k, v in value.items() if k not in _TIMES}
  return [_timeless(v) for v in value] if isinstance(value, list) else value


def call(kind, root):
  """Runs a command; gives its exit code and what it has said on stderr."""
  from hdc_jax import main
  from hdc_jax.prepare import command as prepare

  said = root.with_suffix(".stderr")
  kept = os.dup(2)
  with open(said, "wb") as file:
    os.dup2(file.fileno(), 2)
  try:
    function = prepare.main if kind == "prepare" else main.main
    code = function(commands(root)[kind])
  except BaseException:
    traceback.print_exc()
    code = -1
  finally:
    sys.stderr.flush()
    os.dup2(kept, 2)
    os.close(kept)
  return code, said.read_text(errors="replace")


def do_costly_things_once():
  """Lets runs share what they compile and draw, and start no processes."""
  from hdc_jax.report.figures import curves
  from hdc_jax.runtime import workers
  from hdc_jax.tasks import pretrain

  workers.ProcessPoolExecutor = lambda processes, **_: (
    concurrent.futures.ThreadPoolExecutor(processes)
  )
  draw_alike = curves._draw_alike
  pretrain.Learning.make_training = _once(pretrain.Learning.make_training)
  curves._draw_alike = lambda kind, series, draw: draw_alike(
    kind, series, _DRAWN.setdefault(draw, _once(draw))
  )


_DRAWN = {}


def _once(function):
  """The function, with the result of the first call for all."""
  results = []

  def call(*arguments):
    if not results:
      results.append(function(*arguments))
    return results[0]

  return call


def fresh(root, before):
  """Lets the disk be as it was before the run."""
  for path in root.iterdir():
    shutil.rmtree(path)
  for path in before.iterdir():
    shutil.copytree(path, root / path.name)
  (root / "tmp").mkdir(exist_ok=True)


def main(path, root, before):
  root, before = pathlib.Path(root), pathlib.Path(before)
  quick.use(setattr)
  do_costly_things_once()
  disk = Disk(path)
  for line in sys.stdin:
    kind, first, last, error = json.loads(line)
    fresh(root, before)
    disk.arm(first, last, error)
    code, said = call(kind, root)
    outcome = {"code": code, "said": said, "calls": disk.calls()}
    disk.arm()
    if code:
      outcome["again"], outcome["said_again"] = call(kind, root)
    try:
      outcome["result"] = result(root / "run")
    except Exception:
      outcome["result"] = {"unreadable": traceback.format_exc()}
    print("OUTCOME", json.dumps(outcome), flush=True)


if __name__ == "__main__":
  main(*sys.argv[1:])
