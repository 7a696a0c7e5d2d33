"""The index of a dataset: what is read is what was written, or an error."""

import dataclasses
import json

import numpy as np
import pytest
from etils import epath

from hdc_jax.data.store.index import Index, Shard
from hdc_jax.errors import ConfigError, DataError


@pytest.fixture
def index():
  return Index(
    fingerprint="f",
    request="r",
    codec="h264",
    short_side=128,
    num_videos=7,
    num_frames=700,
    labels={"class": ["a", "b"]},
    splits={"train": [(0, 3), (5, 7)], "test": [(3, 5)]},
    shards=[Shard("shard-0", 7, 9, 10, "00")],
    skipped=[{"id": "x", "reason": "broken"}],
    official={"videos": 9, "train": 6},
    left_out={"missing": 1},
  )


def test_an_index_comes_back_whole(index, tmp_path):
  index.save(tmp_path)
  again = Index.load(str(tmp_path))
  np.testing.assert_array_equal(again.split("train"), [0, 1, 2, 5, 6])
  again.save(tmp_path / "..")
  assert Index.load(tmp_path / "..") == again
  assert again.shards == index.shards
  assert again.labels == index.labels


def test_an_index_without_official_numbers_is_read(index, tmp_path):
  """As those were that were written before there were any."""
  index.save(tmp_path)
  fields = json.loads((tmp_path / "index.json").read_text())
  del fields["official"], fields["left_out"]
  write(tmp_path, json.dumps(fields))
  again = Index.load(tmp_path)
  assert again == dataclasses.replace(again, official={}, left_out={})
  np.testing.assert_array_equal(again.split("test"), [3, 4])


def test_splits_are_record_numbers(index):
  np.testing.assert_array_equal(index.split("test"), [3, 4])
  assert index.split("test").dtype == np.int64
  with pytest.raises(ConfigError, match=r"no split 'val'.* test, train"):
    index.split("val")
  numbered = dataclasses.replace(index, splits={"train1": [], "train2": []})
  with pytest.raises(ConfigError, match=r"no split 'train'.* train1, train2"):
    numbered.split("train")


def test_an_index_is_written_whole_or_not_at_all(index, tmp_path, monkeypatch):
  index.save(tmp_path)
  before = (tmp_path / "index.json").read_bytes()
  changed = dataclasses.replace(index, num_videos=8)

  def crash(self, target):
    raise KeyboardInterrupt

  monkeypatch.setattr(type(epath.Path(tmp_path)), "replace", crash)
  with pytest.raises(KeyboardInterrupt):
    changed.save(tmp_path)
  assert (tmp_path / "index.json").read_bytes() == before


@pytest.mark.parametrize(
  ("prepare", "message"),
  [
    (lambda path: path.rmdir(), "no such directory"),
    (lambda path: None, r"no index\.json; .*python -m hdc_jax\.prepare"),
    (lambda path: write(path, "{"), "not an index"),
    (lambda path: write(path, "[]"), "not an index"),
    (lambda path: write(path, '{"version": 1}'), "not an index"),
    (lambda path: write(path, '{"version": 2}'), "not an index"),
    (lambda path: write(path, '{"version": 4}'), "version 4, .* 1, 2, 3;"),
    (lambda path: write(path, '{"version": true}'), "version True, .* 1, 2, 3"),
  ],
)
def test_what_is_no_index_is_an_error(tmp_path, prepare, message):
  directory = tmp_path / "data"
  directory.mkdir()
  prepare(directory)
  with pytest.raises(DataError, match=message):
    Index.load(directory)


def write(directory, text):
  (directory / "index.json").write_text(text)


def test_missing_and_cut_shards_are_named(index, tmp_path):
  shard = tmp_path / "shard-0"
  with pytest.raises(DataError, match="shard-0: this shard is missing"):
    index.check_shards(tmp_path)
  shard.write_bytes(b"123456789")
  with pytest.raises(DataError, match=r"shard-0.* 9 bytes instead of 10"):
    index.check_shards(tmp_path)
  shard.write_bytes(b"1234567890")
  index.check_shards(tmp_path)


def test_the_index_holds_nothing_per_video(index, tmp_path):
  many = dataclasses.replace(
    index, num_videos=20_000_000, splits={"train": [(0, 20_000_000)]}
  )
  many.save(tmp_path)
  assert (tmp_path / "index.json").stat().st_size < 2000
  assert json.loads((tmp_path / "index.json").read_text())["num_videos"] == 2e7
