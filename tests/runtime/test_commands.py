"""However a command fails: one line on stderr, and the documented exit code.

Every command is given every kind of failure, where its work begins.
"""

import errno
import logging
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import pytest

from benchmarks import bench_eval, bench_step
from hdc_jax import errors, main
from hdc_jax.config import flags
from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder
from hdc_jax.plan import command as plan
from hdc_jax.prepare import command as prepare
from hdc_jax.prepare import pipeline
from hdc_jax.report import command as report
from hdc_jax.runs import read
from hdc_jax.runtime import commands
from launch import gke, skypilot, tpu_vm
from tests.launch import example

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

CONFIG = "--config=configs/tiny.py"
FILE = "--output=encoder.safetensors"

# Command → its main, arguments that are right, and where its work begins.
COMMANDS = {
  "main": (main.main, [CONFIG, "--workdir=run"], (flags, "read_config")),
  "prepare": (
    prepare.main,
    ["--dataset=folder", "--source=videos", "--output=data"],
    (pipeline, "prepare"),
  ),
  "plan": (plan.main, [CONFIG, "--topology=v5e:2x2"], (flags, "read_config")),
  "convert export": (
    convert.main,
    ["export", "--checkpoint=run", FILE],
    (encoder, "load"),
  ),
  "convert import": (
    convert.main,
    ["import", "--weights=a.safetensors", CONFIG, "--output=run"],
    (flags, "read_config"),
  ),
  "report": (report.main, ["run", "--output=page"], (read, "check")),
  "tpu_vm": (
    tpu_vm.main,
    example.argv("--project=p", "--dry_run"),
    (tpu_vm.Launcher, "launch"),
  ),
  "gke": (gke.main, example.argv(), (gke, "manifest")),
  "skypilot": (skypilot.main, example.argv(), (skypilot, "task")),
  "bench_eval": (bench_eval.main, [CONFIG], (flags, "read_config")),
  "bench_step": (bench_step.main, [CONFIG], (flags, "read_config")),
}


def _os_error(number):
  return OSError(number, os.strerror(number), "some/file")


def _sigterm():
  os.kill(os.getpid(), signal.SIGTERM)


# What happens → exit code, and the beginning of the line.
FAILURES = {
  "config": (errors.ConfigError("a\nb"), 2, "error: a b"),
  "data": (errors.DataError("bad"), 3, "error: bad"),
  "loss": (errors.NonFiniteError("bad"), 4, "error: bad"),
  "preempted": (errors.Preempted("bad"), 5, "error: bad"),
  "hung": (errors.Hung("bad"), 6, "error: bad"),
  "too large": (errors.TooLargeError("bad"), 7, "error: bad"),
  "bucket": (errors.StorageError("bad"), 8, "error: bad"),
  "no such file": (
    _os_error(errno.ENOENT),
    2,
    "error: some/file: No such file or directory; name another path",
  ),
  "a file in its way": (
    _os_error(errno.EEXIST),
    2,
    "error: some/file: File exists; name another path",
  ),
  "not writable": (
    _os_error(errno.EACCES),
    2,
    "error: some/file: Permission denied; name another path",
  ),
  "read-only": (_os_error(errno.EROFS), 2, "error: some/file: Read-only file"),
  "disk full": (
    _os_error(errno.ENOSPC),
    3,
    "error: some/file: No space left on device; make room",
  ),
  "disk broken": (_os_error(errno.EIO), 3, "error: some/file: Input/output"),
  "no words": (OSError("bad"), 3, "error: bad"),
  "network": (
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    8,
    "error: Connection reset by peer; run the same command again",
  ),
  "timeout": (TimeoutError("timed out"), 8, "error: timed out; run the same"),
  "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted"),
  "Ctrl-C with words": (KeyboardInterrupt("2 of 3"), 130, "interrupted: 2 of"),
  "SIGTERM": (_sigterm, 5, "stopped by SIGTERM"),
  "a bug": (
    ZeroDivisionError("division\nby zero"),
    1,
    "error: a bug, please report it: ZeroDivisionError: division; the traceb",
  ),
  "a bug without words": (
    MemoryError(),
    1,
    "error: a bug, please report it: MemoryError; the traceback is in ",
  ),
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, pytestconfig):
  """Configs are found, and tracebacks go to a directory of the test."""
  monkeypatch.chdir(pytestconfig.rootpath)
  monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
  before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
  yield
  assert signal.signal(signal.SIGTERM, before) is signal.SIG_DFL


def fail_with(failure):
  def fail(*_, **__):
    if not isinstance(failure, BaseException):
      failure()
    raise failure

  return fail


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_failure_is_one_line_and_a_code(
  command, failure, monkeypatch, capsys
):
  run, argv, where = COMMANDS[command]
  raised, want, message = FAILURES[failure]
  monkeypatch.setattr(*where, fail_with(raised))
  assert run(argv) == want
  out, err = capsys.readouterr()
  assert out == ""
  (line,) = err.splitlines()
  assert line.startswith(message)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_arguments_are_one_line(command, capsys):
  run, argv, _ = COMMANDS[command]
  assert run(["--nonsense", *argv]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith("error: ")
  assert "nonsense" in line
  assert line.endswith("; see --help")


@pytest.mark.parametrize("command", COMMANDS)
def test_all_of_them_show_a_traceback_on_demand(command, monkeypatch, capsys):
  run, argv, where = COMMANDS[command]
  monkeypatch.setattr(*where, fail_with(errors.DataError("bad")))
  assert run(["--debug", *argv]) == 3
  lines = capsys.readouterr().err.splitlines()
  assert lines[0] == "Traceback (most recent call last):"
  assert lines[-1] == "error: bad"


@pytest.mark.parametrize("command", COMMANDS)
def test_all_of_them_help(command, capsys):
  run, argv, _ = COMMANDS[command]
  verb = argv[:1] if command.startswith("convert") else []
  with pytest.raises(SystemExit, match="0"):
    run([*verb, "--help"])
  assert "--debug" in capsys.readouterr().out


def test_every_code_is_documented():
  codes = {code for _, code, _ in FAILURES.values()} | {errors.BROKEN_PIPE}
  rows = [line.split("|") for line in errors.__doc__.splitlines()]
  numbers = {row[1].strip() for row in rows if len(row) > 1}
  assert {str(code) for code in codes} <= numbers


# --- one command ----------------------------------------------------------


def parse(argv):
  parser = commands.make_parser("test", "What it does.")
  for name in ("workdir", "json"):
    parser.add_argument(f"--{name}", default="")
  return parser.parse_args(argv)


def test_what_is_right_is_silent(capsys):
  assert commands.run(parse, lambda options: None, []) == 0
  assert commands.run(parse, lambda options: 9, []) == 9
  assert capsys.readouterr() == ("", "")


def test_an_abbreviation_is_no_flag(capsys):
  assert commands.run(parse, lambda options: None, ["--work=x"]) == 2
  assert "unrecognized arguments: --work=x" in capsys.readouterr().err


def test_a_bug_leaves_its_traceback_in_the_workdir(tmp_path, capsys):
  workdir = tmp_path / "run"
  workdir.mkdir()
  argv = [f"--workdir={workdir}"]
  assert commands.run(parse, lambda _: 1 / 0, argv) == 1
  (path,) = workdir.iterdir()
  (line,) = capsys.readouterr().err.splitlines()
  assert line.endswith(f"the traceback is in {path}")
  text = path.read_text()
  assert text.startswith(argv[0])
  assert "1 / 0" in text
  assert "ZeroDivisionError" in text


@pytest.mark.parametrize("missing", [False, True])
def test_a_workdir_that_cannot_be_used_does_without(missing, tmp_path, capsys):
  workdir = tmp_path / "run"
  if not missing:
    workdir.write_text("a file")
  argv = [f"--workdir={workdir}"]
  assert commands.run(parse, lambda _: 1 / 0, argv) == 1
  path = capsys.readouterr().err.split()[-1]
  assert pathlib.Path(path).parent == tmp_path
  assert "ZeroDivisionError" in pathlib.Path(path).read_text()
  assert workdir.exists() != missing


def test_a_bug_leaves_its_traceback_in_a_bucket(buckets, capsys):
  argv = ["--workdir=gs://b/run"]
  assert commands.run(parse, lambda _: 1 / 0, argv) == 1
  (path,) = (buckets / "b" / "run").iterdir()
  assert f"gs://b/run/{path.name}" in capsys.readouterr().err
  assert "ZeroDivisionError" in path.read_text()


def test_a_bug_where_nothing_can_be_written(monkeypatch, capsys):
  def refuse(*_, **__):
    raise PermissionError

  monkeypatch.setattr("tempfile.mkstemp", refuse)
  assert commands.run(parse, lambda _: 1 / 0, []) == 1
  (line,) = capsys.readouterr().err.splitlines()
  assert "--debug shows it" in line


@pytest.mark.parametrize(
  ("file", "flag"),
  [
    ("out/a.json", "--json: "),
    ("out/.a.json.12ab.tmp", "--json: "),
    ("out/other.json", ""),
    ("runs/first/checkpoints/1", "--workdir: "),
    ("runs/firsts", ""),
  ],
)
def test_the_flag_that_names_a_path_is_named(file, flag, capsys):
  error = PermissionError(errno.EACCES, "Permission denied", file)
  argv = ["--json=out/a.json", "--workdir=runs/first"]
  assert commands.run(parse, fail_with(error), argv) == 2
  line = capsys.readouterr().err
  assert line.startswith(f"error: {flag}{file}: Permission denied; ")


def test_log_lines_go_where_they_went_before(capsys, caplog):
  log = logging.getLogger("hdc_jax.test")

  def work(options):
    del options
    log.info("inside")
    log.debug("unseen")

  assert commands.run(parse, work, []) == 0
  assert "inside" in capsys.readouterr().err
  log.warning("afterwards")
  assert capsys.readouterr().err == ""
  assert caplog.messages == ["afterwards"]


def test_split():
  assert commands.split(["a", "--", "b", "--", "c"]) == (
    ["a"],
    ["b", "--", "c"],
  )
  assert commands.split(["a"]) == (["a"], [])


@pytest.mark.parametrize("failed", [False, True])
def test_it_waits_for_the_other_processes(failed, capsys):
  told = []

  def part(code, line):
    told.append((code, line))
    return True

  def work(options):
    if failed:
      raise errors.DataError("bad")

  assert commands.run(parse, work, [], part=part) == 3 * failed
  assert told == [(3, "error: bad") if failed else (0, "")]


# --- real processes -------------------------------------------------------

# A thread that never ends would keep a process from its end.
SCRIPT = """
import argparse, threading, sys
from hdc_jax.runtime import commands

def work(options):
  threading.Thread(target=threading.Event().wait).start()
  print("done")
  {work}

parse = lambda argv: argparse.Namespace(debug=False)
{rest}
"""
ROOT = pathlib.Path(__file__).parents[2]


def start(work, rest, shell="{}"):
  """Runs a script by a shell; gives exit code, stdout and stderr."""
  # What is buffered is written at the end of a process, where it can fail.
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
  script = SCRIPT.format(work=work, rest=rest)
  python = shlex.join([sys.executable, "-c", script])
  done = subprocess.run(
    ["bash", "-o", "pipefail", "-c", shell.format(python)],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  return done.returncode, done.stdout, done.stderr


LEAVE = """
commands._LEAVING_SECONDS = 0.3
commands.leave(commands.run(parse, work))
"""
PART = "commands.run(parse, work, part=lambda code, line: False)"


@pytest.mark.parametrize("rest", [LEAVE, PART])
@pytest.mark.parametrize(
  ("work", "code", "stderr"),
  [("", 0, ""), ("raise KeyboardInterrupt", 130, "interrupted\n")],
)
def test_a_process_does_not_hang_at_its_end(rest, work, code, stderr):
  assert start(work, rest) == (code, "done\n", stderr)


@pytest.mark.parametrize("shell", ["{} | head -n 1", "{} 2>&1 | head -n 1"])
def test_a_reader_that_has_seen_enough_is_fine(shell):
  work = "for i in range(100_000): print(i)"
  assert start(work, LEAVE, shell) == (141, "done\n", "")


def test_help_may_have_such_a_reader():
  rest = (
    "parser = commands.make_parser('x', '')\n"
    "commands.leave(commands.run(parser.parse_args, None, ['--help']))"
  )
  assert start("", rest, "{} | true") == (141, "", "")


def test_an_output_that_is_full_is_one_line():
  code, _, stderr = start("", LEAVE, "{} > /dev/full")
  assert code == 3
  (line,) = stderr.splitlines()
  assert line.startswith("error: No space left on device; make room")


def test_a_process_without_outputs_ends_with_its_code():
  assert start("raise KeyboardInterrupt", LEAVE, "{} >&- 2>&-")[0] == 130


def test_a_second_signal_ends_a_process_that_is_leaving():
  rest = """
code = commands.run(parse, work)
import os, signal
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
commands.leave(code)
"""
  code, _, stderr = start("", rest)
  assert code in (-signal.SIGINT, 128 + signal.SIGINT)  # Python's, or bash's
  assert "Traceback" not in stderr
