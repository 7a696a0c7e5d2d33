"""The record of the benchmark, of a loss that is not split."""

from benchmarks import bench_loss
from tests import small


def test_the_record_is_a_table():
  learning = small.options(method__blocks=(5,), method__weights=(1.0,))
  record = bench_loss.measure_loss(learning, [8])
  (row,) = record["rows"]
  # A small batch is one block: the same program.
  assert row["in_blocks"] == row["as_a_whole"] > 0
  row |= {"batch_size": 32768, "in_blocks": 64e7, "as_a_whole": 1295e8}
  assert "  32,768     0.64 GB    129.50 GB" in bench_loss.format_record(record)
