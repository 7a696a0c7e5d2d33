"""Folders of videos: which of their folders are splits, and which classes."""

import pytest

from hdc_jax.data import sources
from hdc_jax.data.datasets import DATASETS, Request
from hdc_jax.data.store import index as index_lib
from hdc_jax.runtime import files


def listing(root, *names, output=""):
  """Lists a folder of empty files, which are not opened."""
  for name in names:
    files.write(root / name, b"")
  request = Request(str(root), None, str(output), 1, 0, 1)
  return DATASETS["folder"].list_videos(request)


def described(found):
  """Of each video, by id: the split, and the name of the class."""
  classes = found.label_names.get("class", ())
  return {
    video.id: (
      *video.splits,
      *(classes[n] for ((_, n),) in video.labels.values()),
    )
    for video in found.videos
  }


def test_folders_with_names_of_splits_are_splits(tmp_path):
  found = listing(
    tmp_path,
    *("Training/walk/1.mp4", "Training/run/sub/2.mp4", "test/walk/3.mp4"),
    *("validation/run/4.mp4", "notes/read.txt"),
  )
  assert found.label_names == {"class": ["run", "walk"]}
  assert described(found) == {
    "Training/run/sub/2.mp4": ("train", "run"),
    "Training/walk/1.mp4": ("train", "walk"),
    "test/walk/3.mp4": ("test", "walk"),
    "validation/run/4.mp4": ("val", "run"),
  }
  (note,) = found.notes
  assert note == (
    "folders that are splits: Training (train), test, validation (val); the "
    "folders in them the classes"
  )


@pytest.mark.parametrize(
  "name", ["train", "val", "valid", "validate", "validation", "test", "TESTING"]
)
def test_names_of_splits(tmp_path, name):
  found = listing(tmp_path, "train/a/1.mp4", f"{name}/a/2.mp4")
  (video,) = (v for v in found.videos if v.id.endswith("2.mp4"))
  assert video.splits == (
    {"t": "train" if name == "train" else "test", "v": "val"}[name[0].lower()],
  )


@pytest.mark.parametrize("other", ["walk", "trainer", "test2"])
def test_other_folders_make_all_of_them_classes(tmp_path, other):
  found = listing(tmp_path, "train/a/1.mp4", f"{other}/2.mp4")
  assert described(found) == {
    "train/a/1.mp4": ("train", "train"),
    f"{other}/2.mp4": ("train", other),
  }
  assert not found.notes


def test_without_a_split_to_train_on_folders_are_classes(tmp_path):
  found = listing(tmp_path, "test/1.mp4", "val/2.mp4")
  assert found.label_names == {"class": ["test", "val"]}
  assert {video.splits for video in found.videos} == {("train",)}


def test_splits_without_classes(tmp_path):
  found = listing(tmp_path, "train/1.mp4", "test/2.mp4", "3.mp4")
  assert found.label_names == {}
  assert described(found) == {
    "3.mp4": ("unsorted",),
    "test/2.mp4": ("test",),
    "train/1.mp4": ("train",),
  }
  assert found.notes == [
    "folders that are splits: test, train; without classes",
    "1 videos beside the folders, not in one: split unsorted, without a class",
  ]


def test_stray_videos_do_not_drop_the_labels(tmp_path):
  found = listing(tmp_path, "walk/1.mp4", "run/2.mp4", "3.mp4", "0.mp4")
  assert described(found) == {
    "0.mp4": ("unsorted",),
    "3.mp4": ("unsorted",),
    "run/2.mp4": ("train", "run"),
    "walk/1.mp4": ("train", "walk"),
  }
  assert "2 videos beside the folders" in found.notes[0]


def test_stray_videos_beside_the_classes_of_a_split(tmp_path):
  found = listing(tmp_path, "train/walk/1.mp4", "train/2.mp4", "test/run/3.mp4")
  assert described(found)["train/2.mp4"] == ("unsorted",)
  assert found.label_names == {"class": ["run", "walk"]}


def test_a_flat_folder_has_no_labels(tmp_path):
  found = listing(tmp_path, "1.mp4", "2.mp4")
  assert described(found) == {"1.mp4": ("train",), "2.mp4": ("train",)}
  assert not found.notes
  assert not found.left_out


def test_the_output_below_the_source_is_not_listed(tmp_path):
  files.write(tmp_path / "data" / "index.json", b"")
  found = listing(tmp_path, "1.mp4", "database/2.mp4", output=tmp_path / "data")
  assert not found.left_out
  assert len(found.videos) == 2
  found = listing(tmp_path, output=tmp_path / "elsewhere")
  assert found.left_out == {"not_videos": ["data/index.json"]}


def test_an_unprepared_folder_has_the_same_splits(tmp_path):
  found = listing(
    tmp_path,
    *("train/walk/1.mp4", "train/run/2.mp4", "test/walk/3.mp4", "0.mp4"),
  )
  index = sources.open(tmp_path).index
  assert index.labels == found.label_names
  assert sorted(index.splits) == ["test", "train", "unsorted"]
  for number, video in enumerate(found.videos):
    assert number in index.split(video.splits[0])


def test_an_unprepared_folder_of_one_split_is_that_of_earlier_versions(
  tmp_path,
):
  listing(tmp_path, "walk/1.mp4", "run/2.mp4")
  index = sources.open(tmp_path, short_side=64).index
  names_and_sizes = [["run/2.mp4", 0], ["walk/1.mp4", 0]]
  assert index.fingerprint == index_lib.digest([64, names_and_sizes])
  assert index.splits == {"train": [(0, 2)]}
