"""Names, shapes and bits of weights, there and back; no PyTorch needed."""

import re

import jax
import numpy as np
import pytest
from flax import traverse_util
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.convert import layouts
from hdc_jax.errors import DataError
from tests.weights import fill, layout_of, template

# Networks whose layers have the names of shallower ones.
DEEPER = {"r3d101", "r3d152"}
LAYOUTS = [
  pytest.param(layout, backbone, id=f"{layout.name}-{backbone}")
  for layout in layouts.LAYOUTS
  for backbone in layout.backbones
  # For those of Inception, see test_inception_names.py.
  if backbone not in (*DEEPER, "i3d", "s3d")
]


def shapes(backbone, layout, **options):
  """Of what is in a file, by name."""
  made = layouts.to_torch(fill(template(backbone, **options)), layout)
  return {name: array.shape for name, array in made.items()}


def zeros(shapes_by_name):
  return {n: np.zeros(s, np.float32) for n, s in shapes_by_name.items()}


def assert_same_bits(got, want):
  assert got.keys() == want.keys()
  for name, array in want.items():
    assert got[name].dtype == array.dtype == np.float32
    assert got[name].flags.c_contiguous
    np.testing.assert_array_equal(
      got[name].view(np.uint32), array.view(np.uint32), err_msg=name
    )


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "backbone"), LAYOUTS)
@settings(max_examples=8, deadline=None)
@given(
  norm=st.sampled_from(["instance", "batch", "group"]),
  width=st.sampled_from([2, 4]),
  shortcut=st.sampled_from(["", "A", "B"]),
  seed=st.integers(0, 2**32 - 1),
)
def test_there_and_back_is_exact(layout, backbone, norm, width, shortcut, seed):
  options = {"shortcut": shortcut} if backbone.startswith("r3d") else {}
  like = template(backbone, norm, width, **options)
  variables = fill(like, seed)
  arrays = layouts.to_torch(variables, layout)
  back = layouts.from_torch(arrays, like, layout, norm)
  assert_same_bits(
    traverse_util.flatten_dict(back, sep="/"),
    traverse_util.flatten_dict(variables, sep="/"),
  )
  assert_same_bits(layouts.to_torch(back, layout), arrays)
  assert layouts.detect(arrays, like, backbone) is layout


@pytest.mark.parametrize(("layout", "backbone"), LAYOUTS)
def test_a_name_each(layout, backbone):
  names = layouts.export_names(template(backbone), layout)
  assert len(set(names.values())) == len(names)


def test_blocks_beyond_the_tenth():
  """Of R3D-101 and R3D-152, by PyTorch's own numbers of the blocks."""
  kernel = {"conv1": {"kernel": np.zeros((1, 1, 1, 2, 3), np.float32)}}
  variables = {"params": {"block4_0": kernel, "block4_35": kernel}}
  names = layouts.to_torch(variables, layout_of("kenshohara", "r3d152"))
  assert list(names) == ["layer3.0.conv1.weight", "layer3.35.conv1.weight"]


def test_axes():
  """Of a kernel in which all five differ."""
  kernel = np.arange(2 * 3 * 5 * 7 * 11, dtype=np.float32)
  kernel = kernel.reshape(2, 3, 5, 7, 11)
  variables = {"params": {"conv1": {"kernel": kernel}}}
  weight = layouts.to_torch(variables, layout_of("vcop", "c3d"))["conv1.weight"]
  assert weight.shape == (11, 7, 2, 3, 5)
  for t, h, w, i, o in np.ndindex(kernel.shape):
    assert weight[o, i, t, h, w] == kernel[t, h, w, i, o]


NORM = ("weight", "bias", "running_mean", "running_var")


def with_norms(convs):
  """Shapes of weights, and of the norms after them.

  Args:
    convs: Of name of the convolution, to name of its norm and shape.
  """
  made = {}
  for conv, (norm, *shape) in convs.items():
    made[f"{conv}.weight"] = tuple(shape)
    made |= {f"{norm}.{leaf}": (shape[0],) for leaf in NORM}
  return made


def resnet18(stem, conv, norm, stem_shape):
  """What a published 3D-ResNet18 with shortcut B has, classifier aside."""
  made = {stem[0]: (stem[1], *stem_shape)}
  for stage, channels in enumerate((64, 128, 256, 512), start=1):
    for block in range(2):
      first = channels // 2 if stage > 1 and block == 0 else channels
      at = f"layer{stage}.{block}"
      for k, inputs in ((1, first), (2, channels)):
        made[f"{at}.{conv.format(k)}"] = (
          f"{at}.{norm.format(k)}",
          *(channels, inputs, 3, 3, 3),
        )
      if first < channels:
        made[f"{at}.downsample.0"] = (
          f"{at}.downsample.1",
          *(channels, first, 1, 1, 1),
        )
  return with_norms(made)


def r2plus1d18():
  """What torchvision's has, classifier aside: shortcuts are one convolution."""
  made = {
    "stem.0": ("stem.1", 45, 3, 1, 7, 7),
    "stem.3": ("stem.4", 64, 45, 3, 1, 1),
  }
  for stage, channels in enumerate((64, 128, 256, 512), start=1):
    for block in range(2):
      first = channels // 2 if stage > 1 and block == 0 else channels
      mid = first * channels * 27 // (first * 9 + 3 * channels)
      at = f"layer{stage}.{block}"
      for k, inputs in ((1, first), (2, channels)):
        conv = f"{at}.conv{k}"
        made[f"{conv}.0.0"] = (f"{conv}.0.1", mid, inputs, 1, 3, 3)
        made[f"{conv}.0.3"] = (f"{conv}.1", channels, mid, 3, 1, 1)
      if first < channels:
        made[f"{at}.downsample.0"] = (
          f"{at}.downsample.1",
          *(channels, first, 1, 1, 1),
        )
  return with_norms(made)


@pytest.mark.parametrize(
  ("name", "options", "want"),
  [
    (
      "kenshohara",
      {"shortcut": "B"},
      resnet18(("conv1", "bn1"), "conv{}", "bn{}", (64, 3, 7, 7, 7)),
    ),
    (
      "torchvision",
      {"shortcut": "B", "stem": (3, 7, 7), "stem_pool": False},
      resnet18(("stem.0", "stem.1"), "conv{}.0", "conv{}.1", (64, 3, 3, 7, 7)),
    ),
  ],
)
def test_published_resnet18(name, options, want):
  layout = layout_of(name, "r3d18")
  assert shapes("r3d18", layout, width=64, **options) == want


def test_published_r2plus1d18():
  layout = layout_of("torchvision", "r2plus1d18")
  assert shapes("r2plus1d18", layout, width=64) == r2plus1d18()


def test_published_c3d():
  channels = {
    **{"1": (64, 3), "2": (128, 64), "3a": (256, 128), "3b": (256, 256)},
    **{"4a": (512, 256), "4b": (512, 512), "5a": (512, 512), "5b": (512, 512)},
  }
  want = with_norms(
    {f"conv{n}": (f"bn{n}", *io, 3, 3, 3) for n, io in channels.items()}
  )
  want |= {f"conv{n}.bias": (io[0],) for n, io in channels.items()}
  layout = layout_of("vcop", "c3d")
  assert shapes("c3d", layout, width=64) == want
  arrays = layouts.to_torch(fill(template("c3d")), layout)
  assert not any(arrays[f"conv{n}.bias"].any() for n in channels)


def test_published_r2plus1d():
  """The middle widths are those of the published class."""
  made = {
    "conv1.spatial_conv": ("conv1.bn", 83, 3, 1, 7, 7),
    "conv1.temporal_conv": ("bn1", 64, 83, 3, 1, 1),
  }

  def factored(conv, norm, inputs, outputs, k, mid):
    made[f"{conv}.spatial_conv"] = (f"{conv}.bn", mid, inputs, 1, k, k)
    made[f"{conv}.temporal_conv"] = (norm, outputs, mid, k, 1, 1)

  for stage, inputs, outputs, mids in (
    (2, 64, 64, (144, 144, None)),
    (3, 64, 128, (230, 288, 42)),
    (4, 128, 256, (460, 576, 85)),
    (5, 256, 512, (921, 1152, 170)),
  ):
    at = f"conv{stage}.block1"
    factored(f"{at}.conv1", f"{at}.bn1", inputs, outputs, 3, mids[0])
    factored(f"{at}.conv2", f"{at}.bn2", outputs, outputs, 3, mids[1])
    if mids[2]:
      conv, norm = f"{at}.downsampleconv", f"{at}.downsamplebn"
      factored(conv, norm, inputs, outputs, 1, mids[2])
  layout = layout_of("vcop", "r2plus1d10")
  assert shapes("r2plus1d10", layout, width=64) == with_norms(made)


def test_counters_are_ignored():
  layout = layout_of("kenshohara", "r3d18")
  variables = fill(template("r3d18"))
  arrays = layouts.to_torch(variables, layout)
  counters = {"bn1.num_batches_tracked": np.int64(7)}
  args = (template("r3d18"), layout, "batch")
  with_counters = layouts.from_torch(arrays | counters, *args)
  assert_same_bits(
    traverse_util.flatten_dict(with_counters, sep="/"),
    traverse_util.flatten_dict(variables, sep="/"),
  )


def biased(norm, value):
  """C3D's variables from a file with this bias in its third convolution."""
  layout, like = layout_of("vcop", "c3d"), template("c3d", norm)
  arrays = zeros(shapes("c3d", layout, norm=norm))
  arrays["conv3a.bias"] = np.full_like(arrays["conv3a.bias"], value)
  return layouts.from_torch(arrays, like, layout, norm)


def test_biases_move_into_batch_norm():
  means = biased("batch", 0.25)["batch_stats"]
  for name, stats in means.items():
    assert (stats["mean"] == (-0.25 if name == "norm3a" else 0)).all()
    assert (stats["var"] == 0).all()


def test_biases_have_no_effect_before_instance_norm():
  assert not any(leaf.any() for leaf in jax.tree.leaves(biased("instance", 2)))


def test_biases_cannot_move_into_group_norm():
  biased("group", 0.0)
  with pytest.raises(DataError, match=r"conv3a\.bias is not zero"):
    biased("group", 1e-3)


@pytest.mark.parametrize(
  ("backbone", "layout", "conv", "norm"),
  [
    ("r3d18", "kenshohara", "conv1", "stem_norm"),
    ("r3d18", "kenshohara", "layer2.0.conv2", "block3_0/norm2"),
    ("r3d18", "kenshohara", "layer2.0.downsample.0", "block3_0/norm0"),
    ("c3d", "vcop", "conv5b", "norm5b"),
    ("r2plus1d10", "vcop", "conv1.spatial_conv", "stem_conv/norm"),
    ("r2plus1d10", "vcop", "conv1.temporal_conv", "stem_norm"),
    *[
      ("r2plus1d10", "vcop", f"conv3.block1.{conv}", f"block3_0/{norm}")
      for conv, norm in (
        ("conv1.spatial_conv", "conv1/norm"),
        ("conv2.temporal_conv", "norm2"),
        ("downsampleconv.spatial_conv", "conv0/norm"),
        ("downsampleconv.temporal_conv", "norm0"),
      )
    ],
  ],
)
def test_biases_move_into_the_norm_that_follows(backbone, layout, conv, norm):
  layout = layout_of(layout, backbone)
  options = {"shortcut": "B"} if backbone == "r3d18" else {}
  like = template(backbone, **options)
  arrays = zeros(shapes(backbone, layout, **options))
  arrays[f"{conv}.bias"] = np.ones(len(arrays[f"{conv}.weight"]), np.float32)
  variables = layouts.from_torch(arrays, like, layout, "batch")
  flat = traverse_util.flatten_dict(variables, sep="/")
  changed = [path for path, value in flat.items() if value.any()]
  assert changed == [f"batch_stats/{norm}/mean"]
  assert (flat[changed[0]] == -1).all()


def test_refusal_names_layers():
  layout = layout_of("kenshohara", "r3d18")
  arrays = zeros(shapes("r3d18", layout))
  del arrays["layer4.1.conv2.weight"]
  arrays["conv1.weight"] = np.zeros((4, 3, 3, 7, 7), np.float32)
  arrays |= {f"extra{i}": np.zeros(2, np.float32) for i in range(5)}
  with pytest.raises(DataError) as error:
    layouts.from_torch(arrays, template("r3d18"), layout, "batch")
  assert str(error.value).endswith(
    "by kenshohara's names: 1 missing: layer4.1.conv2.weight; "
    "5 unexpected: extra0, extra1, extra2, …; 1 of another shape: "
    "conv1.weight (4×3×7×7×7 here, 4×3×3×7×7 in the file)"
  )


def test_refuses_r2plus1d_18():
  """It has more blocks, other middle widths and shortcuts of one piece."""
  arrays = zeros(r2plus1d18())
  like = template("r2plus1d10", width=64)
  layout = layouts.detect(arrays, like, "r2plus1d10")
  assert layout.name == "torchvision"
  with pytest.raises(DataError) as error:
    layouts.from_torch(arrays, like, layout, "batch")
  message = str(error.value)
  assert re.search(r"missing: layer\d\.0\.downsample\.0\.0\.weight", message)
  assert re.search(r"unexpected: layer1\.1\.conv1\.0\.0\.weight", message)
  shape = "0.0.weight (576×256×1×3×3 here, 460×256×1×3×3 in the file)"
  assert f"layer3.0.conv2.{shape}" in message
  assert len(message) < 800


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_refuses_another_norm(norm):
  layout = layout_of("kenshohara", "r3d18")
  other = {"instance": "batch", "batch": "instance"}[norm]
  arrays = zeros(shapes("r3d18", layout, norm=other))
  kind = {"instance": "unexpected", "batch": "missing"}[norm]
  with pytest.raises(DataError, match=rf"{kind}: \S*running_mean"):
    layouts.from_torch(arrays, template("r3d18", norm), layout, norm)
