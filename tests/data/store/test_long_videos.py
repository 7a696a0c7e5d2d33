"""A clip reads what it needs, of a video of any length and in any version."""

import dataclasses

import numpy as np
import pytest
from array_record.python import array_record_data_source
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.data import sources
from hdc_jax.data.clips import sampling, training_clips
from hdc_jax.data.datasets import VideoFile
from hdc_jax.data.datasets.base import Listing
from hdc_jax.data.options import Clips
from hdc_jax.data.store import chunks, records
from hdc_jax.data.video import codec, encoder, originals
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import DataError
from hdc_jax.prepare import indexing, shards
from tests.data.store import first_version

SIDE = 32
LIMIT = 4096  # bytes of a chunk
FRAMES = {"a.mp4": 40, "b.mp4": 100, "c.mp4": 3}


def repeat(video, times):
  """A video again and again; it ends with a whole group of pictures."""
  sizes = np.tile(np.diff(video.offsets), times)
  return dataclasses.replace(
    video,
    packets=video.packets * times,
    offsets=np.cumsum([0, *sizes], dtype=np.int64),
    keyframes=np.tile(video.keyframes, times),
    disposable=np.tile(video.disposable, times),
  )


def write(directory, videos):
  """Writes a dataset of one shard, as `prepare` does."""
  listing = Listing([VideoFile(id, id, {}, ("train",)) for id in videos], {})
  (plan,) = shards.plan(listing, {}, 1)
  results = [
    shards.Prepared(
      [records.cut(id, {}, video)], originals.Picture(64, 48, False)
    )
    for id, video in videos.items()
  ]
  sidecar = shards.write(epath.Path(directory), plan, results)
  indexing.combine(
    [sidecar],
    request="",
    codec=next(iter(videos.values())).codec,
    short_side=SIDE,
    listing=listing,
  ).save(directory)
  return sources.open(directory)


@pytest.fixture(scope="module", params=codec.CODECS)
def codec_name(request):
  return request.param


@pytest.fixture(scope="module")
def videos(codec_name, write_video, tmp_path_factory):
  """Videos by id, each of one codec."""
  return encode_all(codec_name, write_video, tmp_path_factory)


@pytest.fixture(scope="module")
def old_videos(codec_name, write_video, tmp_path_factory):
  """The same videos as the first version encoded them, without B-frames."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(
      encoder.OPTIONS,
      "x264-params",
      encoder.OPTIONS["x264-params"].replace("bframes=3", "bframes=0"),
    )
    return encode_all(codec_name, write_video, tmp_path_factory)


def encode_all(codec_name, write_video, tmp_path_factory):
  directory = tmp_path_factory.mktemp("videos")
  return {
    name: codec.encode(
      str(write_video(directory / name, frames=frames, height=48, width=64)),
      codec=codec_name,
      short_side=SIDE,
    )
    for name, frames in FRAMES.items()
  }


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
  monkeypatch.setattr(chunks, "CHUNK_BYTES", LIMIT)


@pytest.fixture
def read(monkeypatch):
  """The sizes of all records that are read from here on."""
  sizes = []
  make = array_record_data_source._create_reader

  class Reader:
    def __init__(self, *args):
      self._reader = make(*args)

    def __getattr__(self, name):
      return getattr(self._reader, name)

    def read(self, positions):
      found = self._reader.read(positions)
      sizes.extend(map(len, found))
      return found

  monkeypatch.setattr(array_record_data_source, "_create_reader", Reader)
  return sizes


def whole(video):
  return Window(0, 0, video.height, video.width)


def assert_same(a, b):
  np.testing.assert_array_equal(a.y, b.y)
  np.testing.assert_array_equal(a.uv, b.uv)


def test_frames_are_those_of_the_first_version(old_videos, tmp_path):
  videos = old_videos
  assert not any(video.disposable.any() for video in videos.values())
  old, new = tmp_path / "old", tmp_path / "new"
  old.mkdir()
  first_version.write(old, videos, SIDE)
  old, new = sources.open(old), write(new, videos)
  assert len(old) == len(new) == len(videos)
  np.testing.assert_array_equal(old.index.split("train"), range(len(videos)))
  for i, (id, frames) in enumerate(FRAMES.items()):
    a, b = old[i], new[i]
    assert (a.id, a.num_frames, a.fps) == (b.id, b.num_frames, b.fps)
    assert (b.id, b.num_frames) == (id, frames)
    assert (a.height, a.width) == (b.height, b.width)
    assert_same(
      b.read(range(frames), whole(b)),
      codec.decode(videos[id], range(frames), whole(b)),
    )
  assert new._stored.num_chunks(0) > 10  # The limit cuts the videos.

  @settings(max_examples=25, deadline=None)
  @given(
    st.lists(st.integers(0, FRAMES["b.mp4"] - 1), min_size=1, max_size=20),
    st.integers(0, 4),
  )
  def check(indices, left):
    window = Window(2, 2 * left, 30, 26)
    assert_same(old[1].read(indices, window), new[1].read(indices, window))

  check()
  options = Clips(frames=8, stride=2, canvas=SIDE)
  starts = sampling.IntervalStarts(2.0)
  batches = [
    training_clips.make_cut(
      source, options, records=np.arange(3), starts=starts
    ).random_map([1], np.random.default_rng(5))
    for source in (old, new)
  ]
  for name, array in batches[0].items():
    np.testing.assert_array_equal(array, batches[1][name])


@pytest.mark.parametrize("stride", [1, 4])
def test_a_clip_of_a_long_video_reads_no_more(videos, tmp_path, read, stride):
  """Of 3,200 frames as of 128 frames, at most the chunks that hold the clip."""
  clip = 16 * stride
  short = repeat(videos["a.mp4"], 1)
  short = cut_to(short, 32)
  source = write(
    tmp_path, {"short": repeat(short, 4), "long": repeat(short, 100)}
  )
  most = []
  for i, start in ((0, 5), (1, 5), (1, 3100), (1, 1602)):
    video = source[i]
    assert len(read) == 1, "the record of the video"
    assert read[0] < 400, "which grows with no frames"
    video.read(range(start, start + clip, stride), whole(video))
    group = 1 if source.index.codec == "raw" else 16
    per_chunk = max(
      group, LIMIT // max(np.diff(short.offsets[::group])) * group
    )
    assert len(read) - 1 <= min(16, clip // per_chunk + 2)
    most.append(sum(read))
    read.clear()
  assert max(most[1:]) <= most[0] + LIMIT


def cut_to(video, frames):
  """The first frames of a video."""
  return dataclasses.replace(
    video,
    packets=video.packets[: video.offsets[frames]],
    offsets=video.offsets[: frames + 1],
    keyframes=video.keyframes[:frames],
    disposable=video.disposable[:frames],
  )


def test_a_damaged_chunk_is_a_bad_video(videos, tmp_path, caplog):
  """Frames of other chunks are good, and training takes another video."""
  write(tmp_path, videos)
  source = sources.open(tmp_path)
  good = source[1].read([99], whole(source[1]))
  record = records.Record.from_bytes(source._stored.record(1))
  number = 64 // record.chunk_frames  # No other video has that frame.
  data = source._stored.chunk(1, record.first_chunk + number)
  path = tmp_path / source.index.shards[0].name
  content = path.read_bytes()
  place = content.index(data[:64])
  assert content.count(data[:64]) == 1
  path.write_bytes(content[: place + 20] + bytes(20) + content[place + 40 :])
  (tmp_path / "checked.json").unlink()
  with pytest.raises(DataError, match="SHA-256"):
    sources.open(tmp_path)
  damaged = sources.sample(tmp_path, 3)
  named = rf"b\.mp4: .*record 1: chunk {number}: "
  with pytest.raises(DataError, match=named):
    damaged[1].read([number * record.chunk_frames], whole(damaged[1]))
  assert_same(damaged[1].read([99], whole(damaged[1])), good)
  cut = training_clips.make_cut(
    damaged,
    Clips(frames=99, canvas=SIDE),
    records=np.arange(3),
    starts=sampling.IndependentStarts(1),
  )
  batch = cut.random_map([1, 2], np.random.default_rng(0))
  assert (str(batch["id"]), int(batch["bad"])) == ("c.mp4", 1)
  assert "b.mp4" in caplog.text


@pytest.mark.parametrize(
  ("changes", "reason"),
  [
    ({"num_frames": 10**15}, "not in its shard"),
    ({"first_chunk": 10**15}, "not in its shard"),
    ({"num_frames": 0}, "malformed"),
    ({"chunk_frames": 0}, "malformed"),
    ({"chunk_frames": 10**9}, "malformed"),
    ({"first_chunk": -1}, "malformed"),
  ],
)
def test_a_record_claims_no_more_than_there_is(
  videos, tmp_path, changes, reason, monkeypatch
):
  source = write(tmp_path, videos)
  record = records.Record.from_bytes(source._stored.record(1))
  wrong = dataclasses.replace(record, **changes).to_bytes()
  monkeypatch.setattr(source._stored, "record", lambda i: wrong)
  with pytest.raises(DataError, match=f"record 1: .*{reason}"):
    source[1]
