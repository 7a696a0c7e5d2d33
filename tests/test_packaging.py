"""What is installed works outside of the checkout."""

import json
import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import hdc_jax

ROOT = pathlib.Path(__file__).parents[1]

_INSPECT = """
import sys

class Missing:  # tensorboardX imports torch wherever there is one.
  def find_spec(self, name, *_):
    if name in ("tensorflow", "torch"):
      raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import hdc_jax, hdc_jax.main, hdc_jax.prepare, hdc_jax.convert
import importlib.metadata, importlib.resources, json
folder = importlib.resources.files("hdc_jax") / "configs"
print(json.dumps({
  "file": hdc_jax.__file__,
  "version": importlib.metadata.version("hdc-jax"),
  "configs": {p.name: p.read_text() for p in folder.iterdir() if p.is_file()},
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """A wheel of the source distribution of this checkout."""
  directory = tmp_path_factory.mktemp("dist")
  subprocess.run(
    [sys.executable, "-m", "build", "--outdir", directory, ROOT],
    check=True,
    capture_output=True,
  )
  (path,) = directory.glob("hdc_jax-*.whl")
  return path


@pytest.mark.slow
def test_files_of_the_wheel(wheel):
  """Every module, every config and the data files; no launchers, no tests."""
  names = {
    name
    for name in zipfile.ZipFile(wheel).namelist()
    if ".dist-info/" not in name
  }
  package = [*ROOT.glob("hdc_jax/**/*.py"), ROOT / "hdc_jax" / "py.typed"]
  templates = ROOT.glob("hdc_jax/report/templates/*")
  expected = {
    str(path.relative_to(ROOT)) for path in (*package, *templates)
  } | {f"hdc_jax/configs/{path.name}" for path in ROOT.glob("configs/*.py")}
  assert names == expected


@pytest.mark.slow
def test_wheel_in_a_new_environment(wheel, tmp_path):
  """Installed and imported, without TensorFlow and PyTorch.

  The dependencies come from this environment.
  """
  venv = tmp_path / "venv"
  subprocess.run([sys.executable, "-m", "venv", venv], check=True)
  python = venv / "bin" / "python"
  # -I: this checkout, which would count as installed, is not on the path.
  install = ["-I", "-m", "pip", "install", "--quiet", "--no-deps", wheel]
  subprocess.run([python, *install], check=True)
  # A path file lends the dependencies, but not this checkout: path files in a
  # directory that a path file names are not followed.
  (site,) = venv.glob("lib/python*/site-packages")
  (site / "lent.pth").write_text(sysconfig.get_path("purelib"))
  empty = tmp_path / "empty"
  empty.mkdir()
  done = subprocess.run(
    [python, "-I", "-c", _INSPECT],
    capture_output=True,
    text=True,
    cwd=empty,
  )
  assert not done.returncode, done.stderr
  found = json.loads(done.stdout)
  assert pathlib.Path(found["file"]).is_relative_to(venv)
  assert found["version"] == hdc_jax.__version__
  assert found["configs"] == {
    path.name: path.read_text() for path in ROOT.glob("configs/*.py")
  }


def test_other_files_have_the_version():
  version = hdc_jax.__version__
  citation = (ROOT / "CITATION.cff").read_text().splitlines()
  changes = (ROOT / "CHANGELOG.md").read_text()
  assert f"version: {version}" in citation
  assert f"## [{version}] - " in changes
