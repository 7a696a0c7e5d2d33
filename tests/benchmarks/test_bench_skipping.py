"""The record of the benchmark, at a size that says nothing about cost."""

from benchmarks import bench_skipping


def test_the_record_is_a_table():
  record = {
    "ratio": 1.0123,
    "ratio_p10_p90": (0.98, 1.05),
    "temporary_bytes": {"guarded": 2_300_000, "without": 2_200_000},
    "rows": [
      {"name": n, "seconds": s, "seconds_p10_p90": (s, 2 * s)}
      for n, s in (("guarded", 1.0), ("without", 0.0123))
    ],
    "model": "r3d18",
    "method": "hdc",
    "batch_size": 32,
    "device": "2 cores",
  }
  text = bench_skipping.format_record(record)
  assert "without      0.0123   0.0123 - 0.0246           2.2" in text
  assert text.endswith("to without: 1.012 (0.980 - 1.050)")
