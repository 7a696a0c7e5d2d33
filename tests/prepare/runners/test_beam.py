"""Beam makes what the local processes make, whatever happens on the way."""

import pathlib
import subprocess
import sys
import time

import pytest

from hdc_jax.errors import DataError
from hdc_jax.prepare import command as prepare
from hdc_jax.prepare.runners import videos
from tests.prepare.runners import comparing
from tests.prepare.runners.comparing import contents

pytest.importorskip("apache_beam")

from hdc_jax.prepare.runners import beam

BEAM = "--runner=DirectRunner"
ELSEWHERE = [
  "--",
  "--direct_num_workers=1",
  "--direct_running_mode=multi_processing",
]


@pytest.fixture(scope="module")
def folder(write_video, tmp_path_factory):
  """Videos of two classes, one of which is broken."""
  folder = tmp_path_factory.mktemp("videos")
  for i in range(7):
    name = f"{'walk' if i < 4 else 'run'}/{i}.mp4"
    write_video(folder / name, frames=10 + i, height=48, width=64)
  (folder / "walk" / "broken.mp4").write_bytes(b"not a video")
  return folder


def arguments(source, output, *more):
  return [
    "--dataset=folder",
    f"--source={source}",
    f"--output={output}",
    "--short_side=32",
    "--shards=4",
    "--workers=1",
    *more,
  ]


def run(source, output, *more):
  return prepare.main(arguments(source, output, *more))


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory):
  """What the local processes make."""
  output = tmp_path_factory.mktemp("local")
  assert run(folder, output) == 0
  return output


def test_beam_makes_the_same_bytes(folder, local, tmp_path, capsys):
  assert run(folder, tmp_path, BEAM) == 0
  assert contents(tmp_path) == contents(local)
  assert not list(tmp_path.glob(".*"))
  captured = capsys.readouterr()
  assert "could not be used: 1\n" in captured.out
  assert "preparing: 8/8 videos" in captured.err
  assert run(folder, tmp_path, BEAM) == 0
  assert "already prepared" in capsys.readouterr().out


@pytest.mark.slow
def test_other_processes_of_beam_make_the_same_bytes(folder, local, tmp_path):
  assert run(folder, tmp_path, BEAM, *ELSEWHERE) == 0
  assert contents(tmp_path) == contents(local)


def test_from_bucket_to_bucket(folder, local, buckets):
  source = buckets / "b" / "videos"
  source.parent.mkdir()
  source.symlink_to(folder)
  assert run("gs://b/videos", "gs://b/data", BEAM) == 0
  assert contents(buckets / "b/data", folder="gs://b/videos") == contents(
    local, folder=folder
  )


def test_a_crashing_codec_costs_one_video(folder, tmp_path, monkeypatch):
  """It takes no worker of Beam along, and the result is the local one."""
  root = pathlib.Path(__file__).parents[3]
  monkeypatch.syspath_prepend(root)
  monkeypatch.setattr(videos, "prepare_video", comparing.die_of_two)
  for name, more in {"local": [], "beam": [BEAM]}.items():
    assert run(folder, tmp_path / name, *more) == 0
  assert contents(tmp_path / "beam") == contents(tmp_path / "local")
  sidecars = (tmp_path / "beam").glob("shard-*.json")
  reasons = [path.read_text() for path in sidecars]
  assert "walk/2.mp4: the codec crashed on it" in "".join(reasons)


def test_sidecars_of_an_earlier_request_do_not_count(
  folder, local, tmp_path, monkeypatch, capsys
):
  assert run(folder, tmp_path, "--codec=raw") == 0
  capsys.readouterr()
  with monkeypatch.context() as patch:
    patch.setattr(beam, "_run", lambda pipeline: None)
    assert run(folder, tmp_path, BEAM) == DataError.exit_code
    assert "videos" not in capsys.readouterr().err
  assert run(folder, tmp_path, BEAM) == 0
  assert contents(tmp_path) == contents(local)


def test_options_that_beam_refuses_are_one_line(
  folder, local, tmp_path, capsys
):
  """And a dataset that is there stays."""
  before = (local / "index.json").read_bytes()
  assert run(folder, local, "--codec=raw", "--runner=DataflowRunner") == 2
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.startswith("error: --runner=DataflowRunner: ")
  assert "project" in error
  assert (local / "index.json").read_bytes() == before


def fail(*_):
  raise RuntimeError("no luck\ntoday")


def test_a_pipeline_that_fails_is_one_line(
  folder, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(beam.shards, "write", fail)
  assert run(folder, tmp_path, BEAM) == DataError.exit_code
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.startswith("error: --runner=DirectRunner failed: ")
  assert "today" in error
  assert "run the same command again to make the rest" in error
  assert not (tmp_path / "index.json").exists()


def test_workers_that_write_elsewhere_are_found_out(
  folder, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(beam, "_run", lambda pipeline: None)
  assert run(folder, tmp_path, BEAM) == DataError.exit_code
  error = capsys.readouterr().err
  assert "0 of 4 shards are finished; run the same command" in error
  assert "--output has to be where all workers of DirectRunner see" in error


def interrupt(*_):
  raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["_run", "shards.write"])
def test_ctrl_c_says_how_far_it_came(
  folder, tmp_path, monkeypatch, capsys, where
):
  """Whether it meets Beam or the work itself."""
  monkeypatch.setattr(f"hdc_jax.prepare.runners.beam.{where}", interrupt)
  assert run(folder, tmp_path, BEAM) == 130
  assert "interrupted: 0 of 4 shards are finished" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_midway_it_goes_on(write_video, tmp_path):
  """By Beam or by the local processes: what was finished stays."""
  folder, output = tmp_path / "videos", tmp_path / "output"
  path = write_video(folder / "0.mp4", frames=60, height=240, width=320)
  for i in range(1, 8):
    (folder / f"{i}.mp4").hardlink_to(path)
  command = [sys.executable, "-m", "hdc_jax.prepare"]
  process = subprocess.Popen(
    [*command, *arguments(folder, output, "--shards=8", BEAM)],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
  )
  while not list(output.glob("shard-*.json")):
    assert process.poll() is None
    time.sleep(0.01)
  process.kill()
  process.wait()
  assert not (output / "index.json").exists()
  finished = {
    path: path.stat().st_mtime_ns
    for path in output.glob("*.array_record")
    if path.with_suffix(".json").exists()
  }
  assert 0 < len(finished) < 8
  assert run(folder, output, "--shards=8", BEAM) == 0
  assert finished == {path: path.stat().st_mtime_ns for path in finished}
  assert run(folder, tmp_path / "fresh", "--shards=8") == 0
  assert contents(output) == contents(tmp_path / "fresh")
  assert not list(output.glob(".*"))
