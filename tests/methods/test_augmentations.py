"""The shapes that the training views of classifiers show, and their options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.augment import geometry
from hdc_jax.errors import ConfigError
from hdc_jax.methods import augmentations
from tests import small

# A picture of 16:9 at the top left of a square canvas.
CANVAS, EXTENT = 96, (54, 96)


def shapes(view, size, count=2000):
  """Width over height in views of what is a circle in the picture.

  Two ramps tell how many pixels of the picture a pixel of the view has, down
  and across.
  """
  ramps = np.mgrid[:CANVAS, :CANVAS]
  grey = jnp.full((1, CANVAS // 2, CANVAS // 2, 2), 128, jnp.uint8)
  keys = jax.random.split(jax.random.key(0), count)
  show = jax.jit(jax.vmap(view, in_axes=(0, None)))
  middle, quarter = size // 2, size // 4
  steps = []
  for axis, ramp in enumerate(ramps):
    y = jnp.uint8(16 + 2 * ramp)[None]
    luma = show(keys, geometry.Canvas(y, grey, jnp.array(EXTENT)))[:, 0, ..., 0]
    line = np.asarray(luma[:, :, middle] if axis == 0 else luma[:, middle])
    steps.append(np.abs(line[:, -quarter] - line[:, quarter]))
  return steps[0] / steps[1]


@pytest.mark.parametrize("method", ["hdc", "cvrl", "dsm"])
def test_fine_tuning_keeps_circles_round(method):
  """In the mean, as the test has squares; squeezed pictures have 0.56."""
  options = small.options("finetune", method, data__canvas=CANVAS)
  view = augmentations.classification_view(options.augment, 32)
  seen = shapes(view, 32)
  assert abs(np.log(seen).mean()) < 0.01
  assert seen.min() < 0.9 and seen.max() > 1.1


def test_probes_have_crops_of_cvrl():
  """RECIPES: area 0.3 to 1, aspect 0.5 to 2; fine-tuning is HDC's."""
  for method in ("hdc", "cvrl", "dsm"):
    linear, finetune = (
      small.options(task, method).augment.crop(112)
      for task in ("linear", "finetune")
    )
    assert linear == geometry.RandomResizedCrop(112, (0.3, 1.0), (0.5, 2.0))
    assert isinstance(finetune, geometry.ScaleJitterCrop)


@pytest.mark.parametrize(
  ("task", "field", "value", "message"),
  [
    ("finetune", "area", (0.5, 1.0), r"area has an effect only .*crops=areas"),
    ("linear", "scales", (0.5,), r"scales has an effect only with .*=scales"),
    ("linear", "aspect", (2.0, 0.5), "aspect=.* must go from small to large"),
    ("linear", "crops", "corner", "one of scales, areas"),
  ],
)
def test_bad_options(task, field, value, message):
  with pytest.raises(ConfigError, match=message):
    small.options(task, **{f"augment__{field}": value})
