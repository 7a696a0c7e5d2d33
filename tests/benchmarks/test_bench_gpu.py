"""One batch after the other, on a stand-in for `bench_step`."""

import json

import pytest

from benchmarks import bench_gpu

STEP = """\
import json, os, pathlib, sys
flags = dict(a.lstrip("-").split("=") for a in sys.argv[1:] if "=" in a)
assert "compile" in str(sys.argv)
assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
batch = int(flags["batch"])
if batch > 512:
  sys.exit("loading\\nerror: RESOURCE_EXHAUSTED: out of memory")
rates = {
  "hdc_jax": 900, "on ready views": 1300, "torch": 800, "torch compiled": 1000
}
record = {
  "rows": [{"name": n, "clips_per_second": r} for n, r in rates.items()],
  "flops_per_second": 4e14, "peak_bytes": 5e9, "model": "r3d18",
  "method": "hdc", "dtype": "bfloat16", "device": "1 × GPU",
  "field": flags["config.model.width"], "steps": flags["steps"],
}
pathlib.Path(flags["json"]).write_text(json.dumps(record))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
  """A `bench_step` that fits up to 512 videos, and a GPU."""
  package = tmp_path / "benchmarks"
  package.mkdir()
  (package / "bench_step.py").write_text(STEP)
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  monkeypatch.setattr(bench_gpu, "platform", lambda: "gpu")
  return tmp_path


ARGV = ("--config=configs/r3d18.py", "--config.model.width=8")


def test_batches_double_until_one_does_not_fit(stand_in, capsys):
  path = stand_in / "gpu.json"
  argv = [*ARGV, "--batch=128", "--steps=3", f"--json={path}"]
  assert bench_gpu.main(argv) == 0
  batches = json.loads(path.read_text())["batches"]
  assert [b["batch"] for b in batches] == [128, 256, 512, 1024]
  assert [b.get("field") for b in batches] == ["8", "8", "8", None]
  assert batches[0]["steps"] == "3"
  failed = "error: RESOURCE_EXHAUSTED: out of memory"
  assert batches[-1] == {"batch": 1024, "failed": failed}
  out = capsys.readouterr().out
  assert f"1024 videos: {failed}" in out
  assert "hdc step of r3d18, bfloat16, on 1 × GPU" in out
  # Of the step on ready views to the faster of the two peers.
  assert "1.3" in out.splitlines()[-2]


def test_no_batch_is_begun_that_would_take_too_long(stand_in, monkeypatch):
  clock = iter(range(0, 10_000, 100))
  monkeypatch.setattr(bench_gpu.time, "monotonic", lambda: next(clock))
  arguments = [*ARGV, "--steps=1", "--compile"]
  # A batch takes 100 s, and each look at the clock another 100 s.
  found = list(bench_gpu.measure_batches(arguments, 128, minutes=11))
  assert [f["batch"] for f in found] == [128, 256]


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
  monkeypatch.setattr(bench_gpu, "platform", lambda: "cpu")
  assert bench_gpu.main(list(ARGV)) == 2
  assert "JAX finds no GPU, but cpu" in capsys.readouterr().err
