"""Which files are videos."""

import PIL.Image
import pytest

from hdc_jax.data.datasets import discovery
from hdc_jax.data.datasets.base import find_source_files, find_videos
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

# Extensions of videos that version 0.1.0 overlooked.
OVERLOOKED = (
  *("gif", "f4v", "mpeg4", "divx", "y4m", "dv", "m2v", "mxf", "rm", "rmvb"),
  *("h264", "264", "h265", "265", "hevc", "ivf", "nut", "3g2", "qt", "ogm"),
)


@pytest.mark.parametrize("extension", OVERLOOKED)
def test_extensions_of_videos(tmp_path, extension):
  files.write(tmp_path / f"a.{extension.upper()}", b"")
  assert find_videos(tmp_path) == [f"a.{extension.upper()}"]


def test_no_extension_is_of_both_kinds():
  assert not discovery.EXTENSIONS & discovery.OTHER_EXTENSIONS
  for extension in discovery.EXTENSIONS | discovery.OTHER_EXTENSIONS:
    assert extension.startswith(".")
    assert extension == extension.lower()


def test_other_files_are_tried(write_video, tmp_path):
  """By their content, whatever they are called."""
  video = write_video(tmp_path / "a.mp4", frames=2).read_bytes()
  for name in ("b", "c.xyz", "d.mp4.bak", "e.1"):
    files.write(tmp_path / name, video)
  others = ["README", "empty", "x.data"]
  for name, content in zip(others, (b"# A text", b"", bytes(999)), strict=True):
    files.write(tmp_path / name, content)
  found = discovery.find_files(tmp_path)
  assert found.videos == ["a.mp4", "b", "c.xyz", "d.mp4.bak", "e.1"]
  assert found.left_out == {"not_videos": others}


def test_a_picture_without_extension_is_no_video(tmp_path):
  picture = PIL.Image.new("RGB", (64, 48))
  for kind in ("png", "jpeg", "webp", "bmp"):
    picture.save(tmp_path / kind, format=kind)
  found = discovery.find_files(tmp_path)
  assert found.left_out == {"not_videos": ["bmp", "jpeg", "png", "webp"]}


def test_known_others_are_not_opened(tmp_path, monkeypatch):
  files.write(tmp_path / "list.m3u8", b"#EXTM3U")
  files.write(tmp_path / "a.JPG", b"")
  monkeypatch.setattr(discovery, "Original", None)
  found = discovery.find_files(tmp_path)
  assert found.left_out == {"not_videos": ["a.JPG", "list.m3u8"]}


def test_in_a_bucket_the_extension_counts(write_video, tmp_path, buckets):
  video = write_video(tmp_path / "a.mp4", frames=2).read_bytes()
  for name in ("a.mp4", "b", "c.xyz", ".d.mp4"):
    files.write(f"gs://b/v/{name}", video)
  found = discovery.find_files("gs://b/v")
  assert found.videos == ["a.mp4"]
  assert found.left_out == {"hidden": [".d.mp4"], "not_videos": ["b", "c.xyz"]}


def test_a_folder_without_videos_says_what_it_holds(tmp_path):
  for name in ("a.txt", "b.jpg"):
    files.write(tmp_path / name, b"")
  with pytest.raises(DataError, match="found no video files among 2"):
    find_source_files(str(tmp_path))


def test_kinds_are_counted():
  paths = ["a.jpg", "b/c.txt", "d.TXT", "e", "f.g/h"]
  expected = "2 .txt, 2 without extension, 1 .jpg"
  assert discovery.describe_kinds(paths) == expected
