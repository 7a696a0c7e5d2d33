"""What the summary says of the original videos."""

from fractions import Fraction

from hdc_jax.data.datasets import VideoFile
from hdc_jax.prepare.runners import videos
from tests.prepare.preparing import run

SPREAD = """
  frame rates: 10 to 50 fps, median 25
  lengths: 0.8 to 3.0 s, median 1.2; 20 to 60 frames, median 30
  original sizes: 96×64 to 128×96 pixels, median 64×128
"""


def test_the_spread_of_rates_lengths_and_sizes(write_video, tmp_path, capsys):
  source, output = tmp_path / "videos", tmp_path / "out"
  write_video(source / "a.mp4", frames=30, rate=10, height=96, width=128)
  write_video(source / "b.mp4", frames=60, rate=50, height=128, width=64)
  wide = {"height": 64, "width": 48, "sample_aspect_ratio": Fraction(2)}
  write_video(source / "c.mp4", frames=20, rate=25, **wide)
  assert run(source, output, "--shards=2") == 0
  assert SPREAD in capsys.readouterr().out
  # The same when shards of an earlier run are used.
  (output / "index.json").unlink()
  (output / "shard-00001-of-00002.json").unlink()
  assert run(source, output, "--shards=2") == 0
  out = capsys.readouterr().out
  assert "1 of 2 shards are finished" in out
  assert SPREAD in out
  assert "interlaced" not in out


def test_what_is_alike_is_said_once(write_video, tmp_path, capsys):
  write_video(tmp_path / "videos" / "a.mp4", frames=10)
  assert run(tmp_path / "videos", tmp_path / "out") == 0
  out = capsys.readouterr().out
  assert "  frame rates: 25 fps\n  lengths: 0.4 s; 10 frames\n" in out
  assert "  original sizes: 128×96 pixels\n" in out


def test_a_record_holds_the_part_of_the_file(write_video, tmp_path):
  path = str(write_video(tmp_path / "a.mp4", frames=50))
  file = VideoFile(path, "a", {}, (), start=0.4, end=1.2)
  prepared = videos.prepare_video(file, "h264", 32)
  assert [record.num_frames for record, _ in prepared.videos] == [20]
