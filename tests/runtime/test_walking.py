"""Finding files: nothing vanishes, and each directory is entered once."""

import os
import socket

import pytest
from etils import epath

from hdc_jax.runtime import files, walking


@pytest.fixture
def root(tmp_path):
  """A directory with two files, `a/1.mp4` and `2.mp4`."""
  root = tmp_path / "root"
  for name in ("a/1.mp4", "2.mp4"):
    files.write(root / name, b"")
  return root


@pytest.mark.parametrize("scheme", ["", "gs://", "s3://"])
def test_files_are_found_and_hidden_ones_named(scheme, tmp_path, buckets):
  path = f"{scheme}b/deep" if scheme else str(tmp_path / "b/deep")
  names = ["a b.mp4", "c/d.mp4", "c/e/f.mp4", "c-1/g.mp4"]
  hidden = [".x.mp4", "c/.y/z/z.mp4", "c/.y/z.mp4"]
  for name in (*names, *hidden):
    files.write(f"{path}/{name}", b"")
  for directory in (path, f"{path}/", epath.Path(path)):
    found = walking.find_files(directory)
    assert found.files == names  # c before c-1, as the folders are sorted
    assert found.others == {"hidden": hidden}


def test_a_loop_of_links_is_walked_once(root):
  (root / "a" / "loop").symlink_to(root)
  (root / "b").symlink_to(root / "a")
  found = walking.find_files(root)
  assert found.files == ["2.mp4", "a/1.mp4"]
  assert found.others == {"linked_twice": ["a/loop", "b"]}


def test_two_loops_end(root, tmp_path):
  other = tmp_path / "other"
  files.write(other / "x.mp4", b"")
  for folder in (root, root / "a", other):
    (folder / "one").symlink_to(root)
    (folder / "two").symlink_to(other)
  found = walking.find_files(root)
  # Of the links to `other`, the first by name.
  assert found.files == ["2.mp4", "a/1.mp4", "a/two/x.mp4"]
  assert found.others["linked_twice"] == [
    *("a/one", "a/two/one", "a/two/two", "one", "two")
  ]


def test_links_to_what_is_elsewhere_are_followed(root, tmp_path):
  files.write(tmp_path / "far" / "deep" / "x.mp4", b"")
  (root / "far").symlink_to(tmp_path / "far")
  (root / "b.mp4").symlink_to(tmp_path / "far" / "deep" / "x.mp4")
  (root / "c.mp4").symlink_to(tmp_path / "far" / "deep" / "x.mp4")
  (root / "d.mp4").symlink_to(root / "2.mp4")
  found = walking.find_files(root)
  assert found.files == ["2.mp4", "a/1.mp4", "far/deep/x.mp4"]
  assert found.others == {"linked_twice": ["b.mp4", "c.mp4", "d.mp4"]}
  (root / "far").unlink()
  assert walking.find_files(root).files == ["2.mp4", "a/1.mp4", "b.mp4"]


def test_hidden_folders_hide_no_links_to_their_files(root):
  """Of git-annex and others: the files are hidden, links to them are not."""
  files.write(root / ".store" / "x", b"")
  (root / "b.mp4").symlink_to(root / ".store" / "x")
  found = walking.find_files(root)
  assert found.files == ["2.mp4", "a/1.mp4", "b.mp4"]
  assert found.others == {"hidden": [".store/x"]}


def test_what_would_hang_or_fail_is_named(root, monkeypatch):
  os.mkfifo(root / "fifo.mp4")
  monkeypatch.chdir(root)  # The path of a socket has to be short.
  with socket.socket(socket.AF_UNIX) as unix:
    unix.bind("socket.mp4")
    (root / "device.mp4").symlink_to("/dev/zero")
    (root / "nothing.mp4").symlink_to("nowhere")
    (root / "itself.mp4").symlink_to("itself.mp4")
    found = walking.find_files(root)
  assert found.files == ["2.mp4", "a/1.mp4"]
  assert found.others == {
    "broken_links": ["itself.mp4", "nothing.mp4"],
    "special": ["device.mp4", "fifo.mp4", "socket.mp4"],
  }
  kinds = {"a": "folder", "2.mp4": "file", "fifo.mp4": "special", "no": None}
  for path, kind in kinds.items():
    assert walking.kind_of(path) == kind
  assert walking.kind_of("\0") is None


def test_a_folder_that_cannot_be_listed_is_named(root, monkeypatch):
  scandir = os.scandir

  def refuse(path):
    if os.path.basename(path) == "a":
      raise PermissionError(13, "Permission denied", path)
    return scandir(path)

  monkeypatch.setattr(os, "scandir", refuse)
  found = walking.find_files(root)
  assert found.files == ["2.mp4"]
  assert found.others == {"unreadable": ["a"]}
  with pytest.raises(PermissionError):
    walking.find_files(root / "a")


def test_every_file_is_in_one_place(root):
  """All entries but folders are accounted for, once each."""
  for name in (".h/x", ".h/.y/z", "b/.z", "b/c/d"):
    files.write(root / name, b"")
  (root / "l").symlink_to("b")
  (root / ".h" / "l").symlink_to(root)
  (root / "m").symlink_to("2.mp4")
  found = walking.find_files(root)
  everything = [
    os.path.relpath(os.path.join(folder, name), root)
    for folder, folders, names in os.walk(root)
    for name in [*names, *folders]
    if os.path.islink(path := os.path.join(folder, name))
    or not os.path.isdir(path)
  ]
  listed = [
    *found.files,
    *(p for paths in found.others.values() for p in paths),
  ]
  assert sorted(listed) == sorted(everything)
