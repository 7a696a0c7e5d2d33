"""A bar on a terminal, plain lines in a log."""

import io

from hdc_jax.runtime import progress


def test_plain_lines_in_a_log(monkeypatch, capsys):
  monkeypatch.setattr(progress, "INTERVAL", 0.0)
  with progress.Progress(12, "steps", "pretrain", initial=9) as shown:
    shown.update(loss="1.234")
    shown.update(2, loss="1.2")
  first, *_, last = capsys.readouterr().err.splitlines()
  assert first.startswith("pretrain: 10/12 steps, ")
  assert " left, loss 1.234" in first
  assert last.startswith("pretrain: 12/12 steps, ")
  assert last.endswith("loss 1.2")


def test_few_lines(monkeypatch, capsys):
  """Not one for every step."""
  with progress.Progress(1000, "steps") as shown:
    for _ in range(1000):
      shown.update()
  assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_bar_on_a_terminal(monkeypatch):
  terminal = io.StringIO()
  terminal.isatty = lambda: True
  monkeypatch.setattr("sys.stderr", terminal)
  with progress.Progress(4, "steps", initial=1) as shown:
    for _ in range(3):
      shown.update(loss="0.5", **{"data wait": "0%"})
  text = terminal.getvalue()
  assert "\r" in text
  assert "4/4" in text
  assert "loss 0.5, data wait 0%" in text
