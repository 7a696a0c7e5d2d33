"""The command line of `report`."""

import subprocess
import sys

import pytest

from hdc_jax.errors import DataError
from hdc_jax.report import command
from tests.report.pages import Page, add_picture


@pytest.mark.slow
def test_command_line(tmp_path, run):
  add_picture(run, "neighbours-motion.png")
  words = [sys.executable, "-m", "hdc_jax.report", run, "--output=out"]
  done = subprocess.run(
    words, cwd=tmp_path, capture_output=True, text=True, check=True
  )
  assert done.stdout == "out/report.html\n"
  page = Page((tmp_path / "out" / "report.html").read_text())
  assert "Neighbours · motion" in page.text and page.of("img")


def test_command_line_error(tmp_path, capsys):
  code = command.main([str(tmp_path), f"--output={tmp_path}"])
  error = capsys.readouterr().err
  assert code == DataError.exit_code
  assert error.startswith(f"error: {tmp_path} is not the directory of a run")
  assert error.count("\n") == 1
  assert not (tmp_path / "report.html").exists()
