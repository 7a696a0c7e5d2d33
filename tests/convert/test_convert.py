"""The command: files to runs and back, and what it says when it cannot."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from hdc_jax.checkpoints import finding, saving
from hdc_jax.config import flags
from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder, layouts
from tests import weights

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

# Networks to convert: what differs from the default.
MODELS = {
  "r3d18": {"norm": "instance", "stem": (3, 7, 7), "stem_pool": False},
  "c3d": {"norm": "batch"},
}


def config_flags(name, **changes):
  fields = {"name": name, "width": 4, **MODELS[name], **changes}
  flags = [f"--config.model.{field}={v}" for field, v in fields.items()]
  return ["--config=configs/tiny.py", "--config.method.dim=16", *flags]


@pytest.fixture(autouse=True)
def root(pytestconfig, monkeypatch):
  monkeypatch.chdir(pytestconfig.rootpath)


@pytest.fixture(scope="module", params=MODELS)
def backbone(request):
  """Name of a backbone."""
  return request.param


@pytest.fixture(scope="module")
def variables(backbone):
  """Of the backbone."""
  return weights.fill(weights.template(backbone, **MODELS[backbone]))


@pytest.fixture(scope="module")
def run(backbone, variables, tmp_path_factory, pytestconfig):
  """A run with these variables."""
  path = tmp_path_factory.mktemp(backbone) / "run"
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(pytestconfig.rootpath)
    file, *fields = config_flags(backbone)
    config = flags.read_config(file.removeprefix("--config="), fields)
  encoder.save(config, variables, str(path))
  return path


@pytest.fixture(scope="module")
def r3d18(tmp_path_factory):
  """A file of r3d18, in torchvision's layout."""
  path = tmp_path_factory.mktemp("weights") / "r3d18.safetensors"
  like = weights.template("r3d18", **MODELS["r3d18"])
  layout = weights.layout_of("torchvision", "r3d18")
  arrays = layouts.to_torch(weights.fill(like), layout)
  safetensors.numpy.save_file(arrays, path)
  return path


def export(run, output, *more):
  return convert.main(
    ["export", f"--checkpoint={run}", f"--output={output}", *more]
  )


def import_(weights, output, *fields):
  return convert.main(
    ["import", f"--weights={weights}", f"--output={output}", *fields]
  )


def assert_holds(run, want):
  """That the run's backbone has these variables, bit by bit."""
  got = encoder.load(str(run)).variables
  got = {collection: tree for collection, tree in got.items() if tree}
  assert jax.tree.structure(got) == jax.tree.structure(want)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
    assert a.tobytes() == b.tobytes()


@pytest.mark.slow
def test_there_and_back(run, variables, backbone, tmp_path, capsys):
  file = tmp_path / "new" / "encoder.safetensors"
  assert export(run, file) == 0
  assert [path.name for path in file.parent.iterdir()] == [file.name]
  assert str(file) in capsys.readouterr().out
  back = tmp_path / "back"
  assert import_(file, back, *config_flags(backbone)) == 0
  assert_holds(back, variables)
  directory, step = finding.find(back)
  with saving.Checkpoints(directory) as saved:
    assert saved.config(step)["model"]["name"] == backbone


def test_others_may_read_it(run, tmp_path):
  """As far as the umask lets them, as they may any file of a run."""
  file, other = tmp_path / "encoder.safetensors", tmp_path / "other"
  assert export(run, file) == 0
  other.touch()
  assert file.stat().st_mode == other.stat().st_mode


def test_describes_itself(run, backbone, tmp_path):
  """By the arguments of the encoder's class."""
  file = tmp_path / "encoder.safetensors"
  assert export(run, file) == 0
  with safetensors.safe_open(file, "np") as opened:
    model = json.loads(opened.metadata()["model"])
  described = {"name": backbone, "width": 4, **MODELS[backbone]}
  if backbone == "r3d18":
    assert model == described | {"stem": [3, 7, 7]}
  else:
    assert model == described


def test_torch_is_not_needed():
  code = "import sys; sys.modules['torch'] = None; import hdc_jax.convert"
  subprocess.run([sys.executable, "-c", code], check=True)


def test_another_layout(run, variables, backbone, tmp_path, capsys):
  file = tmp_path / "encoder.safetensors"
  code = export(run, file, "--layout=torchvision")
  if backbone == "c3d":
    assert code == 2
    assert "'torchvision' is not one of vcop" in capsys.readouterr().err
    assert not file.exists()
    return
  assert code == 0
  with safetensors.safe_open(file, "np") as opened:
    assert "layer1.0.conv1.0.weight" in opened.keys()  # noqa: SIM118
    # Our own class could not load it.
    assert not opened.metadata()
  assert import_(file, tmp_path / "back", *config_flags(backbone)) == 0
  assert_holds(tmp_path / "back", variables)


def test_classifiers_are_left_out(r3d18, tmp_path, capsys):
  arrays = safetensors.numpy.load_file(r3d18)
  arrays |= {"fc.weight": np.ones((7, 3), "f4"), "fc.bias": np.ones(7, "f4")}
  file = tmp_path / "with_classifier.safetensors"
  safetensors.numpy.save_file(arrays, file)
  assert import_(file, tmp_path / "run", *config_flags("r3d18")) == 0
  out = capsys.readouterr().out
  assert "left out: fc." in out
  assert "fc.weight" in out
  assert "fc.bias" in out


FAILURES = {
  "a pool that the layout has not": (
    2,
    {"stem_pool": True},
    "--config.model.stem_pool=False",
  ),
  "another stem": (
    3,
    {"stem": (7, 7, 7)},
    "stem.0.weight (4×3×7×7×7 here, 4×3×3×7×7 in the file)",
  ),
  "another norm": (2, {"norm": "batch"}, "set --config.model.norm=instance"),
  "another shortcut": (3, {"shortcut": "B"}, "missing: layer2.0.downsample.0."),
  "no such norm": (2, {"norm": "layer"}, "'layer' is not one of"),
  "no width": (2, {"width": 0}, "config.model.width=0 must be at least 1"),
  "no such field": (2, {"nomr": "batch"}, "nomr"),
  "a field of another type": (2, {"width": "wide"}, "wide"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_refused_imports(case, r3d18, tmp_path, capsys):
  code, changes, message = FAILURES[case]
  flags = config_flags("r3d18", **changes)
  assert import_(r3d18, tmp_path / "run", *flags) == code
  error = capsys.readouterr().err
  assert error.startswith("error: ")
  assert error.count("\n") == 1
  assert message in error
  assert code == 2 or str(r3d18) in error
  assert not (tmp_path / "run").exists()


def test_norm_that_the_file_shows(tmp_path, capsys):
  arrays = layouts.to_torch(
    weights.fill(weights.template("c3d")), layouts.of("c3d")[0]
  )
  file = tmp_path / "batch.safetensors"
  safetensors.numpy.save_file(arrays, file)
  flags = config_flags("c3d", norm="instance")
  assert import_(file, tmp_path / "run", *flags) == 2
  assert "set --config.model.norm=batch" in capsys.readouterr().err


def test_wrappers_are_left_out(r3d18, tmp_path, capsys):
  """As in MoCo's file: both encoders, their heads, and a queue."""
  arrays = safetensors.numpy.load_file(r3d18)
  saved = {"module.queue": np.ones((2, 3), "f4")}
  for name, array in arrays.items():
    saved[f"module.encoder_k.{name}"] = np.zeros_like(array)
    saved[f"module.encoder_q.{name}"] = array
  saved["module.encoder_q.fc.weight"] = np.ones((7, 3), "f4")
  file = tmp_path / "moco.safetensors"
  safetensors.numpy.save_file(saved, file)
  run = tmp_path / "run"
  assert import_(file, run, *config_flags("r3d18")) == 0
  assert "module.queue" in capsys.readouterr().out
  assert import_(r3d18, tmp_path / "bare", *config_flags("r3d18")) == 0
  variables = encoder.load(str(tmp_path / "bare")).variables
  want = {name: tree for name, tree in variables.items() if tree}
  assert_holds(run, want)


def test_two_encoders(r3d18, tmp_path, capsys):
  arrays = safetensors.numpy.load_file(r3d18)
  both = {f"{p}.{n}": a for p in ("rgb", "flow") for n, a in arrays.items()}
  file = tmp_path / "two.safetensors"
  safetensors.numpy.save_file(both, file)
  assert import_(file, tmp_path / "run", *config_flags("r3d18")) == 3
  (line,) = capsys.readouterr().err.splitlines()
  assert f"{file}: it holds several encoders" in line
  assert "flow., rgb." in line or "rgb., flow." in line


def test_file_of_another_network(run, backbone, tmp_path, capsys):
  """Where the weights do not show it, the file says it."""
  file = tmp_path / "encoder.safetensors"
  assert export(run, file) == 0
  flags = config_flags(backbone, norm="group")
  assert import_(file, tmp_path / "run", *flags) == 2
  error = capsys.readouterr().err
  assert "config.model.norm is 'group'" in error
  assert f"{MODELS[backbone]['norm']!r}" in error


def test_run_that_is_there(run, r3d18, capsys):
  assert import_(r3d18, run, *config_flags("r3d18")) == 2
  assert "already" in capsys.readouterr().err


def test_no_such_files(run, tmp_path, capsys):
  missing = tmp_path / "missing.safetensors"
  assert import_(missing, tmp_path / "run", *config_flags("c3d")) == 3
  assert str(missing) in capsys.readouterr().err
  damaged = tmp_path / "damaged.safetensors"
  damaged.write_bytes(b"abc")
  assert import_(damaged, tmp_path / "run", *config_flags("c3d")) == 3
  assert f"{damaged} cannot be read" in capsys.readouterr().err
  assert export(tmp_path / "nothing", missing) == 3
  assert "not the directory of a run" in capsys.readouterr().err
  assert not missing.exists()


def test_formats(run, tmp_path, capsys, monkeypatch):
  assert export(run, tmp_path / "encoder.h5") == 2
  assert ".safetensors, .pt, .pth, .tar" in capsys.readouterr().err
  monkeypatch.setitem(sys.modules, "torch", None)
  monkeypatch.delitem(sys.modules, "hdc_jax.convert.torch_files", False)
  monkeypatch.delattr("hdc_jax.convert.torch_files", raising=False)
  assert export(run, tmp_path / "encoder.pt") == 2
  assert "pip install torch" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("argv", "message"),
  [
    (["--config.width=3"], "unexpected argument '--config.width=3'"),
    (["--layuot=vcop"], "unexpected argument '--layuot=vcop'"),
  ],
)
def test_arguments_of_export(argv, message, tmp_path, capsys):
  assert export(tmp_path, tmp_path / "encoder.safetensors", *argv) == 2
  assert message in capsys.readouterr().err


def test_arguments_of_import(r3d18, tmp_path, capsys):
  flags = [*config_flags("r3d18"), "--layout=vcop"]
  assert import_(r3d18, tmp_path / "run", *flags) == 2
  assert "layout" in capsys.readouterr().err
  assert import_(r3d18, tmp_path / "run", "--config=none.py") == 2
  assert "--config=none.py: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["import"], ["export", "--layout=x"]])
def test_usage(argv, capsys):
  assert convert.main(argv) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: ")
  assert line.endswith("; see --help")
