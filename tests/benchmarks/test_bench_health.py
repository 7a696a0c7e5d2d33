"""The record of the benchmark, at a size that says nothing about cost."""

from benchmarks import bench_health


def test_the_record_is_a_table():
  record = {
    "share": 0.00123,
    "log_every": 10,
    "rows": [
      {"name": n, "seconds": s, "seconds_p10_p90": (s, 2 * s)}
      for n, s in (("step", 1.0), ("measures", 0.0123))
    ],
    "model": "r3d18",
    "method": "hdc",
    "batch_size": 32,
    "device": "2 cores",
  }
  text = bench_health.format_record(record)
  assert "measures     0.0123   0.0123 - 0.0246" in text
  assert "every 10 steps: 0.12% of the time" in text
