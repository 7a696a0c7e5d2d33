"""S3D and I3D: shapes and sizes, traced alone, as they take long to compile.

Their values are compared with public definitions in tests/interop.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import models
from hdc_jax.errors import ConfigError
from hdc_jax.models import i3d, s3d
from tests.models.test_backbones import conv_norm, shapes_and_counts

MODULES = {"i3d": i3d, "s3d": s3d}
# Channels of Inception-v1's modules, as in its table: before the module; 1×1;
# reduced and 3×3; reduced and 5×5, here 3×3; and after the pool.
TABLE = {
  "block3": ((192, 64, 96, 128, 16, 32, 32), (256, 128, 128, 192, 32, 96, 64)),
  "block4": (
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
  ),
  "block5": (
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
  ),
}


def make(name, **changes):
  return models.BACKBONES[name](**changes).make()


@pytest.mark.parametrize("name", MODULES)
def test_table_in_the_docstring(name):
  small, counts = shapes_and_counts(make(name), (16, 112, 112))
  large, _ = shapes_and_counts(make(name), (32, 224, 224))
  text = " ".join(MODULES[name].__doc__.split())
  for i, row in enumerate(zip(small, large, counts, strict=True), start=1):
    *shapes, count = row
    cells = ["×".join(map(str, shape)) for shape in shapes]
    assert " | ".join([f"| block{i}", *cells, f"{count:,} |"]) in text


def inflated(k, inputs, outputs):
  """Parameters of a convolution of k×k×k and its norm."""
  return conv_norm(k**3, inputs, outputs)


def separated(k, inputs, outputs):
  """Parameters of one over space and one over time, each with its norm."""
  return conv_norm(k * k, inputs, outputs) + conv_norm(k, outputs, outputs)


@pytest.mark.parametrize(
  ("name", "cube", "published"),
  [("i3d", inflated, 12_697_264), ("s3d", separated, 8_320_048)],
)
def test_parameters_by_hand(name, cube, published):
  """From the table of Inception-v1; and as published with 400 classes."""
  want = [cube(7, 3, 64), conv_norm(1, 64, 64) + cube(3, 64, 192)]
  want += [
    sum(
      conv_norm(1, inputs, c0 + c1 + c2 + c3)
      + cube(3, c1, o1)
      + cube(3, c2, o2)
      for inputs, c0, c1, o1, c2, o2, c3 in modules
    )
    for modules in TABLE.values()
  ]
  _, counts = shapes_and_counts(make(name), (8, 32, 32))
  assert counts == np.cumsum(want).tolist()
  assert counts[-1] + 400 * (1024 + 1) == published


@pytest.mark.parametrize("name", MODULES)
def test_a_narrow_network_in_bfloat16(name):
  """Every layer has at least one channel; variables are float32."""
  model = make(name, norm="batch", width=2)
  endpoints, variables = jax.eval_shape(
    lambda: model.init_with_output(
      jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3))
    )
  )
  assert {e.dtype for e in endpoints.values()} == {jnp.dtype("bfloat16")}
  leaves = jax.tree.leaves(variables)
  assert {p.dtype for p in leaves} == {jnp.dtype("float32")}
  assert all(p.size for p in leaves)
  channels = [e.shape[-1] for e in endpoints.values()]
  assert channels == [2, 6, 4 + 6 + 3 + 2, 8 + 10 + 4 + 4, 12 + 12 + 4 + 4]


def test_smallest_clips():
  """S3D's last pool takes two positions; I3D pads clips of any size."""
  for size in (4, 17), (5, 16):
    with pytest.raises(ConfigError, match="too few for s3d"):
      s3d.S3D().check_clip(*size)
  s3d.S3D().check_clip(5, 17)
  shapes, _ = shapes_and_counts(make("s3d", width=4), (5, 17, 17))
  assert shapes[-1] == (1, 1, 1, 64)
  shapes, _ = shapes_and_counts(make("i3d", width=4), (1, 1, 1))
  assert shapes[-1] == (1, 1, 1, 64)
