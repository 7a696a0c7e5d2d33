"""Comparing commits, on checkouts of a package that computes one number."""

import json
import subprocess

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from benchmarks import compare_commits, outcomes

PREPARE = """
import pathlib, sys
[output] = (a[9:] for a in sys.argv if a.startswith("--output="))
path = pathlib.Path(output)
path.mkdir(parents=True)
(path / "shard-00000-of-00001.array_record").write_bytes(b"packets")
"""
MAIN = """
import json, pathlib, sys
[workdir] = (a[10:] for a in sys.argv if a.startswith("--workdir="))
path = pathlib.Path(workdir)
path.mkdir(parents=True)
for made in path.parents[1].glob("times*"):
  made.write_text(made.read_text() + path.parent.name + "\\n")
lines = [json.dumps({"step": step, "loss": LOSS}) for step in (1, 2)]
(path / "metrics.jsonl").write_text("\\n".join(lines))
"""


@pytest.fixture
def make_checkout(tmp_path):
  """A function that makes a checkout whose runs have a loss."""

  def make(name, loss):
    root = tmp_path / name
    package = root / "hdc_jax"
    package.mkdir(parents=True)
    (package / "prepare.py").write_text(PREPARE)
    (package / "main.py").write_text(MAIN.replace("LOSS", loss))
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
      ["init", "-q"],
      ["add", "."],
      [*identity, "commit", "-qm", "x"],
    ):
      subprocess.run(["git", *command], cwd=root, check=True)
    return root

  return make


@pytest.fixture
def compare(tmp_path, capfd):
  """A function that compares checkouts: exit code and what is printed."""

  def run(before, after, *options):
    code = compare_commits.main(
      [
        f"--before={before}",
        f"--after={after}",
        f"--workdir={tmp_path / 'work'}",
        *options,
      ]
    )
    return code, capfd.readouterr().out

  return run


def test_equal_commits(make_checkout, compare):
  sides = make_checkout("a", "0.5"), make_checkout("b", "0.5")
  assert compare(*sides, "--runs=cvrl,embed") == (
    0,
    "data: 1 shards equal\n"
    "hdc: 2 losses equal\n"
    "cvrl: 2 losses equal\n"
    "embed: 2 losses equal\n",
  )


def test_a_difference_is_named(make_checkout, compare):
  sides = make_checkout("a", "0.5"), make_checkout("b", "0.5 + step * 2e-7")
  code, text = compare(*sides, "--runs=cvrl")
  assert code == 1
  assert "cvrl: 2 differ of 2 losses" in text
  assert "metrics.jsonl step 2: differs by up to 4e-07" in text


def test_a_command_that_fails_is_shown(make_checkout, compare):
  sides = make_checkout("a", "0.5"), make_checkout("b", "1 / 0")
  code, text = compare(*sides, "--runs=dsm-flow")
  assert code == 1
  assert "dsm-flow: FAILED: exit code 1" in text
  assert "--config.method.negative=flow" in text
  assert "ZeroDivisionError" in text


def test_only_a_commit_of_before_is_kept(make_checkout, compare, tmp_path):
  sides = make_checkout("a", "0.5"), make_checkout("b", "0.5")
  times = tmp_path / "work" / "times"
  times.parent.mkdir()
  times.touch()

  def made(*options):
    times.write_text("")
    compare(*sides, "--runs=hdc", *options)
    return times.read_text().split()

  assert made() == ["before", "after"]
  assert made() == ["after"]
  assert made("--steps=3") == ["before", "after"]
  with (sides[0] / "hdc_jax" / "main.py").open("a") as file:
    file.write("# Not committed.\n")
  assert made("--steps=3") == ["before", "after"]
  assert made("--steps=3") == ["before", "after"]


@pytest.fixture
def run(tmp_path):
  """Directory of a run with everything that is compared."""
  path = tmp_path / "run"
  for step in (9, 10):
    state = {"params": {"w": jnp.full(3, step, jnp.bfloat16)}, "step": step}
    with ocp.StandardCheckpointer() as checkpointer:
      checkpointer.save(path / "split1/checkpoints" / f"{step}/state", state)
  np.savez(path / "features.npz", ids=np.array(["a", "b"]), x=np.zeros(2))
  (path / "split1/metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
  rows = [{"name": "split1", "top1": 12.5}]
  (path / "result.json").write_text(json.dumps({"rows": rows}))
  return path


def test_what_is_read_of_a_run(run):
  found = outcomes.read_run(run)
  assert outcomes.count(found) == "4 arrays and 1 losses and 1 results"
  weights = found["arrays", "split1/checkpoints/10 params.w"]
  assert weights.dtype == jnp.bfloat16
  assert weights.tolist() == [10.0] * 3
  assert found["arrays", "features.npz ids"].tolist() == ["a", "b"]
  assert found["losses", "split1/metrics.jsonl step 1"] == 0.5
  assert found["results", "result.json row 0 top1"] == 12.5


def test_differences_by_size(run):
  before = outcomes.read_run(run)
  assert outcomes.differences(before, dict(before)) == []
  after = dict(before)
  del after["results", "result.json row 0 top1"]
  changes = {
    "split1/checkpoints/10 params.w": jnp.full(3, 10.5, jnp.bfloat16),
    "split1/checkpoints/10 step": np.int64(11),
    "features.npz ids": np.array(["a", "c"]),
    # Equal as a number, but not in its bytes.
    "features.npz x": np.array([0.0, -0.0]),
  }
  after |= {("arrays", name): np.asarray(x) for name, x in changes.items()}
  after["losses", "split1/metrics.jsonl step 1"] = np.float32(0.5)
  after["losses", "split1/metrics.jsonl step 2"] = np.float64(0.25)
  lines = outcomes.differences(before, after)
  assert lines[:3] == [
    "result.json row 0 top1: only before",
    "split1/metrics.jsonl step 2: only after",
    "split1/metrics.jsonl step 1: float64[] before, float32[] after",
  ]
  assert [line.split(": ") for line in lines[3:]] == [
    ["features.npz ids", "differs"],
    ["split1/checkpoints/10 step", "differs by up to 1"],
    ["split1/checkpoints/10 params.w", "differs by up to 0.5"],
    ["features.npz x", "differs by up to 0"],
  ]
