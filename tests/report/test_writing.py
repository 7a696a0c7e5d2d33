"""The file of a page: whole, the same each time, and of good files only."""

import json
import re

import pytest

from hdc_jax.errors import DataError
from hdc_jax.report import page as report
from tests.report.pages import add_picture, add_predictions, write


def test_predictions_of_other_classes_are_refused(tmp_path, make_run):
  run = make_run()
  add_predictions(run, [0], [0], "split1")
  add_predictions(run, [0], [0], "split2", names="abd")
  with pytest.raises(DataError, match=r"split2.*'class' are not those of"):
    report.write(tmp_path, runs=[run])


def test_damaged_predictions_are_named(tmp_path, run):
  (run / "predictions.npz").write_bytes(b"junk")
  with pytest.raises(DataError, match=r"run/predictions\.npz holds no"):
    report.write(tmp_path, runs=[run])


def test_the_page_loads_nothing(tmp_path, run):
  add_picture(run)
  add_predictions(run, [0, 1], [0, 0])
  page = write(tmp_path, [run])
  for tag, attributes in page.tags:
    assert tag not in ("script", "iframe", "object", "use", "base")
    for name in attributes.keys() & {"src", "href", "xlink:href", "srcset"}:
      assert attributes[name].startswith("data:")
  text = (tmp_path / "out" / "report.html").read_text()
  text = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
  assert not re.search(r"https?://|url\(|@import", text)


def test_the_same_page_for_the_same_runs(tmp_path, run):
  first = report.write(tmp_path / "a", runs=[run]).read_bytes()
  assert report.write(tmp_path / "b", runs=[run]).read_bytes() == first


def test_an_interrupted_write_leaves_the_old_page(tmp_path, run, monkeypatch):
  path = report.write(tmp_path, runs=[run])
  before = path.read_bytes()
  (run / "result.json").write_text(json.dumps({"device": "another"}))

  def fail(*_):
    raise OSError("killed")

  with monkeypatch.context() as patched:
    patched.setattr(type(path), "replace", fail)
    patched.setattr(type(path), "rename", fail)
    with pytest.raises(OSError, match="killed"):
      report.write(tmp_path, runs=[run])
  assert path.read_bytes() == before
  report.write(tmp_path, runs=[run])
  assert b"another" in path.read_bytes()
  assert [p.name for p in tmp_path.glob("report*")] == ["report.html"]


def test_only_process_0_writes(tmp_path, run, monkeypatch):
  monkeypatch.setattr("jax.process_index", lambda: 1)
  assert not report.write(tmp_path, runs=[run]).exists()


def test_damaged_files_are_named(tmp_path, run):
  (run / "config.json").write_text("{")
  with pytest.raises(DataError, match=r"run/config\.json is damaged: "):
    report.write(tmp_path, runs=[run])
