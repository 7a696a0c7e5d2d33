"""The encoder of the Python API, beside task `embed` and its own parts."""

import contextlib
import tracemalloc
import types

import numpy as np
import pyarrow.parquet as pq
import pytest

import hdc_jax
from hdc_jax.data.clips import single
from hdc_jax.data.options import Clips
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate.encoder import Encoder
from hdc_jax.evaluate.timed_features import TimedFeatures
from hdc_jax.tasks import embed
from tests import small

FRAMES = 4  # of a clip of `small.tiny`
RATE = 25


@pytest.fixture(scope="module")
def encoder(pretrained_run):
  return hdc_jax.load(pretrained_run)


@pytest.fixture(scope="module")
def videos(write_video, tmp_path_factory):
  """Two files of other lengths and shapes."""
  root = tmp_path_factory.mktemp("videos")
  sizes = {"a.mp4": (20, 96, 128), "b.mp4": (31, 80, 64)}
  return [
    write_video(root / name, *size, rate=RATE) for name, size in sizes.items()
  ]


@pytest.fixture(scope="module")
def exact(write_video, pattern, tmp_path_factory):
  """A file without loss, and its frames."""
  path = tmp_path_factory.mktemp("exact") / "exact.mkv"
  write_video(path, 30, 60, 80, rate=RATE, codec="ffv1", pix_fmt="bgr0")
  return path, np.stack([pattern(t, 60, 80) for t in range(30)])


def close(found, want):
  assert found.dtype == want.dtype == np.float32
  np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_it_is_the_task(encoder, videos, pretrained_run, tmp_path, one_device):
  """Task `embed` on the folder of the files has the same features."""
  fields = {"data__path": str(videos[0].parent), "checkpoint": pretrained_run}
  config = small.tiny("embed", data__split="", test__clips=3, **fields)
  embed.run(config, str(tmp_path))
  with np.load(tmp_path / "features-00000-of-00001.npz") as file:
    assert file["ids"].tolist() == ["a.mp4", "b.mp4"]
    close(encoder.embed(videos, clips=3), file["features"])


def test_shapes(encoder, videos):
  both = encoder.embed(map(str, videos), clips=2, average=False)
  assert both.shape == (2, 2, 16)
  close(encoder.embed(videos[1], clips=2, average=False), both[1])
  close(encoder.embed(videos, clips=2), both.mean(axis=1))
  close(encoder.embed(videos[0], clips=2), both[0].mean(axis=0))
  assert not np.allclose(both[0], both[1], rtol=1e-2)
  # As many as fit: 5 and 7 clips of 4 frames.
  assert encoder.embed(videos, clips=0).shape == (2, 16)


def test_batches_do_not_change_them(encoder, videos):
  want = encoder.embed(videos, clips=3, batch_size=1)
  close(encoder.embed(videos, clips=3), want)


def test_endpoints(encoder):
  """Of 4 frames of 36×36 pixels; the strides and channels are R3D-18's."""
  assert encoder.endpoints == {
    "block1": (4, 18, 18, 2),
    "block2": (2, 9, 9, 2),
    "block3": (1, 5, 5, 4),
    "block4": (1, 3, 3, 8),
    "block5": (1, 2, 2, 16),
  }


def test_arrays_are_as_files(encoder, exact):
  path, array = exact
  want = encoder.embed(path, clips=3)
  close(encoder.embed(array, clips=3), want)
  close(encoder.embed([array, path], clips=3), np.stack([want, want]))
  found, timed = encoder.dense(array, fps=RATE), encoder.dense(path)
  for one, other in zip(found, timed, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("every", [0.0, 0.12, 0.4])
def test_windows_are_clips(encoder, exact, every):
  """Each has the features of its frames alone."""
  path, array = exact
  step = round(every * RATE) or FRAMES
  firsts = range(0, len(array) - FRAMES + 1, step)
  found = encoder.dense(path, every=every)
  np.testing.assert_allclose(found.start, [i / RATE for i in firsts])
  np.testing.assert_allclose(found.end, found.start + FRAMES / RATE)
  clips = [array[i : i + FRAMES] for i in firsts]
  close(found.features, encoder.embed(clips, clips=1))


def test_files_of_windows(encoder, exact, tmp_path):
  path, _ = exact
  want = encoder.dense(path, every=0.04)
  for name in ("x.npz", "x.parquet"):
    assert encoder.write_dense(path, tmp_path / name, every=0.04) == 27
  with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
    found = TimedFeatures(**file)
  table = pq.read_table(tmp_path / "x.parquet")
  assert table.column_names == list(TimedFeatures._fields)
  rows = np.stack(table["features"].to_numpy())
  times = (table[name].to_numpy() for name in ("start", "end"))
  for one in (found, TimedFeatures(*times, rows)):
    close(one.features, want.features)
    np.testing.assert_array_equal(one.start, want.start)
    np.testing.assert_array_equal(one.end, want.end)
    assert one.start.dtype == one.end.dtype == np.float64


@pytest.mark.parametrize("name", ["x.npz", "x.parquet"])
def test_no_file_of_a_part(encoder, videos, tmp_path, name):
  """A video that is cut off leaves no file of what could be read."""
  cut = tmp_path / "cut.avi"
  cut.write_bytes(videos[0].read_bytes()[:-4000])
  with pytest.raises(DataError, match=r"cut\.avi"):
    encoder.write_dense(cut, tmp_path / name)
  assert [path.name for path in tmp_path.iterdir()] == ["cut.avi"]


class Long:
  """A video of any length that is made while it is read."""

  fps = float(RATE)

  def __init__(self, frames):
    self._frames = frames

  def timed_frames(self):
    frame = np.zeros((60, 40), np.uint8)
    for i in range(self._frames):
      yield i / self.fps, frame


def test_memory_does_not_depend_on_the_length(tmp_path, monkeypatch):
  encoder = Encoder(types.SimpleNamespace(size=36), None, Clips(frames=4))

  def describe(_, y, uv):
    return np.zeros((len(y), 1 << 10), np.float32)

  monkeypatch.setattr(Encoder, "_compile", lambda *_: describe)
  peaks = []
  for frames in (500, 500, 4_000):  # the first time, modules are loaded
    opened = contextlib.nullcontext(Long(frames))
    monkeypatch.setattr(
      single.SingleVideos, "_open_stream", lambda *_, o=opened: o
    )
    tracemalloc.start()
    assert encoder.write_dense("x", tmp_path / "x.npz") == frames // 4
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
  # The features alone are 0.5 and 4 MB.
  assert peaks[2] < peaks[1] + 1_500_000


ARRAY = np.zeros((5, 40, 40, 3), np.uint8)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda e, v: e.embed([]), "there are none"),
    (lambda e, v: e.embed(v, clips=0, average=False), "average=False needs"),
    (lambda e, v: e.embed(v, endpoint="block9"), "block1.*block5"),
    (lambda e, v: e.embed(v, pool="mean"), "one of average, max, cells"),
    (lambda e, v: e.embed(v, batch_size=0), "batch_size=0 must be"),
    (lambda e, v: e.embed(v, fps=25.0), "fps=25 is for arrays, but .*a.mp4"),
    (lambda e, v: e.embed(ARRAY[0]), r"not uint8 \[40, 3\]"),
    (lambda e, v: e.embed(ARRAY / 255), r"not float64 \[5, 40, 40, 3\]"),
    (lambda e, v: e.embed(ARRAY[:0]), "has no pixels"),
    (lambda e, v: e.dense(ARRAY), "fps is not set"),
    (lambda e, v: e.dense(v[0], every=0.03), "at least a frame, 0.04 seconds"),
    (lambda e, v: e.dense(v[0], every=-1), "every=-1 must be"),
    (lambda e, v: e.write_dense(v[0], "x.csv"), "one of .npz, .parquet"),
  ],
)
def test_bad_arguments(encoder, videos, call, message):
  with pytest.raises(ConfigError, match=message):
    call(encoder, videos)


def test_clips_by_time_need_the_rate_of_an_array(encoder):
  timed = Encoder(encoder.backbone, encoder.variables, Clips(frames=4, fps=5.0))
  with pytest.raises(ConfigError, match="fps is not set"):
    timed.embed(ARRAY)
  slow = timed.embed(np.repeat(ARRAY, 5, axis=0), fps=25.0, clips=1)
  close(slow, encoder.embed(ARRAY, clips=1))
