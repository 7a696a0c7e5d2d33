"""The notebook of examples/ runs from its first cell to its last."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "first_run.ipynb"
# The same with few videos and steps, and what is quick to compile.
SETTINGS = """
from tests import quick
quick.use(setattr)
VIDEOS = None
COUNT = 40
STEPS = 2
OUTPUT = "first_run"
"""


@pytest.mark.slow
# Jupyter's own libraries announce what they will change.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_first_run(tmp_path, monkeypatch):
  nbclient = pytest.importorskip("nbclient")
  nbformat = pytest.importorskip("nbformat")
  path = os.pathsep.join(
    filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
  )
  monkeypatch.setenv("PYTHONPATH", path)
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
  notebook = nbformat.read(NOTEBOOK, as_version=4)
  nbformat.validate(notebook)
  code = [cell for cell in notebook.cells if cell.cell_type == "code"]
  assert not any(cell.outputs for cell in code)
  assert code[0].metadata.tags == ["settings"]
  code[0].source = SETTINGS
  resources = {"metadata": {"path": str(tmp_path)}}
  nbclient.NotebookClient(notebook, timeout=400, resources=resources).execute()
  pictures = [
    output
    for cell in code
    for output in cell.outputs
    if "image/png" in output.get("data", ())
  ]
  assert len(pictures) == 2
  (tmp_path / "first_run" / "run" / "report.html").stat()
