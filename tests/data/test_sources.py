"""Videos by number, prepared and not."""

import concurrent.futures
import dataclasses
import errno
import pickle

import numpy as np
import pytest
from etils import epath
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.data import sources
from hdc_jax.data.datasets.base import find_videos
from hdc_jax.data.datasets.folder import label_by_folder
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.video.decoding import Decoder
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.prepare import indexing, shards
from hdc_jax.prepare.runners import videos

SHORT_SIDE = 64

# What makes frames hard to find: B-frames, long and open groups, no count, no
# times, a time that does not start at 0.
FILES = {
  "a/b_frames.mp4": {"gop_size": 12, "bf": 3},
  "a/one_group.mkv": {"gop_size": 250, "bf": 2},
  "b/open_groups.mp4": {"gop_size": 10, "bf": 2, "x264-params": "open-gop=1"},
  "b/stream.ts": {"gop_size": 10, "bf": 2},
  "c/no_times.avi": {"codec": "mpeg4", "gop_size": 12, "max_b_frames": 2},
  "c/short.mp4": {"frames": 3},
  "c/vp9.webm": {"codec": "libvpx-vp9", "gop_size": 15},
}


@pytest.fixture(scope="module")
def folder(write_video, tmp_path_factory):
  folder = tmp_path_factory.mktemp("originals")
  for name, options in FILES.items():
    write_video(folder / name, **{"frames": 40, **options})
  return folder


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
  """The same videos, exact, in three shards."""
  return make_dataset(folder, tmp_path_factory.mktemp("prepared"), "raw", 3)


def make_dataset(folder, directory, codec="h264", num_shards=1):
  listing = label_by_folder(str(folder), find_videos(folder))
  plans = shards.plan(listing, {}, num_shards)
  sidecars = [
    shards.write(
      epath.Path(directory),
      plan,
      (videos.prepare_video(f, codec, SHORT_SIDE) for f in plan.files),
    )
    for plan in plans
  ]
  indexing.combine(
    sidecars,
    request="",
    codec=codec,
    short_side=SHORT_SIDE,
    listing=listing,
  ).save(directory)
  return directory


def whole(video):
  return Window(0, 0, video.height, video.width)


def assert_same(a, b):
  np.testing.assert_array_equal(a.y, b.y)
  np.testing.assert_array_equal(a.uv, b.uv)


@pytest.fixture(scope="module", params=["prepared", "originals"])
def source(request, folder, prepared):
  if request.param == "prepared":
    return sources.open(prepared)
  return sources.open(str(folder), short_side=SHORT_SIDE)


def test_videos_know_what_they_are(source):
  assert len(source) == source.index.num_videos == len(FILES)
  assert source.index.short_side == SHORT_SIDE
  assert source.index.labels == {"class": ["a", "b", "c"]}
  np.testing.assert_array_equal(source.index.split("train"), range(len(FILES)))
  for i, name in enumerate(FILES):
    video = source[i]
    assert video.id == name
    assert video.num_frames == FILES[name].get("frames", 40)
    assert (video.height, video.width, video.fps) == (64, 86, 25)
    assert video.label("class", 0) == "abc".index(name[0])
  with pytest.raises(DataError, match=r"a/b_frames.mp4.* 'scene'.* class"):
    source[0].label("scene", 0)


@pytest.mark.parametrize("number", [-1, len(FILES), 10**9])
def test_there_are_no_other_videos(source, number):
  with pytest.raises(IndexError):
    source[number]


def test_iteration_ends(source):
  assert len(list(source)) == len(FILES)


def test_sources_can_be_pickled(source):
  source[0]
  again = pickle.loads(pickle.dumps(source))
  assert again.index.fingerprint == source.index.fingerprint
  assert repr(again) == repr(source)
  for indices in ([0, 1], [2, 0]):
    a, b = source[5], again[5]
    assert_same(a.read(indices, whole(a)), b.read(indices, whole(b)))


def test_threads_share_a_source(source):
  def read(i):
    video = source[i]
    return video.id, video.read([0, 2, 1], whole(video))

  numbers = list(range(len(source))) * 4
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for i, (id, frames) in zip(numbers, pool.map(read, numbers), strict=True):
      expected = read(i)
      assert id == expected[0]
      assert_same(frames, expected[1])


@pytest.mark.parametrize("number", range(len(FILES)), ids=FILES)
def test_originals_give_the_frames_that_prepare_stores(
  folder, prepared, number
):
  original = sources.open(folder, short_side=SHORT_SIDE)[number]
  record = sources.open(prepared)[number]
  frame = st.integers(0, record.num_frames - 1)

  @settings(max_examples=12, deadline=None)
  @given(st.lists(frame, min_size=1, max_size=6), st.integers(0, 20))
  def check(indices, left):
    window = Window(2, 2 * left, 62, 46)
    assert_same(original.read(indices, window), record.read(indices, window))

  check()


def test_originals_seek(folder, monkeypatch):
  """Late frames do not cost the decoding of all before them."""
  video = sources.open(folder, short_side=SHORT_SIDE)[0]
  monkeypatch.setattr(
    video._original._decoder, "decode_all", lambda: pytest.fail("from 0")
  )
  video.read([30, 37], whole(video))


def test_containers_of_originals_are_read_once(folder, monkeypatch):
  source = sources.open(folder, short_side=SHORT_SIDE)
  first = source[0].read([5, 3], whole(source[0]))
  monkeypatch.setattr(
    Decoder, "find_part", lambda *_: pytest.fail("the container is read again")
  )
  assert_same(source[0].read([5, 3], whole(source[0])), first)
  with pytest.raises(pytest.fail.Exception):
    source[1]


def test_originals_decode_no_more_than_a_clip_needs(
  write_video, tmp_path, monkeypatch
):
  """Frames to which no other refers are decoded if they are wanted."""
  options = {"gop_size": 40, "x264-params": "bframes=3:b-adapt=0:b-pyramid=0"}
  write_video(tmp_path / "v.mp4", frames=40, **options)
  (video,) = sources.open(tmp_path, short_side=SHORT_SIDE)
  decoded = []
  decode_from = Decoder.decode_from

  def spy(*args):
    for frame in decode_from(*args):
      decoded.append(frame.pts)
      yield frame

  monkeypatch.setattr(Decoder, "decode_from", spy)
  video.read([30, 37], whole(video))
  assert len(decoded) == 30 // 4 + 1 + 2 + 2


def test_real_originals_are_sought_exactly(clips):
  """Of each container and codec one; the AVI has packed B-frames."""
  source = sources.open(clips)
  assert len(source) == 18
  for i, (name, frames) in {
    1: ("av1_video.mkv", [100, 3, 124]),
    2: ("bikes.mp4", [140, 141, 249]),
    6: ("flipping_a_pancake.mkv", [149, 150, 309]),
    8: ("h265_video.mp4", [0, 9]),
    10: ("nasa_13013.mp4", [202, 389]),
    16: ("v_ApplyEyeMakeup_g01_c01.avi", [*range(6), 163]),
  }.items():
    video = source[i]
    assert video.id == name
    got = [video.read([frame], whole(video)) for frame in frames]
    part = dataclasses.replace(video._original._part, times=[])
    video._original._part = part  # decode from the first frame on
    for frame, sought in zip(frames, got, strict=True):
      assert_same(sought, video.read([frame], whole(video)))


def test_a_broken_original_is_named(clips):
  video = sources.open(clips)[5]
  with pytest.raises(DataError, match=r"corrupted\.mp4"):
    video.read([49], whole(video))


def test_videos_in_no_folder_have_no_label(write_video, tmp_path):
  write_video(tmp_path / "v.mp4", frames=2)
  write_video(tmp_path / ".hidden" / "x.mp4", frames=2)
  source = sources.open(tmp_path)
  assert source.index.labels == {}
  assert [video.id for video in source] == ["v.mp4"]


def test_the_fingerprint_tells_contents_apart(folder, prepared, tmp_path):
  again = make_dataset(folder, tmp_path, "raw", 3)
  fingerprint = sources.open(prepared).index.fingerprint
  assert sources.open(again).index.fingerprint == fingerprint
  make_dataset(folder, tmp_path, "h264", 3)
  assert sources.open(again).index.fingerprint != fingerprint


def test_damage_is_named(folder, tmp_path):
  make_dataset(folder, tmp_path)
  source = sources.open(tmp_path)
  shard = tmp_path / source.index.shards[0].name
  data = bytearray(shard.read_bytes())
  data[len(data) // 4 : len(data) // 3] = bytes(len(data) // 3 - len(data) // 4)
  shard.write_bytes(data)
  bad = 0
  for i in range(len(source)):
    try:
      source[i].read([0], Window(0, 0, 2, 2))
    except DataError as error:
      assert f"record {i}: " in str(error)
      bad += 1
  assert 0 < bad < len(source)
  shard.write_bytes(data[:-1])
  with pytest.raises(DataError, match=shard.name):
    sources.open(tmp_path)


def test_what_is_no_dataset_is_an_error(tmp_path):
  with pytest.raises(DataError, match="no such directory"):
    sources.open(tmp_path / "nowhere")
  with pytest.raises(DataError, match=r"no index\.json"):
    sources.open(tmp_path)


@pytest.mark.parametrize(
  "left", ["shard-00000-of-00002.array_record", ".shard-0.tmp", ".unfinished"]
)
def test_an_interrupted_prepare_is_no_folder_of_videos(
  write_video, tmp_path, left
):
  """Even though the synthetic dataset keeps its files beside the shards."""
  write_video(tmp_path / "videos" / "0.mp4", frames=2)
  (tmp_path / left).write_bytes(b"")
  with pytest.raises(DataError, match=r"no index\.json.*interrupted"):
    sources.open(tmp_path)


def test_a_directory_that_may_not_be_read_is_an_error_of_data(
  prepared, monkeypatch
):
  def refuse(*_):
    raise PermissionError(errno.EACCES, "Permission denied", "index.json")

  monkeypatch.setattr(index_lib.files, "read_text", refuse)
  for reading in (sources.open, sources.read_index):
    with pytest.raises(DataError, match=r"denied: 'index\.json'"):
      reading(prepared)


def test_splits_are_checked(prepared):
  with pytest.raises(ConfigError, match="train"):
    sources.open(prepared).index.split("val")
