"""Names of S3D and I3D in published repositories, of full width."""

import jax
import numpy as np
import pytest
import safetensors.numpy

from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder, layouts, prefixes
from hdc_jax.errors import ConfigError
from tests import weights
from tests.convert.test_layouts import assert_same_bits, shapes, with_norms

# Channels of each module: before it, and as in Inception-v1's table: 1×1×1;
# reduced and 3×3×3; reduced and 3×3×3 again; and after the pool.
MODULES = {
  "3b": (192, 64, 96, 128, 16, 32, 32),
  "3c": (256, 128, 128, 192, 32, 96, 64),
  "4b": (480, 192, 96, 208, 16, 48, 64),
  "4c": (512, 160, 112, 224, 24, 64, 64),
  "4d": (512, 128, 128, 256, 24, 64, 64),
  "4e": (512, 112, 144, 288, 32, 64, 64),
  "4f": (528, 256, 160, 320, 32, 128, 128),
  "5b": (832, 256, 160, 320, 32, 128, 128),
  "5c": (832, 384, 192, 384, 48, 128, 128),
}
# The number of each layer in torchvision's list, pools included.
NUMBERS = dict(zip(MODULES, (5, 6, 8, 9, 10, 11, 12, 14, 15), strict=True))


def separable(name, parts, inputs, outputs, k):
  """One convolution over space and one over time, by their names' ends."""
  (space, norm), (time, norm2) = parts
  return {
    name + space: (name + norm, outputs, inputs, 1, k, k),
    name + time: (name + norm2, outputs, outputs, k, 1, 1),
  }


def s3d(first, module, conv, norm, parts, branch0):
  """What a published S3D has, by its names.

  Args:
    first: Names of the three first layers.
    module: Function of the name of a module that returns its name there.
    conv: End of the name of a convolution that is not separable.
    norm: That of its norm.
    parts: Ends of the names of the two parts of others, each with its norm's.
    branch0: Name of the first branch.
  """
  made = separable(first[0], parts, 3, 64, 7)
  made[first[1] + conv] = (first[1] + norm, 64, 64, 1, 1, 1)
  made |= separable(first[2], parts, 64, 192, 3)
  for name, (inputs, c0, c1, o1, c2, o2, c3) in MODULES.items():
    at = module(name)
    for branch, outputs in (
      (branch0, c0),
      ("branch1.0", c1),
      ("branch2.0", c2),
      ("branch3.1", c3),
    ):
      layer = f"{at}.{branch}"
      made[layer + conv] = (layer + norm, outputs, inputs, 1, 1, 1)
    made |= separable(f"{at}.branch1.1", parts, c1, o1, 3)
    made |= separable(f"{at}.branch2.1", parts, c2, o2, 3)
  return with_norms(made)


def torchvision():
  return s3d(
    ("features.0", "features.2", "features.3"),
    lambda name: f"features.{NUMBERS[name]}",
    *(".0", ".1"),
    ((".0.0", ".0.1"), (".1.0", ".1.1")),
    "branch0",
  )


def coclr():
  """Every layer by two names, as an attribute and in the list of its block."""
  ends = (".conv", ".bn"), ((".conv1", ".bn1"), (".conv2", ".bn2"))
  attributes = s3d(
    ("Conv_1a", "Conv_2b", "Conv_2c"),
    lambda name: f"Mixed_{name}",
    *ends[0],
    *(ends[1], "branch0.0"),
  )
  listed = s3d(
    ("block1.0", "block2.1", "block2.2"),
    lambda name: f"block{name[0]}.{'abcdef'.index(name[1])}",
    *ends[0],
    *(ends[1], "branch0.0"),
  )
  return attributes | listed


def i3d(first, module, norm, branches):
  """What a published I3D has, by its names.

  Args:
    first: Names of the three first layers.
    module: Name of a module but for its number and letter.
    norm: Name of the norms.
    branches: Names of the six convolutions in a module.
  """
  layers = {
    first[0]: (64, 3, 7, 7, 7),
    first[1]: (64, 64, 1, 1, 1),
    first[2]: (192, 64, 3, 3, 3),
  }
  for name, (inputs, c0, c1, o1, c2, o2, c3) in MODULES.items():
    sizes = (
      *((c0, inputs, 1), (c1, inputs, 1), (o1, c1, 3)),
      *((c2, inputs, 1), (o2, c2, 3), (c3, inputs, 1)),
    )
    for branch, (outputs, channels, k) in zip(branches, sizes, strict=True):
      layers[f"{module}{name}.{branch}"] = (outputs, channels, k, k, k)
  return with_norms(
    {
      f"{name}.conv3d": (f"{name}.{norm}", *shape)
      for name, shape in layers.items()
    }
  )


def piergiaj():
  names = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
  first = ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")
  return i3d(first, "Mixed_", "bn", names)


def hassony2():
  names = ("0", "1.0", "1.1", "2.0", "2.1", "3.1")
  first = ("conv3d_1a_7x7", "conv3d_2b_1x1", "conv3d_2c_3x3")
  branches = [f"branch_{name}" for name in names]
  return i3d(first, "mixed_", "batch3d", branches)


PUBLISHED = {
  ("torchvision", "s3d"): torchvision,
  ("coclr", "s3d"): coclr,
  ("piergiaj", "i3d"): piergiaj,
  ("hassony2", "i3d"): hassony2,
}


@pytest.mark.parametrize(("name", "backbone"), PUBLISHED)
def test_published(name, backbone):
  layout = weights.layout_of(name, backbone)
  want = PUBLISHED[name, backbone]()
  assert shapes(backbone, layout, width=64) == want
  like = weights.template(backbone, width=64)
  assert layouts.detect(want, like, backbone) is layout


@pytest.mark.parametrize(("name", "backbone"), PUBLISHED)
def test_there_and_back(name, backbone):
  """As test_layouts has it for all others, which are quicker to trace."""
  layout, like = weights.layout_of(name, backbone), weights.template(backbone)
  variables = weights.fill(like)
  arrays = layouts.to_torch(variables, layout)
  back = layouts.from_torch(arrays, like, layout, "batch")
  for a, b in zip(*map(jax.tree.leaves, (back, variables)), strict=True):
    assert a.tobytes() == b.tobytes()
  assert_same_bits(layouts.to_torch(back, layout), arrays)


def checkpoint(variables):
  """What CoCLR saves: two encoders, a mean, heads and queues."""
  arrays = layouts.to_torch(variables, weights.layout_of("coclr", "s3d"))
  others = {name: np.zeros_like(array) for name, array in arrays.items()}
  heads = {"2.weight": np.ones(2), "4.bias": np.ones(2)}
  return {
    f"{wrapper}.{name}": array
    for wrapper, network in (
      ("sampler", others),
      ("encoder_q", arrays),
      ("encoder_k", others),
    )
    for name, array in (
      *((f"0.{name}", array) for name, array in network.items()),
      *heads.items(),
    )
  } | {"queue": np.ones(3), "queue_second": np.ones(3)}


def test_checkpoint_of_coclr(tmp_path, monkeypatch, pytestconfig, capsys):
  """Through the command: its trained encoder alone, and with its epsilon."""
  monkeypatch.chdir(pytestconfig.rootpath)
  variables = weights.fill(weights.template("s3d"))
  path = tmp_path / "coclr.safetensors"
  safetensors.numpy.save_file(checkpoint(variables), path)
  written = []
  monkeypatch.setattr(encoder, "save", lambda *args: written.append(args))
  argv = [
    "import",
    f"--weights={path}",
    f"--output={tmp_path / 'run'}",
    "--config=configs/s3d.py",
    "--config.model.norm=batch",
    "--config.model.width=4",
  ]
  assert convert.main(argv) == 2
  assert "--config.model.epsilon=1e-05" in capsys.readouterr().err
  assert convert.main([*argv, "--config.model.epsilon=1e-5"]) == 0
  ((_, got, _),) = written
  for a, b in zip(*map(jax.tree.leaves, (got, variables)), strict=True):
    assert a.tobytes() == b.tobytes()
  printed = capsys.readouterr().out
  assert "by coclr's names" in printed and "queue_second" in printed


@pytest.mark.parametrize(
  "classifier",
  ["classifier.1.weight", "logits.conv3d.bias", "conv3d_0c_1x1.conv3d.weight"],
)
def test_classifiers_are_left_out(classifier):
  assert layouts.CLASSIFIER.match(classifier)


def test_no_layer_is_a_classifier():
  for want in PUBLISHED.values():
    assert not any(layouts.CLASSIFIER.match(name) for name in want())


def test_an_epsilon_of_its_own():
  """A network with torchvision's is not exported by CoCLR's names."""
  layout = weights.layout_of("coclr", "s3d")
  with pytest.raises(ConfigError, match=r"networks with epsilon=1e-05"):
    encoder.check_layout(layout, weights.backbone("s3d"))
  encoder.check_layout(layout, weights.backbone("s3d", epsilon=1e-5))


def test_the_trained_encoder_among_several():
  found, _ = prefixes.split(
    {f"{w}.0.conv": np.ones(1) for w in ("sampler", "encoder_q", "encoder_k")},
    {"conv"},
  )
  assert found.keys() == {"conv"}
