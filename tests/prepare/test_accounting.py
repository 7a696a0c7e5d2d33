"""Every file of a source is accounted for in the summary."""

import os
import re
import socket

import pytest

from hdc_jax.data.datasets import discovery
from hdc_jax.data.store.index import Index
from hdc_jax.prepare import command
from tests.prepare.preparing import run

# What FFmpeg can write here, of extensions that are easily overlooked.
WRITTEN = {
  "gif": {"codec": "gif", "pix_fmt": "rgb8"},
  "f4v": {},
  "y4m": {"codec": "rawvideo"},
  "m2v": {"codec": "mpeg2video"},
  "mxf": {"codec": "mpeg2video"},
  "h264": {},
  "ivf": {"codec": "libvpx"},
  "nut": {"codec": "mpeg4"},
  "dv": {"codec": "dvvideo", "height": 576, "width": 720},
}


@pytest.fixture
def everything(write_video, tmp_path, monkeypatch):
  """A directory with a file of every kind."""
  root = tmp_path / "videos"
  for extension, options in WRITTEN.items():
    write_video(root / f"good/a.{extension}", **{"frames": 3, **options})
  video = write_video(root / "good" / "a.mp4", frames=3).read_bytes()
  for name in ("mpeg4", "divx", "b", "c.xyz"):
    (
      root / "good" / (name if name in ("b", "c.xyz") else f"a.{name}")
    ).write_bytes(video)
  for extension in ("rm", "rmvb", "mp4"):
    (root / f"bad.{extension}").write_bytes(b"no video")
  for name in (".hidden", "c/.git/x", "a.txt", "b.TXT", "c.jpg", "README"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(b"no video")
  os.mkfifo(root / "fifo.mp4")
  monkeypatch.chdir(root)
  with socket.socket(socket.AF_UNIX) as unix:
    unix.bind("socket.mp4")
  (root / "device.mp4").symlink_to("/dev/zero")
  (root / "broken.mp4").symlink_to("nowhere.mp4")
  (root / "loop").symlink_to(root)
  (root / "loop2").symlink_to(root / "good")
  (root / "linked.mp4").symlink_to(root / "good" / "a.mp4")
  return root


def entries(root):
  """Everything below a directory but folders, by `os.walk` alone."""
  return [
    os.path.join(folder, name)
    for folder, folders, names in os.walk(root)
    for name in [
      *names,
      *(n for n in folders if os.path.islink(os.path.join(folder, n))),
    ]
  ]


def accounted(output):
  """Number of files that the index accounts for."""
  index = Index.load(output)
  for reason, count in index.left_out.items():
    lines = (output / f"{reason}.txt").read_text().splitlines()
    assert len(lines) == count
  return index.num_videos + len(index.skipped) + sum(index.left_out.values())


def test_every_file_is_accounted_for(everything, tmp_path, capsys):
  output = tmp_path / "out"
  assert run(everything, output, "--shards=1") == 0
  assert accounted(output) == len(entries(everything))
  index = Index.load(output)
  assert index.num_videos == len(WRITTEN) + 5
  assert {skipped["id"] for skipped in index.skipped} == {
    "bad.mp4",
    "bad.rm",
    "bad.rmvb",
  }
  assert index.left_out == {
    "hidden": 2,
    "not_videos": 4,
    "special": 3,
    "broken_links": 1,
    "linked_twice": 3,
  }
  out = capsys.readouterr().out
  assert (
    f"  not videos: 2 .txt, 1 .jpg, 1 without extension, see {output}/" in out
  )
  assert "  special: 3 .mp4, see" in out
  assert "  linked twice: 2 without extension, 1 .mp4, see" in out
  assert "3 videos beside the folders, not in one: split unsorted" in out
  special = (output / "special.txt").read_text().split()
  assert special == ["device.mp4", "fifo.mp4", "socket.mp4"]


def test_what_is_gone_is_not_listed_any_more(folder, tmp_path, capsys):
  source, output = tmp_path / "videos", tmp_path / "out"
  source.mkdir()
  (source / "a").symlink_to(folder)
  (source / "b.txt").touch()
  assert run(source, output) == 0
  assert Index.load(output).left_out == {"not_videos": 1}
  shards = {p.name: p.stat().st_mtime_ns for p in output.glob("shard-*")}
  (source / "b.txt").unlink()
  assert run(source, output) == 0
  assert Index.load(output).left_out == {}
  assert not (output / "not_videos.txt").exists()
  assert shards == {
    p.name: p.stat().st_mtime_ns for p in output.glob("shard-*")
  }
  capsys.readouterr()
  assert run(source, output) == 0
  assert "already prepared" in capsys.readouterr().out


def test_the_output_may_lie_in_the_source(folder, tmp_path, capsys):
  source = tmp_path / "videos"
  source.mkdir()
  (source / "a.mp4").symlink_to(folder / "run" / "4.mp4")
  for _ in range(2):
    assert run(source, source / "out") == 0
  assert Index.load(source / "out").left_out == {}
  assert "already prepared" in capsys.readouterr().out


def test_a_table_accounts_for_the_files_of_its_source(
  everything, tmp_path, capsys
):
  table, output = tmp_path / "train.csv", tmp_path / "out"
  options = [f"--source={everything}", f"--output={output}", "--workers=1"]
  table.write_text("good/a.mp4 0\ngood/none.mp4 1\n")
  more = tmp_path / "more.csv"
  more.write_text("bad.mp4 0\ngood/a.gif 1\n")
  options += ["--dataset=table", "--short_side=32"]
  options += [f"--table={table}", f"--table={more}"]
  assert command.main(options) == 0
  assert accounted(output) == len(entries(everything)) + 1  # the missing one
  out = capsys.readouterr().out
  assert f"{table}: list of paths, 2 rows, split train" in out
  assert f"missing: 1 videos, see {output}/missing.txt" in out
  assert f"unlisted: {len(WRITTEN) + 5} videos, see" in out
  assert "label class: 2 classes, in so many videos:" in out


@pytest.mark.parametrize("dataset", ["folder", "ucf101"])
def test_the_flags_of_tables_are_of_no_use_to_others(dataset, tmp_path, capsys):
  arguments = [f"--dataset={dataset}", f"--output={tmp_path}", "--source=x"]
  arguments += [f"--splits={tmp_path}"] if dataset == "ucf101" else []
  for flag, option in {
    "table": "--table=x",
    "table_format": "--table_format=frames",
  }.items():
    assert command.main([*arguments, option]) == 2
    message = f"error: --{flag} is of no use to this dataset: leave it out"
    assert message in capsys.readouterr().err
  arguments = ["--dataset=table", f"--output={tmp_path}"]
  assert command.main(arguments) == 2
  assert "error: --table is missing: the files that" in capsys.readouterr().err


@pytest.mark.slow
def test_real_files(tmp_path, clips):
  """Of everything in `faults` and `clips`, and of every extension."""
  source, output = tmp_path / "videos", tmp_path / "out"
  for folder in ("faults", "clips"):
    for path in (clips.parent / folder).iterdir():
      (source / folder).mkdir(parents=True, exist_ok=True)
      (source / folder / path.name).symlink_to(path)
  for extension in (*discovery.EXTENSIONS, *discovery.OTHER_EXTENSIONS, ""):
    (source / f"empty{extension}").touch()
  assert run(source, output, "--shards=1") == 0
  assert accounted(output) == len(entries(source))
  reasons = [skipped["reason"] for skipped in Index.load(output).skipped]
  assert all(re.fullmatch(r"[^\n]+", reason) for reason in reasons)
