"""Jester: gestures by number; folders of frames have to be made videos."""

import shutil

import av
import PIL.Image
import pytest

from hdc_jax.data.datasets import jester
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import DataError
from tests import published
from tests.data.datasets.listing import check_counts, classes_of, listing
from tests.layouts import edit, remove


@pytest.fixture
def made(tmp_path):
  return published.jester(tmp_path, frames=0)


def test_videos_and_classes(made):
  found = listing("jester", made)
  # In the order of the file, not by name.
  names = ["Swiping Left", "Doing other things"]
  assert found.label_names == {"class": names}
  assert not found.left_out
  assert classes_of(found) == {
    "train": {str(i): i % 2 for i in range(8)},
    "val": {"8": 0, "9": 1},
    "test": {"10": None, "11": None},
  }
  check_counts(found, train=118562, val=14787, test=14743)


def test_what_is_not_there_is_listed(made):
  remove("jester/3.mkv")(made)
  (made.source / "mine.mp4").touch()
  assert listing("jester", made).left_out == {
    "missing": ["3"],
    "unlisted": ["mine.mp4"],
  }


@pytest.mark.parametrize("folder", ["", "20bn-jester-v1"])
def test_folders_of_frames_are_refused_with_the_remedy(made, folder):
  shutil.rmtree(made.source)
  (made.source / folder / "0").mkdir(parents=True)
  (made.source / folder / "0" / "00001.jpg").touch()
  with pytest.raises(DataError, match=r"a folder of frames .* of --help"):
    listing("jester", made)
  assert "ffmpeg" in jester.LAYOUT


def test_frames_become_a_video_as_they_are(tmp_path):
  """What FFmpeg's -c copy does, here by PyAV; sizes may be odd."""
  for i in range(5):
    picture = PIL.Image.new("RGB", (75, 101), (50 * i, 90, 30))
    picture.save(tmp_path / f"{i + 1:05d}.jpg")
  with (
    av.open(
      str(tmp_path / "%05d.jpg"), format="image2", options={"framerate": "12"}
    ) as frames,
    av.open(str(tmp_path / "1.mkv"), "w") as container,
  ):
    stream = container.add_stream_from_template(frames.streams.video[0])
    for packet in frames.demux(video=0):
      if packet.size:
        packet.stream = stream
        container.mux(packet)
  with Original(str(tmp_path / "1.mkv"), short_side=74) as original:
    assert original.fps == 12
    found = list(original.frames())
  assert len(found) == 5
  red = [int(f[0, 0]) for f in found]
  assert red == sorted(set(red))


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (edit("jester-v1-train.csv", "0;Sw", "0;w"), "line 1: .* class 'wiping"),
    (edit("jester-v1-train.csv", "0;Swiping Left", "0"), "line 1: .*class ''"),
    (
      remove("labels/jester-v1-labels.csv"),
      "no jester-v1-labels.csv or labels",
    ),
  ],
)
def test_an_error_names_the_file(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message):
    listing("jester", made)
