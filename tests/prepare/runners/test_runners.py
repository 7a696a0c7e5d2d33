"""Which runners there are, what they need, and where they write."""

import errno
import shutil
import sys

import pytest

from hdc_jax.data import sources
from hdc_jax.data.datasets import VideoFile
from hdc_jax.errors import ConfigError, DataError, StorageError
from hdc_jax.prepare import command as prepare
from hdc_jax.prepare import runners
from hdc_jax.prepare.runners import videos
from tests import layouts
from tests.bucket import Bucket
from tests.prepare.runners.comparing import contents


def test_what_follows_two_dashes_is_for_beam():
  with pytest.raises(
    ConfigError, match=r"--runner=local is not part of: --x=1$"
  ):
    runners.load("local", ["--x=1"])


def test_beam_may_be_missing(monkeypatch, tmp_path, capsys):
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  monkeypatch.delitem(
    sys.modules, "hdc_jax.prepare.runners.beam", raising=False
  )
  args = ["--dataset=synthetic", f"--output={tmp_path}"]
  assert prepare.main([*args, "--runner=DataflowRunner", "--", "--x=1"]) == 2
  assert capsys.readouterr().err == (
    "error: --runner=DataflowRunner needs Apache Beam: "
    "`pip install apache-beam`\n"
  )


def test_unknown_runners_are_refused(tmp_path, capsys):
  args = ["--dataset=synthetic", "--output=x", "--runner=Spark"]
  assert prepare.main(args) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: --runner: invalid choice: 'Spark'")
  assert "SparkRunner" in line


# --- buckets --------------------------------------------------------------


def arguments(made, output):
  return [
    "--dataset=ucf101",
    f"--source={made.source}",
    f"--splits={made.splits}",
    f"--output={output}",
    "--short_side=40",
    "--shards=3",
    "--workers=1",
  ]


@pytest.fixture
def made(tmp_path, buckets):
  """UCF101 in miniature, with a broken file; the same in a bucket."""
  made = layouts.ucf101(tmp_path / "made")
  bad = made.source / "Basketball" / "v_Basketball_g01_c01.avi"
  bad.write_bytes(b"not a video")
  for path in (made.source, made.splits):
    shutil.copytree(path, buckets / "b" / path.relative_to(tmp_path))
  return made


def test_from_bucket_to_bucket(made, tmp_path, buckets, capsys):
  remote = type(made)(
    *(f"gs://b/{path.relative_to(tmp_path)}" for path in made)
  )
  assert prepare.main(arguments(made, tmp_path / "out")) == 0
  assert prepare.main(arguments(remote, "s3://c/out")) == 0
  same = contents(tmp_path / "out", folder=made.source)
  assert contents(buckets / "c/out", folder=remote.source) == same
  assert "prepared s3://c/out" in capsys.readouterr().out
  assert prepare.main(arguments(remote, "s3://c/out")) == 0
  assert "already prepared: s3://c/out" in capsys.readouterr().out
  source = sources.open("s3://c/out", cache=tmp_path / "cache")
  assert len(source.index.skipped) == 1

  # What is lost is made again, and nothing else.
  (buckets / "c/out/shard-00001-of-00003.array_record").write_bytes(b"cut")
  before = (buckets / "c/out/shard-00000-of-00003.array_record").stat()
  assert prepare.main(arguments(remote, "s3://c/out")) == 0
  assert contents(buckets / "c/out", folder=remote.source) == same
  after = (buckets / "c/out/shard-00000-of-00003.array_record").stat()
  assert after.st_mtime_ns == before.st_mtime_ns


@pytest.mark.slow
def test_generated_videos_in_a_bucket(buckets, tmp_path):
  args = ["--dataset=synthetic", "--videos=4", "--short_side=32", "--workers=1"]
  for output in ("gs://b/out", str(tmp_path)):
    assert prepare.main([*args, f"--output={output}"]) == 0
  assert contents(buckets / "b/out") == contents(tmp_path)
  generated = "videos/seed0/000003.mp4"
  assert (buckets / "b/out" / generated).read_bytes() == (
    tmp_path / generated
  ).read_bytes()


def test_a_bucket_that_fails_leaves_no_video_out(
  made, buckets, tmp_path, monkeypatch, capsys
):
  """That would be a smaller dataset for no reason; rerunning goes on."""
  source = f"gs://b/{made.source.relative_to(tmp_path)}"
  remote = type(made)(source, str(made.splits))
  # Processes read this, however they were started.
  monkeypatch.setenv(Bucket.FAILS, "v_Basketball_g02_c01.avi")
  code = prepare.main(arguments(remote, tmp_path / "out"))
  assert code == StorageError.exit_code
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.endswith("v_Basketball_g02_c01.avi: the storage failed: 503")
  assert not (tmp_path / "out" / "index.json").exists()
  monkeypatch.delenv(Bucket.FAILS)
  assert prepare.main(arguments(remote, tmp_path / "out")) == 0
  (skipped,) = sources.open(tmp_path / "out").index.skipped
  assert "g01_c01" in skipped["id"]


def test_a_list_that_a_bucket_fails_to_give_can_be_tried_again(
  made, buckets, tmp_path, monkeypatch, capsys
):
  remote = type(made)(
    *(f"gs://b/{path.relative_to(tmp_path)}" for path in made)
  )
  monkeypatch.setenv(Bucket.FAILS, "classInd.txt")
  code = prepare.main(arguments(remote, tmp_path / "out"))
  assert code == StorageError.exit_code
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.endswith("classInd.txt: the storage failed: 503")


@pytest.mark.parametrize("error", [ConfigError, StorageError, OSError])
def test_what_is_not_the_videos_fault_leaves_none_out(monkeypatch, error):
  def fail(*_, **__):
    raise error(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(videos, "Original", fail)
  file = VideoFile("a.mp4", "a", {}, ("train",))
  with pytest.raises(error, match="No space left on device"):
    videos.prepare_video(file, "h264", 128)


@pytest.mark.parametrize("error", [DataError, RuntimeError, MemoryError])
def test_what_is_leaves_it_out(monkeypatch, error):
  def fail(*_, **__):
    raise error("strange")

  monkeypatch.setattr(videos, "Original", fail)
  file = VideoFile("a.mp4", "a", {}, ("train",))
  assert "strange" in videos.prepare_video(file, "h264", 128).reason


def test_a_place_that_is_none_is_one_line(buckets, tmp_path, capsys):
  args = ["--dataset=folder", f"--output={tmp_path}"]
  assert prepare.main([*args, "--source=gs://b/none"]) == 3
  assert capsys.readouterr().err == (
    "error: --source=gs://b/none: no such directory\n"
  )
  assert prepare.main([*args, "--source=ftp://b/none"]) == 2
  assert "ftp://b/none: is neither local nor gs:// nor s3://" in (
    capsys.readouterr().err
  )
