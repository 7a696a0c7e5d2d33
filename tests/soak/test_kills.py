"""SIGKILL at random moments: reruns end as if nothing had happened.

Each run is killed again and again, after random CPU time or at a random moment
of a save, and its command repeated until it ends. Then all that it has written
is compared with an undisturbed run. Of that run, copies were made while it was
stopped at many moments: each has what a kill leaves. `make test` does so with
HDC, and two kills; `make test-slow` with all methods and tasks.
"""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.runs import metrics
from tests.soak import killing

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("HDC_JAX_KILLS", "0"))  # of all cases together
STEPS, EVERY = 12, 2  # steps of a training, and from one save to the next
_SECONDS = 8.0  # of CPU time that a run takes, until one has ended


@dataclasses.dataclass(frozen=True)
class Case:
  """A command, and how it is killed.

  Attributes:
    arguments: Of `hdc_jax.main`, besides paths.
    share: Of all kills.
    saves: Share of its kills that are in saves.
    cold: Whether each process is a Python of its own.
  """

  arguments: tuple[str, ...]
  share: float
  saves: float = 0.0
  cold: bool = False


_CLIPS = (
  "--config.data.frames=4",
  "--config.data.canvas=32",
  "--config.data.threads=1",
  "--config.model.size=16",
  "--config.model.width=2",
)
_TRAINING = (
  "--config.data.batch_size=4",
  f"--config.train.steps={STEPS}",
  f"--config.train.checkpoint_every={EVERY}",
  "--config.train.log_every=1",
  f"--config.train.keep_checkpoints={STEPS}",
  "--config.train.trackers=()",
)
_HDC = (
  "method=hdc",
  "--config.method.blocks=(5,)",
  "--config.method.weights=(1.0,)",
)


def _pretrain(method, *arguments, share=0.1, cold=False):
  return Case(
    (f"--config=configs/tiny.py:{method}", *_CLIPS, *_TRAINING, *arguments),
    share,
    saves=0.8,
    cold=cold,
  )


def _evaluate(task, *arguments, share=0.06, saves=0.0):
  return Case(
    (
      f"--config=configs/tiny.py:task={task}",
      *_CLIPS,
      "--config.test.clips=1",
      *arguments,
    ),
    share,
    saves,
  )


def _tables():
  """The arguments of table 4: three pretrainings, and their retrievals."""
  by_task = {
    "pretrain": (*_CLIPS, *_TRAINING),
    "retrieve": (*_CLIPS, "--config.test.clips=1"),
  }
  return (
    "--config=configs/tables.py:table=4,base=tiny",
    "--config.pretrain.data.split=train1",
    *(
      flag.replace("--config.", f"--config.{task}.")
      for task, flags in by_task.items()
      for flag in flags
    ),
  )


CASES = {
  "hdc": _pretrain(*_HDC),
  "hdc, microbatches, online probe": _pretrain(
    *_HDC, "--config.train.microbatches=2", "--config.probe.every=4"
  ),
  "hdc, worker processes": _pretrain(
    *_HDC, "--config.data.workers=2", share=0.04, cold=True
  ),
  "cvrl, batch norm": _pretrain(
    "method=cvrl",
    "--config.method.hidden=(8,8)",
    "--config.model.norm=batch",
    "--config.optim.warmup=2",
  ),
  "dsm, triplet": _pretrain("method=dsm", "--config.method.objective=triplet"),
  "dsm, infonce, momentum, queue": _pretrain(
    "method=dsm", "--config.method.momentum=0.9", "--config.method.queue=8"
  ),
  "finetune": _evaluate("finetune", *_TRAINING, share=0.1, saves=0.7),
  "linear": _evaluate(
    "linear", "--config.linear.epochs=3", "--config.linear.warmup_epochs=1"
  ),
  "attentive": _evaluate("attentive", "--config.attentive.epochs=2"),
  "retrieve": _evaluate("retrieve"),
  "bias": _evaluate("bias"),
  "embed": _evaluate("embed", "--config.embed.shard=7"),
  "tables": Case(_tables(), share=0.06, saves=0.5),
}
TESTED = list(CASES) if KILLS else ["hdc"]
_FEW = 2  # kills in `make test`


@pytest.fixture(scope="module")
def server(tmp_path_factory):
  with killing.Server(tmp_path_factory.mktemp("server")) as server:
    yield server


@pytest.fixture(scope="module")
def pretrained(server, prepared, tmp_path_factory):
  """Directory of a run of case hdc, and of copies of it."""
  return _run_and_freeze(
    server,
    [*CASES["hdc"].arguments, f"--config.data.path={prepared}"],
    tmp_path_factory.mktemp("pretrained"),
  )


def _run_and_freeze(server, arguments, directory):
  """Runs a command to its end; gives its directory, and that of the copies.

  It is renamed, as runs of a table name their own directory in what they write,
  and killed runs have the same one.
  """
  workdir, copies = directory / "run", directory / "copies"
  frozen = killing.Frozen(random.Random(str(arguments)), copies)
  end = server.run(arguments, workdir, frozen)
  assert end.code == 0, end.output
  return workdir.rename(directory / "whole"), copies


@pytest.mark.parametrize("name", TESTED)
def test_a_run_that_is_killed_ends_as_if_it_was_not(
  name, server, prepared, pretrained, tmp_path, request
):
  case = CASES[name]
  data = prepared if name != "tables" else request.getfixturevalue("ucf101")
  arguments = [*case.arguments, *_paths(case, data, pretrained[0])]
  whole, copies = (
    pretrained
    if name == "hdc"
    else _run_and_freeze(server, arguments, tmp_path)
  )
  figures = {"case": name} | check_copies(whole, copies)
  print(json.dumps(figures), flush=True)

  rng, seconds = random.Random(f"{name} {KILLS}"), _SECONDS
  kills = max(1, round(case.share * KILLS)) if KILLS else _FEW
  figures = {"case": name, "kills": 0, "in saves": 0, "runs": 0, "lost": 0}
  workdir = tmp_path / "run"
  while figures["kills"] < kills:
    figures["runs"] += 1
    while True:
      again = figures["kills"] < kills
      kill = _draw(rng, case.saves, seconds) if again else None
      end = server.run(arguments, workdir, kill, case.cold)
      if end.code != -signal.SIGKILL:
        break
      figures["kills"] += 1
      figures["in saves"] += end.in_save
      figures["lost"] = max(figures["lost"], _steps_lost(workdir))
      print(json.dumps(figures), flush=True)
    assert end.code == 0, end.output
    seconds = end.cpu
    compare(whole, workdir)
    shutil.rmtree(workdir)
  assert figures["lost"] <= 2 * EVERY
  print(json.dumps(figures | {"equal": True}), flush=True)


def _paths(case, data, checkpoint):
  """The arguments that name directories."""
  if case is CASES["tables"]:
    return f"--config.pretrain.data.path={data}", f"--config.ucf101={data}"
  arguments = [f"--config.data.path={data}"]
  if "task=" in case.arguments[0]:
    arguments.append(f"--config.checkpoint={checkpoint}")
  return arguments


def _draw(rng, saves, seconds):
  """A random kill.

  Args:
    rng: Gives random numbers.
    saves: Probability that it is in a save.
    seconds: CPU time that a run takes which is not killed.
  """
  if rng.random() < saves:
    return killing.InSave(
      rng.randrange(2), rng.randrange(12), rng.random() / 50
    )
  return killing.After(rng.uniform(0.0, seconds))


def _steps_lost(workdir):
  """Steps that are logged, and not in a checkpoint."""
  logged = [line["step"] for line in metrics.read_metrics(workdir)]
  saved = [
    int(path.name)
    for path in workdir.glob("checkpoints/*")
    if path.name.isdigit()
  ]
  return max(logged, default=0) - max(saved, default=0)


_LINES = ("metrics.jsonl", "result.json")
# Fields of results and metrics that depend on the clock.
_TIMES = ("clips_per_second", "data_wait", "goodput")
# Files that depend on it or on their path, of which only names are compared.
_OWN = (
  "report.html",
  "goodput.json",
  ".lock",
  "_CHECKPOINT_METADATA",
  "commit_success.txt",
  "manifest.json",
)


def compare(whole, killed):
  """Compares all that two runs have written, bit for bit but for times."""
  names = _names(whole)
  assert _names(killed) == names
  for name in names:
    _compare_files(whole / name, killed / name)


def _compare_files(one, other):
  if one.name == "state":
    _compare_states(one, other)
  elif one.name in _LINES:
    assert _untimed(other) == _untimed(one), other
  elif one.name not in _OWN:
    assert other.read_bytes() == one.read_bytes(), other


def check_copies(whole, copies):
  """Checks what each kill would have left, and counts.

  After a rerun has cleared up, each file is whole: it is that of the whole run,
  or the first lines of its metrics. No checkpoint is damaged.
  """
  figures = {"copies": 0, "in saves": 0, "lost": 0}
  for copy in copies.glob("moment*"):
    figures["copies"] += 1
    figures["in saves"] += bool(killing.unfinished(copy))
    for directory in [copy, *(p.parent for p in copy.glob("*/**/checkpoints"))]:
      with saving.Checkpoints(directory) as saved:
        saved.clean()
        newest = saved.newest_whole(set_aside=True) or 0
      lines = _untimed(directory / "metrics.jsonl")
      metrics = whole / directory.relative_to(copy) / "metrics.jsonl"
      assert lines == _untimed(metrics)[: len(lines)]
      logged = max((line["step"] for line in lines), default=0)
      assert newest <= logged <= newest + 2 * EVERY, directory
      figures["lost"] = max(figures["lost"], logged - newest)
    for path in filter(pathlib.Path.is_file, copy.rglob("*")):
      if path.name not in (*_OWN, *_LINES):
        same = whole / path.relative_to(copy)
        assert path.read_bytes() == same.read_bytes(), path
  return figures


def _names(workdir):
  """Files below a directory, and the states of checkpoints, as one each."""
  found = set()
  for path in workdir.rglob("*"):
    name = path.relative_to(workdir)
    if "state" in name.parts:
      name = pathlib.Path(*name.parts[: name.parts.index("state") + 1])
    elif path.is_dir():
      continue
    found.add(str(name))
  return sorted(found)


def _untimed(path):
  """The lines of metrics, or a result, without what depends on the clock."""
  text = path.read_text() if path.exists() else ""
  lines = text.splitlines() if path.suffix == ".jsonl" or not text else [text]
  values = [json.loads(line) for line in lines]
  return [{k: v for k, v in x.items() if k not in _TIMES} for x in values]


def _compare_states(one, other):
  trees = [_read_state(path) for path in (one, other)]
  (leaves, tree), (others, same) = map(jax.tree.flatten, trees)
  assert same == tree and len(leaves) > 5
  for x, y in zip(leaves, others, strict=True):
    assert x.dtype == y.dtype
    assert x.tobytes() == y.tobytes(), other


def _read_state(path):
  """The arrays of a checkpoint, as NumPy has them."""
  handler = ocp.PyTreeCheckpointHandler()
  as_numpy = jax.tree.map(
    lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
    handler.metadata(path).tree,
  )
  with ocp.Checkpointer(handler) as reader:
    return reader.restore(
      path, args=ocp.args.PyTreeRestore(restore_args=as_numpy)
    )
