"""The layout of shards is as ArrayRecord writes it."""

import itertools

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter

from hdc_jax.data.store import array_files, records
from hdc_jax.errors import DataError


def write(path, entries):
  writer = ArrayRecordWriter(str(path), records.WRITER_OPTIONS)
  for entry in entries:
    writer.write(entry)
  writer.close()
  return path.read_bytes()


def entries_of(count, most, seed=0):
  rng = np.random.default_rng(seed)
  sizes = rng.integers(1, most, count, endpoint=True)
  return [rng.bytes(int(size)) for size in sizes]


def read_all(data, count):
  tail = data[-array_files.tail_bytes(len(data), count) :]
  offsets = array_files.read_offsets(tail, len(data), count).tolist()
  return [
    array_files.read_record(data[a:b], a)
    for a, b in itertools.pairwise(offsets)
  ]


@pytest.mark.parametrize(
  ("count", "most"),
  [(1, 1), (1, 200_000), (300, 300), (40, 150_000), (12_000, 90), (3, 65_536)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_records_are_those_that_were_written(tmp_path, count, most, seed):
  entries = entries_of(count, most, seed)
  assert read_all(write(tmp_path / "a", entries), count) == entries


@pytest.mark.parametrize("first", range(65_536 - 24 - 200, 65_536 + 40, 13))
def test_records_at_the_bounds_of_blocks(tmp_path, first):
  """The first record is so long that the next ones begin near 64 KiB."""
  entries = [b"a" * first, b"b", b"cd", b"e" * 70_000, b"f"]
  assert read_all(write(tmp_path / "a", entries), 5) == entries


def test_the_end_of_a_file_has_its_footer_in_it(tmp_path):
  """And little else: for many records it is read in one request."""
  data = write(tmp_path / "a", entries_of(12_000, 200))
  tail = array_files.tail_bytes(len(data), 12_000)
  assert tail < 0.3 * len(data)
  assert tail < 12_000 * 12 + 4 * 65_536


def test_another_number_of_records_than_the_index_says(tmp_path):
  data = write(tmp_path / "a", entries_of(20, 50))
  with pytest.raises(DataError, match="it has 20 records instead of 19"):
    array_files.read_offsets(data, len(data), 19)


@pytest.mark.parametrize(
  "options", ["group_size:2,uncompressed", "group_size:1"]
)
def test_a_file_with_other_options(tmp_path, options):
  writer = ArrayRecordWriter(str(tmp_path / "a"), options)
  for entry in entries_of(20, 50):
    writer.write(entry)
  writer.close()
  data = (tmp_path / "a").read_bytes()
  with pytest.raises(DataError):
    array_files.read_offsets(data, len(data), 20)


def test_damage_is_a_data_error_or_harmless(tmp_path):
  """Whatever bytes are changed: no other error, and no endless loop."""
  data = write(tmp_path / "a", entries_of(30, 90))
  footer = int(array_files.read_offsets(data, len(data), 30)[-1])
  rng, failed = np.random.default_rng(0), 0
  for _ in range(900):
    first = int(rng.choice([0, footer, len(data) - 65_536]))
    first += int(rng.integers(500))
    last = first + int(rng.integers(1, 9))
    damaged = data[:first] + rng.bytes(last - first) + data[last:]
    try:
      read_all(damaged, 30)
    except DataError:
      failed += 1
  assert failed > 200
