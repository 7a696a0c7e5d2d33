"""Tables with a header: CSV, TSV and Parquet."""

import sys

import pyarrow
import pyarrow.parquet
import pytest

from hdc_jax.data.datasets import DATASETS, Request
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import files


@pytest.fixture
def root(tmp_path):
  """A folder of empty files, which are not opened."""
  for name in ("a.mp4", "b.mp4", "sub/c d.mp4", "long.mp4"):
    files.write(tmp_path / name, b"")
  return tmp_path


def listing(root, text, name="videos.csv", source=None, **options):
  if text is not None:
    files.write(root / name, text.encode())
  tables = (str(root / name),)
  request = Request(source, None, "", 1, 0, 1, tables, **options)
  return DATASETS["table"].list_videos(request)


def by_id(found):
  return {video.id: video for video in found.videos}


def test_a_column_is_a_label_and_splits_are_named(root):
  found = listing(
    root,
    "path,action,Split,group,scene\n"
    "a.mp4,walk,training,g1,\n"
    'sub/c d.mp4,"run, fast",Test,g2,inside\n'
    "./b.mp4,walk,validation,,outside\n",
  )
  assert found.label_names == {
    "action": ["run, fast", "walk"],
    "scene": ["inside", "outside"],
  }
  videos = by_id(found)
  assert videos["a.mp4"].labels == {"action": ((0, 1),)}
  assert videos["sub/c d.mp4"].labels == {
    "action": ((0, 0),),
    "scene": ((0, 0),),
  }
  assert videos["b.mp4"].path == str(root / "b.mp4")
  splits = {key: video.splits for key, video in videos.items()}
  assert splits == {
    "a.mp4": ("train",),
    "b.mp4": ("val",),
    "sub/c d.mp4": ("test",),
  }
  assert [videos[k].group for k in sorted(videos)] == ["g1", "", "g2"]
  assert found.notes == [
    f"{root}/videos.csv: table with columns, 3 rows, splits test, train, val"
  ]


def test_several_splits_are_folds(root):
  found = listing(
    root,
    "path\tsplit1\tsplit2\na.mp4\ttrain\ttest\nb.mp4\ttest\ttrain\n"
    "sub/c d.mp4\ttrain\t\n\n",
    name="videos.tsv",
  )
  splits = {key: video.splits for key, video in by_id(found).items()}
  assert splits == {
    "a.mp4": ("train1", "test2"),
    "b.mp4": ("test1", "train2"),
    "sub/c d.mp4": ("train1",),
  }
  assert found.label_names == {}


def test_parts_of_a_long_video_are_videos(root):
  found = listing(
    root,
    "path,start,end,class,split\nlong.mp4,0,1.5,walk,train\n"
    "long.mp4,1.5,,run,train\nlong.mp4,100.125,200.25,walk,test\na.mp4,,,run,\n",
  )
  parts = {
    video.id: (video.start, video.end, video.group) for video in found.videos
  }
  assert parts == {
    "a.mp4": (0, None, ""),
    "long.mp4@0-1.5": (0, 1.5, "long.mp4"),
    "long.mp4@1.5-": (1.5, None, "long.mp4"),
    "long.mp4@100.125-200.25": (100.125, 200.25, "long.mp4"),
  }
  assert len({video.path for video in found.videos}) == 2
  assert by_id(found)["a.mp4"].splits == ()


def test_a_column_may_have_several_classes(root):
  found = listing(
    root, "path,actions[],name\na.mp4,run;walk|run,x;y\nb.mp4,,z\n"
  )
  assert found.tag_names == {"actions": ["run", "walk"]}
  assert found.label_names == {"name": ["x;y", "z"]}
  videos = by_id(found)
  assert videos["a.mp4"].tags == {"actions": [0, 1]}
  assert videos["b.mp4"].tags == {"actions": []}


def test_numbers_are_sorted_as_numbers(root):
  found = listing(root, "path,class\na.mp4,10\nb.mp4,9\nlong.mp4,2\n")
  assert found.label_names == {"class": ["2", "9", "10"]}


def test_parquet_is_read_like_text(root):
  columns = {
    "path": ["a.mp4", "b.mp4", "long.mp4"],
    "class": [2.0, None, 0.0],  # as pandas has integers with gaps
    "actions": [["run", "walk"], [], None],
    "split": ["train", "test", None],
    "end": [None, 2.5, None],
  }
  pyarrow.parquet.write_table(pyarrow.table(columns), root / "v.parquet")
  found = listing(root, None, name="v.parquet")
  videos = by_id(found)
  assert found.label_names == {"class": ["0", "2"]}
  assert found.tag_names == {"actions": ["run", "walk"]}
  assert videos["a.mp4"].labels == {"class": ((0, 1),)}
  assert videos["a.mp4"].tags == {"actions": [0, 1]}
  assert videos["b.mp4@0-2.5"].labels == {}
  assert videos["b.mp4@0-2.5"].end == 2.5
  assert videos["long.mp4"].splits == ()


def test_parquet_needs_pyarrow(root, monkeypatch):
  files.write(root / "v.parquet", b"")
  monkeypatch.setitem(sys.modules, "pyarrow", None)
  with pytest.raises(ConfigError, match=r"v.parquet: .*`pip install pyarrow`"):
    listing(root, None, name="v.parquet")


def test_tables_in_a_bucket(buckets):
  for name in ("a.mp4", "b.mp4"):
    files.write(f"gs://b/v/{name}", b"1")
  files.write("gs://b/t.csv", b"path,class\nv/a.mp4,x\ngs://b/v/b.mp4,y\nc,x\n")
  request = Request(None, None, "", 1, 0, 1, ("gs://b/t.csv",))
  found = DATASETS["table"].list_videos(request)
  paths = {video.id: video.path for video in found.videos}
  assert paths == {"v/a.mp4": "gs://b/v/a.mp4", "v/b.mp4": "gs://b/v/b.mp4"}
  assert found.left_out == {"missing": ["c"]}


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("path,class\na.mp4,x\nb.mp4\n", r"videos.csv line 3: has 1 cells instead"),
    ("path,class\n,x\n", r"videos.csv line 2: has no path"),
    ("path,start\na.mp4,soon\n", r"videos.csv line 2: start=soon is no time"),
    ("path,start\na.mp4,-1\n", r"line 2: start=-1 is no time"),
    ("path,end\na.mp4,nan\n", r"line 2: end=nan is no time"),
    ("path,start,end\na.mp4,3,3\n", r"line 2: end=3 is not after start=3"),
    ("path,class,Class\na.mp4,x,y\n", r"several columns 'class'"),
    ("path,class,class[]\na.mp4,x,y\n", r"several columns 'class'"),
    ("path,\na.mp4,x\n", r"has a column without a name"),
    ("path,class\n", r"videos.csv: lists no videos"),
    ("", r"videos.csv: lists no videos"),
    ("video,class\na.mp4,x\n", r"line 1: 'video,class' is no .*column 'path'"),
    ("path\x00", r"videos.csv: is no text"),
    ("path\nnone.mp4\n", r"none of 1 listed .* line 2: .*none.mp4; --source"),
    ("path\nsub\n", r"line 2: .*sub is a folder, perhaps of frames"),
    ("path,class\na.mp4,x\na.mp4,y\n", r"a.mp4: .*line 3 contradicts .*line 2"),
    (
      "path,split\na.mp4,train\na.mp4,test\n",
      r"a.mp4: .*line 3, .*line 2: it is in train and in test",
    ),
  ],
)
def test_errors_are_one_line_with_file_and_line(root, text, message):
  with pytest.raises(DataError, match=message) as raised:
    listing(root, text)
  assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read(root):
  for name, message in {
    "no.csv": "--table=.*no.csv: No such file",
    "no.parquet": "--table=.*no.parquet: No such file",
    "a.mp4/x.parquet": "Not a directory",
    "bad.parquet": "bad.parquet: is no Parquet file",
    "b.parquet": "b.parquet: has no column 'path', but video",
  }.items():
    files.write(root / "bad.parquet", b"no")
    pyarrow.parquet.write_table(
      pyarrow.table({"video": ["a.mp4"]}), root / "b.parquet"
    )
    with pytest.raises(DataError, match=message):
      listing(root, None, name=name)
  with pytest.raises(ConfigError, match="--table_format is of no use"):
    listing(root, "path\na.mp4\n", table_format="frames")


def test_everything_left_out_is_counted(root):
  text = "path,class\na.mp4,x\nno.mp4,x\na.mp4,x\n"
  assert listing(root, text).left_out == {
    "missing": ["no.mp4"],
    "duplicates": ["a.mp4"],
  }
  files.write(root / "read.txt", b"")
  assert listing(root, text, source=str(root)).left_out == {
    "unlisted": ["b.mp4", "long.mp4", "sub/c d.mp4"],
    "not_videos": ["read.txt", "videos.csv"],
    "missing": ["no.mp4"],
    "duplicates": ["a.mp4"],
  }
