"""Long videos are cut into parts, which are videos like others."""

import numpy as np
import pytest

import hdc_jax
from hdc_jax.data import sources
from hdc_jax.data.datasets import VideoFile
from hdc_jax.data.store import chunks, records
from hdc_jax.data.video import codec
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import ConfigError
from hdc_jax.prepare import cutting

SIDE = 32


@pytest.fixture(scope="module")
def folder(write_video, tmp_path_factory):
  folder = tmp_path_factory.mktemp("folder")
  for name, frames in {
    "train/walk/long.mp4": 170,
    "train/run/short.mp4": 20,
    "test/walk/other.mp4": 70,
  }.items():
    write_video(folder / name, frames=frames, height=48, width=64)
  return folder


def prepare(folder, output, **options):
  hdc_jax.prepare("folder", output, source=folder, short_side=SIDE, **options)
  return sources.open(output)


def read(video, indices=None):
  window = Window(0, 0, video.height, video.width)
  return video.read(range(video.num_frames), window)


@pytest.fixture(scope="module", params=codec.CODECS)
def datasets(request, folder, tmp_path_factory):
  """The videos whole, and in parts of about two seconds."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(chunks, "CHUNK_BYTES", 2048)
    return [
      prepare(
        folder,
        tmp_path_factory.mktemp("data"),
        codec=request.param,
        workers=1,
        **options,
      )
      for options in ({}, {"segment": 2})
    ]


def test_parts_are_the_video(datasets):
  whole, parts = datasets
  videos = [parts[i] for i in range(len(parts))]
  assert [(video.id, video.num_frames) for video in videos] == [
    ("test/walk/other.mp4", 70),
    ("train/run/short.mp4", 20),
    ("train/walk/long.mp4#0-1.92", 48),
    ("train/walk/long.mp4#1.92-3.84", 48),
    ("train/walk/long.mp4#3.84-6.8", 74),
  ]
  expected = read(whole[2])
  assert whole[2].num_frames == 170
  for name in ("y", "uv"):
    got = np.concatenate([getattr(read(video), name) for video in videos[2:]])
    np.testing.assert_array_equal(got, getattr(expected, name))


def test_parts_have_splits_labels_and_a_group(datasets):
  _, parts = datasets
  assert parts.index.split("train").tolist() == [1, 2, 3, 4]
  assert parts.index.split("test").tolist() == [0]
  names = parts.index.labels["class"]
  shown = [names[parts[i].label("class", 0)] for i in range(5)]
  assert shown == ["walk", "run", *3 * ["walk"]]
  groups = [parts[i].group for i in range(5)]
  assert groups[2:] == 3 * ["train/walk/long.mp4"]
  assert len(set(groups)) == parts.index.groups == 3


def test_labels_that_change_go_with_their_frames(write_video, tmp_path):
  path = write_video(tmp_path / "v.mp4", frames=100, height=48, width=64)
  encoded = codec.encode(str(path), short_side=SIDE)
  segments = ((0, 5), (10, 6), (32, 7), (90, 5))
  file = VideoFile(
    "v", "v", {"class": segments}, (), tags={"t": [1]}, group="g"
  )
  made = [record for record, _ in cutting.cut(file, encoded, 1.0)]
  assert len(made) == 4
  first = 0
  for record in made:
    for frame in range(record.num_frames):
      found = records.label_at(record.labels["class"], frame)
      assert found == records.label_at(segments, first + frame)
    assert record.labels["class"][0][0] == 0
    assert (record.tags, record.group) == ({"t": [1]}, "g")
    first += record.num_frames
  assert first == 100


@pytest.mark.parametrize(
  ("frames", "seconds", "lengths"),
  [
    (20, 0.0, [20]),
    (20, 1.0, [20]),
    (37, 1.0, [37]),
    (40, 1.0, [16, 24]),
    (50, 0.1, [16, 16, 18]),
    (1600, 16.0, [400, 400, 400, 400]),
  ],
)
def test_parts_are_of_about_equal_length(frames, seconds, lengths):
  class Video:
    num_frames, fps = frames, 25.0

  bounds = cutting._bounds(Video(), seconds)
  assert [stop - first for first, stop in bounds] == lengths
  assert bounds[0][0] == 0
  assert bounds[-1][1] == frames


def test_the_summary_says_what_was_cut(folder, tmp_path, capsys):
  options = {"source": folder, "short_side": SIDE, "workers": 1}
  hdc_jax.prepare("folder", tmp_path / "parts", segment=2, **options)
  out = capsys.readouterr().out
  assert "cut into parts of 2 s: 3 files gave 5 videos" in out
  assert "5 videos, 260 frames" in out
  hdc_jax.prepare("folder", tmp_path / "whole", **options)
  out = capsys.readouterr().out
  assert "cut into" not in out
  assert "--segment" not in out


def test_the_summary_names_the_remedy(write_video, tmp_path, capsys):
  for name, frames in {"a.mp4": 8, "b.mp4": 8, "c.mp4": 88}.items():
    write_video(tmp_path / "in" / name, frames=frames, height=48, width=64)
  prepare(tmp_path / "in", tmp_path / "out", workers=1)
  assert "more than 10 times as long as most" in capsys.readouterr().out


def test_another_length_makes_another_dataset(folder, tmp_path, capsys):
  first = prepare(folder, tmp_path, segment=2, workers=1).index
  again = prepare(folder, tmp_path, segment=2, workers=1).index
  assert again.fingerprint == first.fingerprint
  assert "already prepared" in capsys.readouterr().out
  other = prepare(folder, tmp_path, segment=3, workers=1).index
  assert other.fingerprint != first.fingerprint
  assert other.num_videos < first.num_videos


@pytest.mark.parametrize("seconds", ["0", "-3", "nan", "inf"])
def test_the_length_is_checked(folder, tmp_path, seconds):
  with pytest.raises(ConfigError, match=r"segment.*at least 1 second"):
    prepare(folder, tmp_path, segment=seconds)
