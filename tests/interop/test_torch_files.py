"""PyTorch's files, also those that are wrapped or not what they should be."""

import json

import jax
import numpy as np
import pytest
import torch

from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder as encoder_lib
from hdc_jax.convert import layouts, torch_files
from hdc_jax.errors import DataError
from hdc_jax.interop import encoders
from tests import weights

WEIGHTS = {"conv1.weight": torch.randn(2, 3), "bn1.bias": torch.randn(4)}


def assert_weights(arrays):
  assert arrays.keys() == WEIGHTS.keys()
  for name, tensor in WEIGHTS.items():
    np.testing.assert_array_equal(arrays[name], tensor.numpy())


@pytest.mark.parametrize("prefix", ["", "module.", "base_network.", "both"])
@pytest.mark.parametrize("nested", [False, True])
def test_wrapped(prefix, nested, tmp_path):
  prefix = {"both": "module.base_network."}.get(prefix, prefix)
  saved = {prefix + name: tensor for name, tensor in WEIGHTS.items()}
  if nested:
    saved = {"epoch": 3, "arch": "resnet-18", "state_dict": saved}
    saved["optimizer"] = {"state": {0: {"momentum": torch.ones(3)}}}
  torch.save(saved, tmp_path / "save_200.pth.tar")
  arrays, metadata = torch_files.read(tmp_path / "save_200.pth.tar")
  assert_weights(arrays)
  assert metadata == ({"arch": "resnet-18"} if nested else {})


def test_dtypes(tmp_path):
  """bfloat16, which NumPy has not, and half become float32."""
  saved = {
    "b": torch.tensor([1.0, 1.0 + 2**-7]).bfloat16(),
    "h": torch.nn.Parameter(torch.tensor([1.0, 1.0 + 2**-10]).half()),
    "n": torch.tensor(5),
  }
  torch.save(saved, tmp_path / "x.pt")
  arrays, _ = torch_files.read(tmp_path / "x.pt")
  assert arrays["b"].dtype == arrays["h"].dtype == np.float32
  assert arrays["b"].tolist() == [1.0, 1.0 + 2**-7]
  assert arrays["h"].tolist() == [1.0, 1.0 + 2**-10]
  assert arrays["n"] == 5


def test_there_and_back(tmp_path):
  arrays = {"a": np.float32([[1.5, -0.0], [np.inf, np.nan]])}
  torch_files.write(tmp_path / "x.pt", arrays, {"model": "{}"})
  got, metadata = torch_files.read(tmp_path / "x.pt")
  assert metadata == {"model": "{}"}
  assert got.keys() == arrays.keys()
  assert got["a"].tobytes() == arrays["a"].tobytes()
  nested = torch.load(tmp_path / "x.pt", weights_only=True)["state_dict"]
  assert nested["a"].dtype == torch.float32


class Code:
  """Something that only loads by running code."""


@pytest.mark.parametrize(
  ("saved", "message"),
  [
    (Code(), "cannot be read"),
    ([torch.ones(2)], "holds no state dict"),
    ({"epoch": 3}, "holds no state dict"),
    (b"abc", "cannot be read"),
    (b"", "cannot be read"),
    (None, "cannot be read"),
  ],
  ids=["code", "list", "no tensors", "damaged", "empty", "missing"],
)
def test_refused(saved, message, tmp_path):
  path = tmp_path / "x.pt"
  if isinstance(saved, bytes):
    path.write_bytes(saved)
  elif saved is not None:
    torch.save(saved, path)
  with pytest.raises(DataError, match=message) as error:
    torch_files.read(path)
  assert str(path) in str(error.value)
  assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_checkpoint_of_order_prediction(
  tmp_path, monkeypatch, pytestconfig, capsys
):
  """With its classifier, through the command."""
  monkeypatch.chdir(pytestconfig.rootpath)
  variables = weights.fill(weights.template("c3d"))
  (layout,) = layouts.of("c3d")
  saved = {
    f"base_network.{name}": torch.tensor(array)
    for name, array in layouts.to_torch(variables, layout).items()
  }
  saved |= {"fc7.weight": torch.ones(5, 4), "fc8.bias": torch.ones(5)}
  torch.save(saved, tmp_path / "model_300.pt")
  written = []
  monkeypatch.setattr(encoder_lib, "save", lambda *args: written.append(args))
  argv = [
    "import",
    f"--weights={tmp_path / 'model_300.pt'}",
    f"--output={tmp_path / 'run'}",
    "--config=configs/tiny.py",
    "--config.model.name=c3d",
    "--config.model.norm=batch",
    "--config.model.width=4",
    "--config.model.stem=()",
  ]
  assert convert.main(argv) == 0
  ((_, got, _),) = written
  leaves = map(jax.tree.leaves, (got, variables))
  for a, b in zip(*leaves, strict=True):
    assert a.tobytes() == b.tobytes()
  assert "left out: fc7.weight, fc8.bias" in capsys.readouterr().out


def test_export(tmp_path, monkeypatch):
  """A .pt file of the command is loaded by the class, strictly."""
  config = weights.config("c3d")
  variables = weights.fill(weights.template("c3d"))
  monkeypatch.setattr(encoder_lib, "load", lambda _: (config, variables))
  path = tmp_path / "encoder.pt"
  assert convert.main(["export", "--checkpoint=run", f"--output={path}"]) == 0
  saved = torch.load(path, weights_only=True)
  encoder = encoders.ENCODERS["c3d"](width=4, norm="batch")
  encoder.load_state_dict(saved["state_dict"])
  assert json.loads(saved["model"])["name"] == "c3d"
