"""The command line of `prepare`: errors and help."""

import os

import pytest

from hdc_jax.data.datasets import DATASETS
from hdc_jax.prepare import command as prepare
from hdc_jax.runtime import locks
from tests.prepare.preparing import run


def test_errors_are_one_line(tmp_path, capsys):
  def error_of(*args):
    code = prepare.main([f"--output={tmp_path / 'out'}", *args])
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return code, message

  code, message = error_of("--dataset=folder")
  assert code == 2
  assert "--source is missing" in message
  code, message = error_of("--dataset=folder", f"--source={tmp_path / 'no'}")
  assert code == 3
  assert "no: no such directory" in message
  code, message = error_of("--dataset=folder", f"--source={tmp_path}")
  assert code == 3
  assert f"no usable videos in {tmp_path}" in message
  code, message = error_of("--dataset=ucf101", f"--source={tmp_path}")
  assert code == 2
  assert "--splits is missing: the directory of" in message
  code, message = error_of("--dataset=folder", f"--splits={tmp_path}")
  assert code == 2
  assert "--splits is of no use to this dataset" in message
  code, message = error_of("--dataset=hmdb51", f"--splits={tmp_path / 'no'}")
  assert code == 3
  assert "no: no such directory" in message
  code, message = error_of("--dataset=hmdb51", f"--splits={tmp_path}")
  assert code == 2
  assert "--source is missing" in message
  code, message = error_of("--dataset=synthetic", "--short_side=31")
  assert code == 2
  assert "short_side=31" in message
  (tmp_path / "out").write_text("a file")
  code, message = error_of("--dataset=synthetic", "--videos=2")
  assert code == 2
  assert message.startswith(f"error: --output: {tmp_path / 'out'}")


def test_a_second_command_is_refused(tmp_path, capsys):
  with locks.locked(tmp_path / "out", "--output"):
    args = ["--dataset=synthetic", "--videos=2", f"--output={tmp_path / 'out'}"]
    assert prepare.main(args) == 2
    assert [p.name for p in (tmp_path / "out").iterdir()] == [locks.LOCK]
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: --output={tmp_path / 'out'} is in use by")
  assert f"process {os.getpid()} on " in line


def test_no_usable_video_is_an_error(tmp_path, capsys):
  source = tmp_path / "videos"
  source.mkdir()
  (source / "a.mp4").write_bytes(b"not a video")
  assert run(source, tmp_path / "out") == 3
  message = capsys.readouterr().err
  assert f"error: no usable videos in {source}: " in message
  assert "a.mp4: cannot be opened" in message
  assert not (tmp_path / "out" / "index.json").exists()


def test_debug_shows_where(tmp_path, capsys):
  args = ["--dataset=folder", f"--output={tmp_path}", "--debug"]
  assert prepare.main(args) == 2
  assert "Traceback" in capsys.readouterr().err


def test_help_teaches(capsys):
  with pytest.raises(SystemExit) as exit_:
    prepare.main(["--help"])
  assert exit_.value.code == 0
  out = capsys.readouterr().out
  for word in ("examples:", "--dataset=synthetic", "--source", "--short_side"):
    assert word in out
  for name, dataset in DATASETS.items():
    assert name in out
    assert " ".join(dataset.layout.split()) in " ".join(out.split())
  assert max(map(len, out.splitlines())) <= 80
