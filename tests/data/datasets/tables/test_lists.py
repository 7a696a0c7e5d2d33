"""Lists of other code: SlowFast, VideoMAE, V-JEPA, mmaction2 and Kinetics."""

import pytest

from hdc_jax.data.datasets import DATASETS, Request
from hdc_jax.data.datasets.tables.rows import split_of_file
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import files

VIDEOS = ("d/a.mp4", "d/b c.mp4", "e, f/g.mp4", "h 1.mp4")


@pytest.fixture
def root(tmp_path):
  """A folder of empty files, which are not opened."""
  for name in VIDEOS:
    files.write(tmp_path / "videos" / name, b"")
  return tmp_path


def listing(root, tables, source="videos", table_format=None):
  """Lists the videos of tables, of which the texts are given by name."""
  for name, text in tables.items():
    files.write(root / name, text.encode())
  paths = tuple(str(root / name) for name in tables)
  source = source and str(root / source)
  request = Request(source, None, "", 1, 0, 1, paths, table_format)
  return DATASETS["table"].list_videos(request)


def classes(found):
  """Of each video, by id: the names of its classes."""
  names = found.label_names.get("class") or found.tag_names.get("class")
  return {
    video.id: [names[n] for _, n in video.labels.get("class", ())]
    + [names[n] for n in video.tags.get("class", ())]
    for video in found.videos
  }


@pytest.mark.parametrize(
  "line",
  [
    "{} {}",  # SlowFast, mmaction2
    "{}  {}",  # VideoMAE's DATASET.md
    '"{}" {}',  # pandas, as V-JEPA reads it
    "{}::{}",  # V-JEPA, of paths with blanks
    "{},{}",  # SlowFast with PATH_LABEL_SEPARATOR ,
    "{}, {}",
    "{}\t{}",
  ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("absolute", [False, True])
def test_path_and_class(root, line, end, absolute):
  prefix = f"{root}/videos/" if absolute else ""
  numbers = (2, 0, 1, 10)
  lines = [
    line.format(prefix + name, number)
    for name, number in zip(VIDEOS, numbers, strict=True)
  ]
  found = listing(root, {"train.csv": end.join(lines) + end})
  assert classes(found) == {
    name: [str(number)] for name, number in zip(VIDEOS, numbers, strict=True)
  }
  # Sorted as numbers; of these, 10 is the fourth.
  assert found.label_names == {"class": ["0", "1", "2", "10"]}
  assert {video.splits for video in found.videos} == {("train",)}
  assert not found.left_out


def test_numbers_without_gaps_are_their_classes(root):
  text = "".join(f"{name} {n}\n" for n, name in enumerate(VIDEOS))
  found = listing(root, {"train.csv": text})
  assert {v.id: v.labels["class"][0][1] for v in found.videos} == {
    name: n for n, name in enumerate(VIDEOS)
  }


@pytest.mark.parametrize("separator", [" ", ",", "\t", "::"])
def test_names_of_classes(root, separator):
  names = ("walk", "play guitar", "run, fast", "x 2 y")
  lines = [
    f"{video}{separator}{name}"
    for video, name in zip(VIDEOS, names, strict=True)
  ]
  found = listing(root, {"train.txt": "\n".join(lines)})
  assert classes(found) == {
    video: [name] for video, name in zip(VIDEOS, names, strict=True)
  }


def test_paths_alone(root):
  found = listing(root, {"pretrain.txt": "\n".join(VIDEOS)})
  assert sorted(classes(found)) == sorted(VIDEOS)
  assert found.label_names == {}


def test_minus_one_is_no_class(root):
  """As SlowFast's lists for pretraining have it."""
  found = listing(root, {"train.csv": "d/a.mp4 -1\nd/b c.mp4 3\n"})
  assert classes(found) == {"d/a.mp4": [], "d/b c.mp4": ["3"]}


def test_several_classes_are_tags(root):
  """As mmaction2 has them with multi_class=True."""
  text = "d/a.mp4 1 3 5\nd/b c.mp4 3\nh 1.mp4 5 5\n"
  found = listing(root, {"train.txt": text})
  assert found.tag_names == {"class": ["1", "3", "5"]}
  assert classes(found) == {
    "d/a.mp4": ["1", "3", "5"],
    "d/b c.mp4": ["3"],
    "h 1.mp4": ["5"],
  }
  assert all(not video.labels for video in found.videos)


def test_two_numbers_can_be_frames_or_classes(root):
  tables = {"train.txt": "d/a.mp4 3 5\nd/b c.mp4 163 1\n"}
  with pytest.raises(ConfigError, match=r"line 1: .*--table_format=frames or"):
    listing(root, tables)
  found = listing(root, tables, table_format="frames")
  assert classes(found) == {"d/a.mp4": ["5"], "d/b c.mp4": ["1"]}
  assert found.label_names == {"class": ["1", "5"]}
  found = listing(root, tables, table_format="classes")
  assert classes(found) == {"d/a.mp4": ["3", "5"], "d/b c.mp4": ["1", "163"]}
  assert found.tag_names == {"class": ["1", "3", "5", "163"]}


def test_frames_and_several_classes(root):
  tables = {"train.txt": "d/a.mp4 30 5 2\nd/b c.mp4 163 1\n"}
  found = listing(root, tables, table_format="frames")
  assert classes(found) == {"d/a.mp4": ["2", "5"], "d/b c.mp4": ["1"]}


@pytest.mark.parametrize(
  ("text", "choice", "error", "message"),
  [
    ("d 163 1\nd 12 1\n", "frames", DataError, "line 1: .*d is a folder"),
    ("d/a.mp4 163\n", "frames", DataError, "line 1: .* after that of frames"),
    ("d/a.mp4 1\nd/b c.mp4 x\n", None, DataError, "line 2: .*as other lines"),
    ("d/a.mp4 walk\n", "frames", ConfigError, "which has no numbers"),
    ("some text\n", None, DataError, "line 1: 'some text' is no path"),
  ],
)
def test_errors_name_the_line(root, text, choice, error, message):
  with pytest.raises(error, match=message):
    listing(root, {"train.txt": text}, table_format=choice)


def test_files_for_splits(root):
  found = listing(
    root,
    {
      "l/train.csv": "d/a.mp4 0\n",
      "l/val.csv": "d/b c.mp4 1\n",
      "l/test.csv": "d/b c.mp4 1\n",  # VideoMAE: test.csv is the same
    },
  )
  splits = {video.id: video.splits for video in found.videos}
  assert splits == {"d/a.mp4": ("train",), "d/b c.mp4": ("val", "test")}
  assert found.notes[1] == (
    f"{root}/l/val.csv: list of paths, 1 rows, split val"
  )
  with pytest.raises(DataError, match="it is in train and in val"):
    listing(root, {"train.csv": "d/a.mp4 0\n", "val.csv": "d/a.mp4 0\n"})
  with pytest.raises(DataError, match="--table_format=classes to lists"):
    listing(
      root, {"train.csv": "d/a.mp4 0 1\nh 1.mp4 1", "val.csv": "d/b c.mp4 0"}
    )


def test_lists_in_several_folders_need_a_source(root):
  tables = {"l/train.csv": "d/a.mp4 0", "m/val.csv": "d/b c.mp4 1\n"}
  with pytest.raises(ConfigError, match="--source is missing"):
    listing(root, tables, source=None)
  assert len(listing(root, tables).videos) == 2


@pytest.mark.parametrize(
  ("name", "split"),
  [
    ("kinetics400_train_list_videos.txt", "train"),
    ("ucf101_val_split_3_videos.txt", "val3"),
    ("trainlist01.txt", "train1"),
    ("testlist03.txt", "test3"),
    ("ssv2_validation.csv", "val"),
    ("Test.CSV", "test"),
    ("videos.csv", "train"),
    ("latest.csv", "train"),
  ],
)
def test_splits_of_files(name, split):
  assert split_of_file(f"val/{name}") == split


KINETICS = "label,youtube_id,time_start,time_end,split,is_cc\n"


@pytest.mark.parametrize("pattern", ["{}_000009_000019.mp4", "x/{}.mkv"])
def test_kinetics(tmp_path, pattern):
  ids = ("-_0aaaaaaaa", "bbbbbbbbbbb", "ccccccccccc")
  for name in ids[:2]:
    files.write(tmp_path / "videos" / pattern.format(name), b"")
  files.write(tmp_path / "videos" / "other.mp4", b"")
  rows = {
    "train": f'"air, drumming",{ids[0]},9,19,train,0\n',
    "val": f"abseiling,{ids[1]},9.0,19.0,validate,0\n"
    f"abseiling,{ids[2]},9,19,validate,1\n",
  }
  found = listing(tmp_path, {f"{k}.csv": KINETICS + v for k, v in rows.items()})
  assert classes(found) == {
    pattern.format(ids[0]): ["air, drumming"],
    pattern.format(ids[1]): ["abseiling"],
  }
  assert [video.splits for video in found.videos] == [("train",), ("val",)]
  assert found.label_names == {"class": ["abseiling", "air, drumming"]}
  assert found.left_out == {
    "unlisted": ["other.mp4"],
    "missing": [f"{ids[2]}_000009_000019"],
  }


def test_bad_rows_of_kinetics(tmp_path):
  for name in ("d/a_000001_000002.mp4", "e/a_000001_000002.mp4"):
    files.write(tmp_path / "videos" / name, b"")
  for row, message in {
    "x,a,1,2,train,0": "line 2: the video has several files: 2 .*keep one",
    "x,a,,2,train,0": "line 2: has no youtube_id, time_start or time_end",
    "x,a,one,2,train,0": "line 2: time_start=one is no time in seconds",
    "x,a,1,2": "line 2: has 4 cells instead of 6",
  }.items():
    with pytest.raises(DataError, match=message):
      listing(tmp_path, {"train.csv": KINETICS + row})
