"""The wheel works outside of the checkout."""

import pathlib
import subprocess
import sys
import sysconfig
import zipfile

ROOT = pathlib.Path(__file__).parents[1]


def test_wheel_in_a_new_environment(tmp_path):
  """Built, installed and imported, without TensorFlow and PyTorch.

  The dependencies come from this environment.
  """
  subprocess.run(
    [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT],
    check=True,
    capture_output=True,
  )
  (wheel,) = tmp_path.glob("hdc_jax-*.whl")
  names = zipfile.ZipFile(wheel).namelist()
  assert "hdc_jax/py.typed" in names
  assert "hdc_jax/templates/report.html.j2" in names
  assert not [n for n in names if n.startswith(("tests", "configs"))]

  venv = tmp_path / "venv"
  subprocess.run([sys.executable, "-m", "venv", venv], check=True)
  python = venv / "bin" / "python"
  install = ["-m", "pip", "install", "--quiet", "--no-deps", wheel]
  subprocess.run([python, *install], check=True)
  # A path file lends the dependencies, but not this checkout: path files in a
  # directory that a path file names are not followed.
  (site,) = venv.glob("lib/python*/site-packages")
  (site / "lent.pth").write_text(sysconfig.get_path("purelib"))
  code = (
    # tensorboardX imports torch wherever there is one.
    "import sys\n"
    "class Missing:\n"
    "  def find_spec(self, name, *_):\n"
    "    if name in ('tensorflow', 'torch'):\n"
    "      raise ModuleNotFoundError(name)\n"
    "sys.meta_path.insert(0, Missing())\n"
    "import hdc_jax, hdc_jax.main, hdc_jax.prepare, hdc_jax.convert;"
    "import importlib.metadata;"
    "print(hdc_jax.__file__, importlib.metadata.version('hdc-jax'))"
  )
  done = subprocess.run(
    [python, "-c", code],
    check=True,
    capture_output=True,
    text=True,
    cwd=tmp_path,
  )
  file, version = done.stdout.split()
  assert pathlib.Path(file).is_relative_to(venv)
  assert version == "0.1.0"
