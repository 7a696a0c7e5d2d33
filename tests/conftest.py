"""Eight devices, typechecked signatures, and videos to test with."""

import functools
import os
import pathlib
import shutil

import av
import jax
import numpy as np
import pytest
from etils.epath import backend
from fsspec.registry import _registry
from jaxtyping import install_import_hook

ROOT = pathlib.Path(__file__).parents[1]
REAL_CLIPS = ROOT.parent / "shared" / "clips"

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
# Most tests wait for the compiler and then run a handful of steps: without the
# costly optimizations, a small train step compiles in half of the time, and
# with the older of two emitters of fusions in 14 instead of 19 CPU-seconds.
# What was compiled once is not compiled again. All hold for processes that
# tests start, too. With a size of the cache, they take turns to read and write.
if jax.__version_info__ < (0, 11):  # JAX 0.12 does not know the flag.
  _FLAGS = (os.environ.get("XLA_FLAGS", ""), "--xla_cpu_use_fusion_emitters=0")
  os.environ["XLA_FLAGS"] = " ".join(filter(None, _FLAGS))
for _name, _value in {
  "jax_disable_most_optimizations": True,
  "jax_compilation_cache_dir": str(ROOT / ".cache" / "compiled"),
  "jax_compilation_cache_max_size": 8 << 30,
  "jax_persistent_cache_min_compile_time_secs": 0.3,
}.items():
  jax.config.update(_name, _value)
  os.environ[_name.upper()] = str(_value)

# From here on, these check the shapes and dtypes they are annotated with.
install_import_hook(
  ["hdc_jax.losses", "hdc_jax.health", "hdc_jax.augment", "hdc_jax.methods"],
  "beartype.beartype",
)

# The import hook comes first.
from hdc_jax.distributed import mesh as mesh_lib  # noqa: E402
from hdc_jax.prepare import command as prepare  # noqa: E402
from tests import bucket, layouts, small  # noqa: E402
from tests import quick as quick_lib  # noqa: E402
from tests import tagged as tagged_lib  # noqa: E402


def pytest_collection_modifyitems(items):
  """Files with slow tests come first, so that processes end together."""
  slow = {item.path for item in items if item.get_closest_marker("slow")}
  items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def clips():
  """Directory of real clips, see its README; skips where there is none."""
  if not REAL_CLIPS.is_dir():
    pytest.skip(f"the real clips are not at {REAL_CLIPS}")
  return REAL_CLIPS


@pytest.fixture(scope="session")
def faults():
  """Directory of real files that failed once; skips where there is none."""
  directory = REAL_CLIPS.parent / "faults"
  if not directory.is_dir():
    pytest.skip(f"the real faulty files are not at {directory}")
  return directory


@pytest.fixture(scope="session")
def write_video():
  """A function that writes a video file, and returns its path."""
  return _write_video


@pytest.fixture(scope="session")
def pattern():
  """What `write_video` shows, of time, height and width."""
  return _moving_pattern


def _write_video(
  path,
  frames=20,
  height=96,
  width=128,
  rate=25,
  codec="libx264",
  pix_fmt="yuv420p",
  picture=None,
  rotation=None,
  **options,
):
  """Writes a moving pattern.

  Args:
    path: of the file; its extension gives the container.
    frames: how many.
    height: of the frames.
    width: of the frames.
    rate: frames per second.
    codec: of FFmpeg.
    pix_fmt: of FFmpeg.
    picture: of time; gives RGB, uint8 [H, W, 3], instead of the pattern.
    rotation: arguments of PyAV's set_display_rotation, None for no matrix.
    **options: attributes of the codec context, or options of the codec.
  """
  picture = picture or (lambda t: _moving_pattern(t, height, width))
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=rate)
    if rotation is not None:
      stream.set_display_rotation(*rotation)
    context = stream.codec_context
    context.height, context.width, context.pix_fmt = height, width, pix_fmt
    context.thread_count = 1
    for name in [name for name in options if hasattr(context, name)]:
      setattr(context, name, options.pop(name))
    context.options = {name: str(value) for name, value in options.items()}
    for t in range(frames):
      frame = av.VideoFrame.from_ndarray(picture(t), "rgb24")
      frame = frame.reformat(
        format=pix_fmt,
        dst_colorspace={1: "ITU709"}.get(context.colorspace, "ITU601"),
        dst_color_range=context.color_range or 1,
      )
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return path


def _moving_pattern(t, height, width):
  """RGB, uint8 [H, W, 3]: waves that move, and a patch that tells the time."""
  y, x = np.mgrid[:height, :width].astype(np.float32)
  waves = np.stack(
    [
      np.sin(x / 9 + t / 3) + np.cos(y / 7),
      np.sin(x / 13 - t / 5) * np.cos(y / 11 + t / 4),
      np.cos((x + y) / 15 + t / 6),
    ],
    axis=-1,
  )
  image = (127.5 + 50 * waves).clip(0, 255).astype(np.uint8)
  image[:16, :16] = (37 * t) % 200 + 20
  return image


@pytest.fixture
def buckets(tmp_path_factory, monkeypatch):
  """A directory: `gs://b/x` and `s3://b/x` are its b/x, in all processes."""
  root = tmp_path_factory.mktemp("buckets")
  settings = bucket.install(tmp_path_factory.mktemp("site"), root)
  for name, value in settings.items():
    monkeypatch.setenv(name, value)
  for path in reversed(settings["PYTHONPATH"].split(os.pathsep)):
    monkeypatch.syspath_prepend(path)
  forget = type(backend.fsspec_backend)._get_filesystem.cache_clear
  for name in bucket.Bucket.protocol:
    monkeypatch.setitem(_registry, name, bucket.Bucket)
  forget()
  yield root
  forget()


@pytest.fixture
def remote(prepared, buckets):
  """The local directory of gs://b/data, a prepared dataset in a bucket."""
  return pathlib.Path(shutil.copytree(prepared, buckets / "b" / "data"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
  """A prepared data set: 24 videos to train on and 6 to test, 40 pixels."""
  output = str(tmp_path_factory.mktemp("synthetic"))
  options = ["--videos=30", "--short_side=40", "--shards=2", "--workers=2"]
  assert (
    prepare.main(["--dataset=synthetic", "--output", output, *options]) == 0
  )
  return output


@pytest.fixture(scope="session")
def ucf101(tmp_path_factory):
  """UCF101 in miniature, prepared: three folds of 18 and 6 videos."""
  root = tmp_path_factory.mktemp("ucf101")
  return layouts.prepare("ucf101", layouts.ucf101(root), root / "prepared")


@pytest.fixture(scope="session")
def tagged(tmp_path_factory):
  """Videos with a label, a tag and groups, prepared: 11 to train, 5 to test."""
  return tagged_lib.prepare(tmp_path_factory.mktemp("tagged"))


@pytest.fixture(scope="session")
def pretrained_run(tmp_path_factory):
  """Directory of a run of `small.tiny`, with weights as of a trained one."""
  workdir, config = tmp_path_factory.mktemp("pretrained"), small.tiny()
  made = small.resolve(config).make_training(mesh_lib.make_mesh(1))
  small.save_run(workdir, made, config)
  return str(workdir)


@pytest.fixture(scope="module")
def one_device():
  """Runs use one device: a mesh of eight is tested with the step."""
  mesh = mesh_lib.make_mesh(1)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(mesh_lib, "make_mesh", lambda devices=None: mesh)
    yield mesh


@pytest.fixture
def quick_backbones(monkeypatch):
  """Backbones that are quick to compile, see `tests.quick`."""
  quick_lib.use(monkeypatch.setattr)


@pytest.fixture
def quick(quick_backbones, monkeypatch):
  """Makes programs that are small, for one device, and hardly optimised."""
  for name, settings in {
    "make_mesh": {"devices": 1},
    "compiler_options": {"once": True},
  }.items():
    changed = functools.partial(getattr(mesh_lib, name), **settings)
    monkeypatch.setattr(mesh_lib, name, changed)
