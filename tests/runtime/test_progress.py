"""A bar on a terminal, plain lines in a log."""

import io

from hdc_jax.runtime import progress


def test_plain_lines_in_a_log(monkeypatch, capsys):
  monkeypatch.setattr(progress, "INTERVAL", 0.0)
  with progress.Progress(12, "steps", "pretrain", initial=9) as shown:
    shown.update(loss="1.234")
    shown.update(2, loss="1.2")
  first, *_, last = capsys.readouterr().err.splitlines()
  assert first == "pretrain: 10/12 steps, loss 1.234"
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


def clock(monkeypatch):
  """A clock that a test sets."""
  now = [0.0]
  monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
  return now


def test_what_comes_before_the_first_step_is_not_in_the_rate(
  monkeypatch, capsys
):
  """A compilation of two minutes does not make 100 steps last for hours."""
  now = clock(monkeypatch)
  with progress.Progress(100, "steps") as shown:
    now[0] = 120.0
    shown.update()
    now[0] = 130.0
    shown.update()
    now[0] = 140.0
    shown.update()
  assert capsys.readouterr().err.splitlines() == [
    "1/100 steps",
    "2/100 steps, 0.1/s, 0:16:20 left",
    "3/100 steps, 0.1/s, 0:16:10 left",
  ]


def test_the_bar_does_not_count_it_either(monkeypatch):
  now = clock(monkeypatch)
  monkeypatch.setattr("time.time", lambda: now[0])
  terminal = io.StringIO()
  terminal.isatty = lambda: True
  monkeypatch.setattr("sys.stderr", terminal)
  monkeypatch.setattr(progress.tqdm.tqdm, "monitor_interval", 0)
  with progress.Progress(100, "steps", initial=1) as shown:
    shown._bar._time = lambda: now[0]
    shown._bar.start_t = shown._bar.last_print_t = now[0]
    for moment in (120.0, 130.0, 140.0):
      now[0] = moment
      shown.update()
    last = terminal.getvalue().split("\r")[-1]
  assert "4/100" in last
  assert "16:00" in last  # for 96 steps of 10 s


def test_a_phase_is_shown_with_its_duration(monkeypatch, capsys):
  now = clock(monkeypatch)
  with progress.Progress(100, "steps") as shown, shown.phase("compiling"):
    now[0] = 83.0
    assert capsys.readouterr().err == "compiling …\n"
  assert capsys.readouterr().err == "compiling took 0:01:23\n"


def test_the_clock_of_a_phase_goes_on_on_a_terminal(monkeypatch):
  monkeypatch.setattr(progress, "_TICK", 0.01)
  terminal = io.StringIO()
  terminal.isatty = lambda: True
  monkeypatch.setattr("sys.stderr", terminal)
  with progress.Progress(4, "steps", "train") as shown:
    with shown.phase("compiling"):
      drawn = len(terminal.getvalue())
      progress.time.sleep(0.5)
    assert terminal.getvalue()[drawn:].count("compiling") > 2
    shown.update(4)
  assert "train: 100%" in terminal.getvalue()
