"""The shards of a dataset are those of its index, or it is not opened."""

import os
import pathlib
import shutil

import pytest

from hdc_jax.data import sources
from hdc_jax.data.store import checksums
from hdc_jax.data.store.index import Index, Shard
from hdc_jax.errors import DataError


@pytest.fixture
def dataset(prepared, tmp_path):
  """A copy of the prepared dataset, which no one has opened."""
  ignored = shutil.ignore_patterns(checksums.REMEMBERED)
  return pathlib.Path(
    shutil.copytree(prepared, tmp_path / "data", ignore=ignored)
  )


@pytest.fixture
def hashed(monkeypatch):
  """Names of the shards whose bytes are read to find their SHA-256."""
  names = []
  from_file = Shard.from_file

  def watch(path, name, *counts):
    names.append(name)
    return from_file(path, name, *counts)

  monkeypatch.setattr(Shard, "from_file", watch)
  return names


def shards_of(dataset):
  return [dataset / shard.name for shard in Index.load(dataset).shards]


def make_of_equal_size(dataset):
  """Makes two shards equally long, and the index agree with that."""
  paths = shards_of(dataset)
  longest = max(path.stat().st_size for path in paths)
  for path in paths:
    with path.open("ab") as file:
      file.truncate(longest)
  index = Index.load(dataset)
  made = [
    shard.of_file(path) for path, shard in zip(paths, index.shards, strict=True)
  ]
  Index(**{**vars(index), "shards": made}).save(dataset)
  return paths


@pytest.mark.parametrize("opened_before", [False, True])
def test_swapped_shards_of_equal_size_are_named(dataset, opened_before):
  first, second = make_of_equal_size(dataset)
  if opened_before:
    checksums.check(dataset, Index.load(dataset), dataset.parent)
  other = dataset / "other"
  for old, new in ((first, other), (second, first), (other, second)):
    old.rename(new)
  with pytest.raises(DataError) as error:
    sources.open(dataset)
  assert f"{first.name} is {second.name}" in str(error.value)
  assert f"{second.name} is {first.name}" in str(error.value)


@pytest.mark.parametrize("opened_before", [False, True])
def test_a_rotten_shard_is_named(dataset, opened_before):
  if opened_before:
    sources.open(dataset)
  path = shards_of(dataset)[1]
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  for _ in range(2):  # it is not forgiven at the second start
    with pytest.raises(DataError, match=rf"{path.name} is not; delete"):
      sources.open(dataset)


def test_the_second_start_reads_no_shard(dataset, hashed):
  sources.open(dataset)
  assert len(hashed) == 2
  sources.open(dataset)
  assert len(hashed) == 2
  path = shards_of(dataset)[0]
  os.utime(path, (1, 1))
  sources.open(dataset)
  assert hashed[2:] == [path.name]


def test_a_damaged_memory_is_none(dataset, hashed):
  sources.open(dataset)
  (dataset / checksums.REMEMBERED).write_text('{"x": [')
  sources.open(dataset)
  assert len(hashed) == 4


def test_a_read_only_dataset_is_remembered_in_the_cache(
  dataset, hashed, tmp_path, monkeypatch
):
  write_json = checksums.files.write_json

  def refuse(path, value):
    if str(path).startswith(str(dataset)):
      raise PermissionError(13, "Permission denied", str(path))
    write_json(path, value)

  monkeypatch.setattr(checksums.files, "write_json", refuse)
  for _ in range(2):
    sources.open(dataset, cache=tmp_path / "cache")
    assert len(hashed) == 2
