"""What all commands have in common: flags, errors in one line, exit codes.

A command is a function that parses its arguments, one that does the work, and
`run`, which turns whatever either raises into one line on stderr and an exit
code of the table in `errors`. What is no error of this package, a bug, leaves
its traceback in a file, which the line names.
"""

import argparse
import contextlib
import importlib
import io
import multiprocessing
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TextIO

from hdc_jax.errors import BROKEN_PIPE, INTERRUPTED, ConfigError, Preempted
from hdc_jax.runtime import failures, interrupts, redaction

Parse = Callable[[Sequence[str]], argparse.Namespace]
Work = Callable[[argparse.Namespace], int | None]
Part = Callable[[int, str], bool]

_LEAVING_SECONDS = 60  # how long threads and exit handlers may take at the end


class _Parser(argparse.ArgumentParser):
  """A parser whose errors are those of this package."""

  def error(self, message: str) -> NoReturn:
    raise ConfigError(f"{message.removeprefix('argument ')}; see --help")

  def print_help(self, file: Any = None) -> None:
    # By itself it leaves a broken pipe to the end of the process, when nobody
    # can handle it.
    file = file or sys.stdout
    file.write(self.format_help())
    file.flush()


def make_parser(
  prog: str,
  description: str | None,
  examples: str = "",
  usage: str | None = None,
) -> argparse.ArgumentParser:
  """Makes the parser of a command, with the flags that all commands have.

  Args:
    prog: How the command is called, such as 'python -m hdc_jax.plan'.
    description: What it does.
    examples: Shown below the flags, as it is.
    usage: The line of usage; by default it lists the flags.

  Returns:
    The parser. It raises a ConfigError on wrong arguments.
  """
  parser = _Parser(
    prog=prog,
    usage=usage,
    description=description,
    epilog=examples,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.set_defaults(debug=False)
  add_debug(parser)
  return parser


def add_debug(parser: argparse.ArgumentParser) -> None:
  """Adds --debug to a parser, such as that of a subcommand."""
  parser.add_argument(
    "--debug",
    action="store_true",
    default=argparse.SUPPRESS,
    help="log more, and show the traceback of an error",
  )


def arguments(options: Mapping[str, Any]) -> list[str]:
  """The arguments that give options to a command.

  Args:
    options: Values of options by name, without '--'. An option that is None or
      False is left out, and that with several values is given several times.

  >>> arguments({"source": "videos", "deinterlace": True, "table": ["a", "b"]})
  ['--source=videos', '--deinterlace', '--table=a', '--table=b']
  """
  given = []
  for name, value in options.items():
    if value is True:
      given.append(f"--{name}")
    elif value is not None and value is not False:
      several = value if isinstance(value, (list, tuple)) else (value,)
      given += [f"--{name}={item}" for item in several]
  return given


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
  """Splits arguments into those before the first '--' and those after it."""
  argv = list(argv)
  end = argv.index("--") if "--" in argv else len(argv)
  return argv[:end], argv[end + 1 :]


def run(
  parse: Parse,
  work: Work,
  argv: Sequence[str] | None = None,
  *,
  part: Part | None = None,
) -> int:
  """Runs a command.

  Args:
    parse: From the arguments to the options; `options.debug` says whether
      tracebacks are shown, and `options.workdir`, if there is one, is the
      directory that gets the traceback of a bug.
    work: Does what the options ask for. Its result is the exit code, None if
      all went well.
    argv: Arguments, by default those of the process.
    part: Waits for the other processes of a run, and is given the exit code of
      this one and the line that it has printed, '' if all went well. Where it
      returns False, this process ends at once, as the usual clearing up would
      wait for the others.

  Returns:
    The exit code, see `errors`.
  """
  argv = list(sys.argv[1:] if argv is None else argv)
  options = argparse.Namespace(debug="--debug" in argv)
  for stream in (sys.stdout, sys.stderr):  # names of files may not be UTF-8
    if isinstance(stream, io.TextIOWrapper):
      stream.reconfigure(errors="backslashreplace")

  def end_now(error: KeyboardInterrupt) -> NoReturn:
    _exit_now(_report(error, options, argv)[0])

  line = ""
  try:
    with interrupts.handled(end_now) as raise_from_now_on:
      # It takes a while to import, in which signals are to be handled.
      from hdc_jax.runtime import logs

      redaction.refuse_arguments(argv)
      options = parse(argv)
      raise_from_now_on()
      with logs.shown(options.debug):
        code = work(options) or 0
      _flush(sys.stdout)
  except (Exception, KeyboardInterrupt) as error:
    code, line = _report(error, options, argv)
  if part is not None and not part(code, line):
    _silence_what_is_broken()
    os._exit(code)
  return code


def enter(module: str) -> NoReturn:
  """Imports a command and runs it as this process.

  The import takes seconds where JAX is among what is imported, in which signals
  end the process as they do later.

  Args:
    module: Full name of a module with a function `main`, which returns the exit
      code.
  """

  def load(argv: Sequence[str]) -> argparse.Namespace:
    importlib.import_module(module)
    return argparse.Namespace(debug="--debug" in argv)

  leave(run(load, lambda _: None) or sys.modules[module].main())


def leave(code: int) -> NoReturn:
  """Ends the process with an exit code, whatever its threads still do."""
  # Another Ctrl-C ends it at once, without a traceback.
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  _silence_what_is_broken()
  if code in (INTERRUPTED, Preempted.exit_code):
    # A thread of XLA may still compile, which crashes if Python clears up.
    _exit_now(code)
  timer = threading.Timer(_LEAVING_SECONDS, os._exit, (code,))
  timer.daemon = True
  timer.start()
  sys.exit(code)


def _exit_now(code: int) -> NoReturn:
  """Ends the process and its children, without clearing up."""
  for process in multiprocessing.active_children():
    process.kill()
  os._exit(code)


def _report(
  error: BaseException, options: argparse.Namespace, argv: Sequence[str]
) -> tuple[int, str]:
  """Prints one line on what ended a command; returns the exit code and it."""
  if _silence_what_is_broken() and isinstance(error, BrokenPipeError):
    return BROKEN_PIPE, ""
  with contextlib.suppress(OSError):  # stderr may be gone as well
    if options.debug:
      lines = traceback.format_exception(error)
      print(redaction.redact("".join(lines)), end="", file=sys.stderr)
  line, code = failures.describe(error, options, argv)
  line = " ".join(line.splitlines())
  with contextlib.suppress(OSError):
    print(line, file=sys.stderr, flush=True)
  return code, line


def _flush(stream: TextIO | None) -> None:
  if stream is not None:
    stream.flush()


def _silence_what_is_broken() -> bool:
  """Lets outputs that nobody reads, or that cannot be written, go nowhere.

  Python flushes them at the end of a process, and complains if it cannot.

  Returns:
    Whether one of them is a pipe whose reader is gone.
  """
  broken = False
  for stream in filter(None, (sys.stdout, sys.stderr)):
    gone = _is_broken(stream)
    broken |= gone
    try:
      stream.flush()
    except OSError:
      gone = True
    if gone:
      with contextlib.suppress(OSError, ValueError):  # it may be no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
  return broken


def _is_broken(stream: TextIO) -> bool:
  """Whether a stream is a pipe that nobody reads any more."""
  poll = select.poll()
  try:
    poll.register(stream.fileno(), 0)
  except (OSError, ValueError):  # it is no file
    return False
  return any(event & select.POLLERR for _, event in poll.poll(0))
