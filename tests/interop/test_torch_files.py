"""PyTorch's files, also those that are wrapped or not what they should be."""

import argparse
import collections
import json
import pathlib
import sys

import jax
import numpy as np
import pytest
import torch

from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder as encoder_lib
from hdc_jax.convert import formats, layouts, torch_files
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import pretrained
from hdc_jax.interop import encoders
from tests import weights

WEIGHTS = {"conv1.weight": torch.randn(2, 3), "bn1.bias": torch.randn(4)}


def assert_weights(arrays):
  assert arrays.keys() == WEIGHTS.keys()
  for name, tensor in WEIGHTS.items():
    np.testing.assert_array_equal(arrays[name], tensor.numpy())


OTHERS = {
  "options of a program": {"opt": argparse.Namespace(lr=0.1)},
  "scalars of NumPy": {"best": np.float64(3), "loss": np.float32(1)},
  "arrays of NumPy": {"losses": np.ones(3)},
  "a tensor": {"epoch": torch.tensor(3)},
  "a path and a set": {"path": pathlib.PurePosixPath("x"), "seen": {1, 2}},
  "an optimizer": {
    "optimizer": {"state": {0: {"momentum": torch.ones(3)}}, "groups": [1]}
  },
}
PLACES = ["state_dict", "model_state_dict", "model", "net", "encoder"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("others", OTHERS)
def test_what_lies_beside_the_weights(others, zipped, tmp_path):
  """In the format of today, and in that before PyTorch 1.6."""
  path = tmp_path / "save_200.pth.tar"
  saved = {"arch": "resnet-18", **OTHERS[others], "model": WEIGHTS}
  torch.save(saved, path, _use_new_zipfile_serialization=zipped)
  arrays, metadata = torch_files.read(path)
  assert_weights(arrays)
  assert metadata == {"arch": "resnet-18"}


@pytest.mark.parametrize("place", PLACES)
def test_where_the_weights_are(place, tmp_path):
  torch.save({"epoch": 3, place: WEIGHTS}, tmp_path / "x.pt")
  assert_weights(torch_files.read(tmp_path / "x.pt")[0])
  torch.save({"run": {place: WEIGHTS}}, tmp_path / "x.pt")
  assert_weights(torch_files.read(tmp_path / "x.pt")[0])


@pytest.mark.parametrize("place", PLACES[:4])
def test_usual_places_come_first(place, tmp_path):
  saved = {"ema": {"a": torch.ones(1)}, place: WEIGHTS}
  torch.save(saved, tmp_path / "x.pt")
  assert_weights(torch_files.read(tmp_path / "x.pt")[0])


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
  """Runs code when it is unpickled."""

  def __reduce__(self):
    return pathlib.Path.touch, (pathlib.Path("touched"),)


REFUSED = {
  "a module": (torch.nn.Linear(2, 2), "holds a whole module torch.nn.modules"),
  "a module in a dict": (
    {"net": torch.nn.DataParallel(torch.nn.Linear(2, 2))},
    "torch.save(torch.load('x.pt', weights_only=False)['net'].state_dict(), ",
  ),
  "two models": (
    {"student": WEIGHTS, "teacher": WEIGHTS},
    "several state dicts, at ['student'], ['teacher']: save one",
  ),
  "code": (Code(), "torch.save(model.state_dict(), 'weights.pt')"),
  "objects that do not load": (
    {"seen": collections.defaultdict(list, {1: [2]}), "model": WEIGHTS},
    "holds objects beside weights (builtins.list, collections.defaultdict)",
  ),
  "list": ([torch.ones(2)], "holds no state dict, but an object of type list"),
  "no tensors": ({"epoch": 3}, "holds no state dict, but a dict with 'epoch'"),
  "damaged": (b"abc", "it is cut off, damaged or no file of torch.save"),
  "empty": (b"", "it is cut off, damaged or no file of torch.save"),
  "missing": (None, "cannot be read: No such file or directory"),
}


def assert_refused(path, message):
  """In one line of our own: no codes of a terminal, no text of PyTorch."""
  with pytest.raises(DataError) as error:
    torch_files.read(path)
  line = str(error.value)
  assert line.startswith(str(path)) and message in line
  assert line.isprintable()
  assert "torch.serialization" not in line and "Unpickl" not in line


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  saved, message = REFUSED[case]
  path = tmp_path / "x.pt"
  if isinstance(saved, bytes):
    path.write_bytes(saved)
  elif saved is not None:
    torch.save(saved, path)
  assert_refused(path, message)
  assert not (tmp_path / "touched").exists()


def test_older_torch(monkeypatch):
  """Which could run code from data."""
  version = torch.torch_version.TorchVersion("2.5.1+cpu")
  monkeypatch.setattr(torch, "__version__", version)
  monkeypatch.delitem(sys.modules, "hdc_jax.convert.torch_files")
  monkeypatch.delattr("hdc_jax.convert.torch_files")
  with pytest.raises(ConfigError, match=r"PyTorch 2\.6 or later is needed"):
    formats.of("x.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_module_and_script(tmp_path):
  module, path = torch.nn.Linear(2, 2), tmp_path / "x.pt"
  torch.save(module, path, _use_new_zipfile_serialization=False)
  assert_refused(path, "torch.nn.modules.linear.Linear): save the weights")
  torch.jit.trace(module, torch.ones(1, 2)).save(path)
  assert_refused(path, "torch.save(torch.jit.load('x.pt').state_dict(), ")


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
  ]
  assert convert.main(argv) == 0
  ((_, got, _),) = written
  leaves = map(jax.tree.leaves, (got, variables))
  for a, b in zip(*leaves, strict=True):
    assert a.tobytes() == b.tobytes()
  assert "left out: fc7.weight, fc8.bias" in capsys.readouterr().out


def test_export(tmp_path, monkeypatch):
  """A .pt file of the command is loaded by the class, strictly."""
  backbone = weights.backbone("c3d")
  variables = weights.fill(weights.template("c3d"))
  loaded = pretrained.Pretrained("run", 0, {"data": {}}, backbone, variables)
  monkeypatch.setattr(encoder_lib, "load", lambda _: loaded)
  path = tmp_path / "encoder.pt"
  assert convert.main(["export", "--checkpoint=run", f"--output={path}"]) == 0
  saved = torch.load(path, weights_only=True)
  encoder = encoders.ENCODERS["c3d"](width=4, norm="batch")
  encoder.load_state_dict(saved["state_dict"])
  assert json.loads(saved["model"])["name"] == "c3d"
