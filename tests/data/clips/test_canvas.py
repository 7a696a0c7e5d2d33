"""The canvas is as large as the recipe needs of the dataset's frames."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import config as config_lib
from hdc_jax.augment import geometry
from hdc_jax.data.clips import (
  canvas,
  evaluation_clips,
  placement,
  sampling,
  training_clips,
)
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.options import Clips, ShownClips
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import features
from hdc_jax.tasks import TASKS
from hdc_jax.train import resuming
from tests import small
from tests.data.clips import generated

HDC, CVRL = Clips(frames=2), Clips(frames=2, part="frame")


def cut(clips, height, width):
  """Clips of a still video, [1, T, C, C], and their extents, if padded."""
  video = generated.Video(height=height, width=width, ramp=True)
  made = training_clips.make_cut(
    generated.Source([video], short_side=min(height, width)),
    clips,
    records=np.arange(1),
    starts=sampling.IndependentStarts(1),
  )
  return made.random_map([0], np.random.default_rng(0))


@pytest.mark.parametrize("short_side", [64, 128, 256])
def test_a_square_is_of_the_short_side_whatever_it_is(short_side):
  batch = cut(HDC, short_side, 2 * round(short_side * 2 / 3))
  assert batch["y"].shape == (1, 2, short_side, short_side)
  assert "extent" not in batch


@pytest.mark.parametrize(
  ("height", "width"), [(128, 170), (128, 228), (228, 128), (128, 128)]
)
def test_a_frame_is_whole_up_to_16_9(height, width):
  batch = cut(CVRL, height, width)
  assert batch["y"].shape == (1, 2, 228, 228)
  assert batch["extent"].tolist() == [[height, width]]
  assert batch["y"][0, 0, height - 1, width - 1] > 215  # the right end


def test_a_wider_frame_loses_its_borders():
  batch = cut(CVRL, 128, 400)
  assert batch["extent"].tolist() == [[128, 228]]


def areas_of(crop, extent):
  """Areas of 2000 crops, as fractions of the whole 128×228 frame."""
  keys = jax.random.split(jax.random.key(0), 2000)
  boxes = jax.vmap(lambda key: crop.draw(key, extent))(keys)
  return np.asarray(boxes.height * boxes.width) / (128 * 228)


def test_cvrl_sees_what_the_reference_sees_of_a_16_9_frame():
  """0.3 to 1 of the frame, where a canvas of 4:3 ended at 0.75."""
  crop = geometry.RandomResizedCrop(112)
  extent = jnp.array(cut(CVRL, 128, 228)["extent"][0])
  areas = areas_of(crop, extent)
  assert 0.29 < areas.min() < 0.32
  assert 0.97 < areas.max() <= 1


def test_the_canvas_of_version_0_1_0():
  """At a short side of 128, HDC's clips and tests are those they were."""
  new, old = HDC, dataclasses.replace(HDC, canvas=128)
  for name, value in cut(new, 128, 170).items():
    np.testing.assert_array_equal(value, cut(old, 128, 170)[name])
  shown = ShownClips()
  made = [placement.make_placement(c, shown, 112, 128) for c in (new, old)]
  assert made[0] == made[1]
  assert made[0].size == 112


def show(clips, short_side, size):
  """The first row of a test's view, of a ramp over the whole 4:3 frame."""
  video = generated.Video(height=short_side, width=short_side * 4 // 3, ramp=1)
  made = placement.make_placement(clips, ShownClips(clips=1), size, short_side)
  segments = evaluation_clips.CutSegments(generated.Source([video]), "", made)
  batch = segments.map(0)
  view = features.whole_view(size)
  planes = geometry.Canvas(jnp.array(batch["y"][0]), jnp.array(batch["uv"][0]))
  return np.asarray(view(jax.random.key(0), planes))[0, 0, :, 0]


def test_a_test_sees_the_same_of_larger_frames():
  """7/8 of the short side, as of 128 pixels, and in as many pixels."""
  small_frames, large_frames = show(HDC, 96, 84), show(HDC, 192, 84)
  assert small_frames.shape == large_frames.shape == (84,)
  np.testing.assert_allclose(small_frames, large_frames, atol=0.02)
  pixels = show(dataclasses.replace(HDC, canvas=96), 192, 84)
  assert np.ptp(pixels) < 0.6 * np.ptp(large_frames)


@pytest.mark.parametrize(
  ("short_side", "window"), [(112, 112), (120, 112), (128, 112), (256, 224)]
)
def test_windows_of_a_test(short_side, window):
  made = placement.make_placement(HDC, ShownClips(), 112, short_side)
  assert made.size == window
  named = placement.make_placement(HDC, ShownClips(size=64), 112, short_side)
  assert named.size == 64
  for _, windows in made.cuts(Segment(0, 0, 9, -1), short_side, short_side):
    assert {(w.height, w.width) for w in windows} == {(window, window)}


@pytest.mark.parametrize(
  ("clips", "short_side", "areas", "want"),
  [
    # 128² of 256·341.3; and of it 0.66² to 1.
    (Clips(canvas=128), 256, (0.4356, 1.0), ("8 % to 19 %", "6 % to 14 %")),
    (Clips(), 256, (0.4356, 1.0), ("33 % to 75 %", "25 % to 56 %")),
    (Clips(part="frame"), 256, (0.3, 1.0), ("30 % to 100 %",) * 2),
    (Clips(canvas=342), 256, (0.3, 1.0), ("30 % to 100 %", "23 % to 75 %")),
    (Clips(), 128, (1.0, 1.0), ("75 %", "56 %")),
  ],
)
def test_what_the_log_says(clips, short_side, areas, want):
  low, high = areas
  line = canvas.describe(
    clips,
    short_side,
    [
      lambda height, width: (low * height * width, high * height * width),
      lambda height, width: (high * height * width, high * height * width),
    ],
  )
  assert line.startswith(
    f"a clip sees {want[0]} of a 4:3 frame, {want[1]} of a 16:9 frame (a canvas"
  )


@pytest.mark.parametrize("method", ["hdc", "cvrl", "dsm"])
@pytest.mark.parametrize("short_side", [128, 256])
def test_recipes_follow_the_dataset(method, short_side):
  config = config_lib.default(method=method)
  config.data.path = "x"
  config.model.size = 112
  options, _ = TASKS["pretrain"].resolve(config)
  assert options.clips.canvas == 0
  whole = 2 * -(-short_side * 8 // 9)
  want = whole if method == "cvrl" else short_side
  assert canvas.side(options.clips, short_side) == want


@pytest.mark.parametrize(("size", "short_side"), [(48, 56), (112, 128)])
def test_original_files_are_scaled_for_the_network(size, short_side):
  options = small.options(data__canvas=0, model__size=size)
  assert options.short_side == short_side
  tested = small.options(
    "retrieve", data__canvas=0, model__size=size, test__size=300
  )
  assert tested.short_side == 300


def test_frames_that_are_smaller_than_the_views():
  with pytest.raises(
    ConfigError,
    match=r"^config\.model\.size=224 must be from 1 to the short side of the "
    r"frames, 128: .*--short_side$",
  ):
    training_clips.check_clips(HDC, 224, 128)


def test_part_has_no_effect_with_pixels():
  config = small.config(data__canvas=0, data__part="frame")
  config.data.path = "x"
  config.data.canvas = 40
  with pytest.raises(ConfigError, match=r"data\.part has an effect only with"):
    TASKS["pretrain"].resolve(config)


@pytest.mark.parametrize(("saved", "may"), [(128, True), (130, False)])
def test_a_run_that_named_the_same_canvas_goes_on(saved, may):
  """A run of version 0.1.0, on a dataset with a short side of 128."""
  task = TASKS["pretrain"]
  config = task.run_config(small.config(data__canvas=0).to_dict())
  older = task.run_config(small.config(data__canvas=saved).to_dict()).values
  resumed = resuming.with_canvas_of(config, older, 128)
  if may:
    config.check_resumes(resumed, "run")
  else:
    with pytest.raises(ConfigError, match=r"config\.data\.canvas is 0, .* 130"):
      config.check_resumes(resumed, "run")
