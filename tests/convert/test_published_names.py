"""Files of R(2+1)D-18 and SlowOnly as their repositories publish them."""

import re

import numpy as np
import pytest
from flax import traverse_util

from hdc_jax.convert import layouts, prefixes
from hdc_jax.errors import DataError
from tests.weights import layout_of, plausible, template


def renamed(name, *changes):
  """A name after replacements of patterns, in order."""
  for pattern, replacement in changes:
    name = re.sub(pattern, replacement, name)
  return name


# CTP and Tubelet-Contrast name the factors, and number the norms apart.
CTP = (
  (r"^stem\.0\.", "stem.conv_s."),
  (r"^stem\.1\.", "stem.bn_s."),
  (r"^stem\.3\.", "stem.conv_t."),
  (r"^stem\.4\.", "stem.bn_t."),
  (r"\.conv(\d)\.0\.0\.", r".conv\1.conv_s."),
  (r"\.conv(\d)\.0\.1\.", r".conv\1.bn_s."),
  (r"\.conv(\d)\.0\.3\.", r".conv\1.conv_t."),
  (r"\.conv(\d)\.1\.", r".bn\1."),
  (r"\.downsample\.0\.", ".downsample.conv."),
  (r"\.downsample\.1\.", ".downsample_bn."),
)
# RSPNet and Pretext-Contrast take the children of torchvision's network.
CHILDREN = ((r"^stem\.", "0."), (r"^layer(\d)\.", r"\1."))
# For each file of the collection of SEVERE: the layout; from torchvision's name
# of an array to the names that the file has it by; and what it has beside them,
# the names of classifiers without the prefix of the encoder.
SEVERE = {
  "supervised": ("torchvision", lambda n: [n], ["fc.weight", "fc.bias"]),
  "gdt": (
    "torchvision",
    lambda n: [f"video_network.base.{n}"],
    [
      "audio_network.base.layer2.0.downsample.0.weight",
      "audio_network.base.layer2.0.downsample.1.weight",
      "mlp_v.block_forward.0.weight",
    ],
  ),
  "selavi": (
    "torchvision",
    lambda n: [f"module.video_network.base.{n}"],
    ["module.audio_network.base.conv1.weight", "module.mlp_v.0.weight"],
  ),
  "avid_cma": (
    "torchvision",
    lambda n: [f"module.video_model.{n}"],
    ["module.audio_model.conv1.0.weight", "module.video_proj.proj.0.weight"],
  ),
  "moco": (
    "torchvision",
    lambda n: [f"module.encoder_q.{n}", f"module.encoder_k.{n}"],
    ["fc.0.weight", "module.queue"],
  ),
  "rspnet": (
    "rspnet",
    lambda n: [
      f"encoder_{x}.encoder.base_network.{renamed(n, *CHILDREN)}" for x in "qk"
    ],
    ["encoder_q.fc.1.weight", "encoder_q.encoder.linear.weight", "queue"],
  ),
  "pretext_contrast": (
    "rspnet",
    lambda n: [f"module.base_network.{renamed(n, *CHILDREN)}"],
    ["module.projector.mlp.0.weight", "module.fc_speed.bias"],
  ),
  "ctp": (
    "ctp",
    lambda n: [f"backbone.{renamed(n, *CTP)}"],
    ["cls_head.fc.weight"],
  ),
}
# For PySlowFast and PyTorchVideo the head, and the names that differ from those
# of PyTorchVideo.
SLOW = {
  "pyslowfast": (
    "head.projection.weight",
    (
      (r"^blocks\.0\.conv\.", "s1.pathway0_stem.conv."),
      (r"^blocks\.0\.norm\.", "s1.pathway0_stem.bn."),
      (r"^blocks\.1\.res_blocks\.", "s2.pathway0_res"),
      (r"^blocks\.2\.res_blocks\.", "s3.pathway0_res"),
      (r"^blocks\.3\.res_blocks\.", "s4.pathway0_res"),
      (r"^blocks\.4\.res_blocks\.", "s5.pathway0_res"),
      (r"branch1_conv\.", "branch1."),
      (r"branch1_norm\.", "branch1_bn."),
      (r"branch2\.conv_([abc])\.", r"branch2.\1."),
      (r"branch2\.norm_([abc])\.", r"branch2.\1_bn."),
    ),
  ),
  "pytorchvideo": ("blocks.5.proj.weight", ()),
}


def imported(arrays, backbone):
  """The layout, the variables, and the names that an import leaves out."""
  like = template(backbone)
  known = layouts.known_names(like, backbone)
  arrays, left_out = prefixes.split(arrays, known)
  encoder = {n: a for n, a in arrays.items() if not layouts.CLASSIFIER.match(n)}
  layout = layouts.detect(encoder, like, backbone)
  variables = layouts.from_torch(encoder, like, layout, "batch")
  return layout.name, variables, {*left_out, *(arrays.keys() - encoder.keys())}


def assert_imports(arrays, backbone, layout, variables, beside):
  name, got, left_out = imported(arrays, backbone)
  assert name == layout
  assert beside <= left_out
  want = traverse_util.flatten_dict(variables, sep="/")
  got = traverse_util.flatten_dict(got, sep="/")
  assert got.keys() == want.keys()
  for path, array in want.items():
    np.testing.assert_array_equal(got[path], array, err_msg=path)


@pytest.mark.parametrize("file", SEVERE)
def test_r2plus1d18_of_severe(file):
  layout, rename, beside = SEVERE[file]
  variables = plausible(template("r2plus1d18"))
  arrays = {name: np.ones(2, np.float32) for name in beside}
  own = layouts.to_torch(variables, layout_of("torchvision", "r2plus1d18"))
  for name, array in own.items():
    first, *others = rename(name)
    arrays[first] = array
    arrays |= {other: np.zeros_like(array) for other in others}
  if file == "moco":
    arrays["module.encoder_q.fc.0.weight"] = arrays.pop("fc.0.weight")
  assert_imports(arrays, "r2plus1d18", layout, variables, set(beside))


def test_tclr_is_another_network():
  """Its last stage begins with a whole convolution, dilated over time."""
  layout = layout_of("torchvision", "r2plus1d18")
  arrays = layouts.to_torch(plausible(template("r2plus1d18")), layout)
  first = "layer4.0.conv1.0"
  arrays = {n: a for n, a in arrays.items() if not n.startswith(f"{first}.")}
  arrays[f"{first}.weight"] = np.zeros((32, 16, 3, 3, 3), np.float32)
  file = {f"module.0.{name}": array for name, array in arrays.items()}
  with pytest.raises(DataError) as error:
    imported(file, "r2plus1d18")
  assert f"6 missing: {first}.0.weight, {first}.3.weight, " in str(error.value)
  assert f"1 unexpected: {first}.weight" in str(error.value)


@pytest.mark.parametrize("file", SLOW)
def test_slow(file):
  head, changes = SLOW[file]
  variables = plausible(template("slowonly50"))
  own = layouts.to_torch(variables, layout_of("pytorchvideo", "slowonly50"))
  arrays = {renamed(name, *changes): array for name, array in own.items()}
  arrays[head] = np.ones((4, 128), np.float32)
  assert_imports(arrays, "slowonly50", file, variables, {head})
