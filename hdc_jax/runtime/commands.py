"""What all commands have in common: flags, errors in one line, exit codes.

A command is a function that parses its arguments, one that does the work, and
`run`, which turns whatever either raises into one line on stderr and an exit
code of the table in `errors`. What is no error of this package, a bug, leaves
its traceback in a file, which the line names.
"""

import argparse
import contextlib
import errno
import io
import os
import platform
import select
import shlex
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn, TextIO

from hdc_jax.errors import (
  BROKEN_PIPE,
  BUG,
  INTERRUPTED,
  ConfigError,
  DataError,
  HdcError,
  Preempted,
  StorageError,
)
from hdc_jax.runtime import logs

Parse = Callable[[Sequence[str]], argparse.Namespace]
Work = Callable[[argparse.Namespace], int | None]
Part = Callable[[bool], bool]

# What an OSError says of a path that someone named wrongly.
_WRONG_PATH = (
  errno.ENOENT,
  errno.EEXIST,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.EACCES,
  errno.EPERM,
  errno.EROFS,
  errno.ENAMETOOLONG,
  errno.ELOOP,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_REASON = 300  # characters of a bug's message that are shown
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


class Terminated(KeyboardInterrupt):
  """SIGTERM, which ends a command in the same way as Ctrl-C does."""


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
    part: Waits for the other processes of a run, and is given whether this one
      failed. Where it returns False, this process ends at once, as the usual
      clearing up would wait for the others.

  Returns:
    The exit code, see `errors`.
  """
  argv = list(sys.argv[1:] if argv is None else argv)
  options = argparse.Namespace(debug="--debug" in argv)
  for stream in (sys.stdout, sys.stderr):  # names of files may not be UTF-8
    if isinstance(stream, io.TextIOWrapper):
      stream.reconfigure(errors="backslashreplace")
  try:
    with _sigterm_raises():
      options = parse(argv)
      with logs.shown(options.debug):
        code = work(options) or 0
      _flush(sys.stdout)
  except (Exception, KeyboardInterrupt) as error:
    code = _report(error, options, argv)
  if part is not None and not part(code != 0):
    _silence_what_is_broken()
    os._exit(code)
  return code


def leave(code: int) -> NoReturn:
  """Ends the process with an exit code, whatever its threads still do."""
  # Another Ctrl-C ends it at once, without a traceback.
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  _silence_what_is_broken()
  timer = threading.Timer(_LEAVING_SECONDS, os._exit, (code,))
  timer.daemon = True
  timer.start()
  sys.exit(code)


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
  """Has SIGTERM raise `Terminated`, where nobody else handles it."""
  is_main = threading.current_thread() is threading.main_thread()
  if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
    yield
    return
  signal.signal(signal.SIGTERM, _terminate)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
  del number, frame
  raise Terminated


def _report(
  error: BaseException, options: argparse.Namespace, argv: Sequence[str]
) -> int:
  """Prints one line on what ended a command, and returns the exit code."""
  if _silence_what_is_broken() and isinstance(error, BrokenPipeError):
    return BROKEN_PIPE
  with contextlib.suppress(OSError):  # stderr may be gone as well
    if options.debug:
      traceback.print_exception(error)
  line, code = _describe(error, options, argv)
  with contextlib.suppress(OSError):
    print(" ".join(line.splitlines()), file=sys.stderr, flush=True)
  return code


def _describe(
  error: BaseException, options: argparse.Namespace, argv: Sequence[str]
) -> tuple[str, int]:
  """The line and the exit code of what ended a command."""
  match error:
    case Terminated():
      words = ("stopped by SIGTERM", *map(str, error.args))
      return ": ".join(words), Preempted.exit_code
    case KeyboardInterrupt():
      return ": ".join(("interrupted", *map(str, error.args))), INTERRUPTED
    case HdcError():
      return f"error: {error}", error.exit_code
    case OSError():
      return _describe_os_error(error, options)
  kind = type(error).__name__
  first = (str(error).strip().splitlines() or [""])[0][:_LONGEST_REASON]
  what = f"error: a bug, please report it: {kind}{first and f': {first}'}"
  path = _save_traceback(error, getattr(options, "workdir", ""), argv)
  return f"{what}; the traceback is in {path}", BUG


def _describe_os_error(
  error: OSError, options: argparse.Namespace
) -> tuple[str, int]:
  """The line and the exit code of a failure of a disk or the network."""
  path = os.fsdecode(error.filename or "") if _has_path(error) else ""
  named = (_flag_of(path, options), path, error.strerror or str(error))
  what = "error: " + ": ".join(filter(None, named))
  if isinstance(error, ConnectionError | TimeoutError):
    return f"{what}; run the same command again", StorageError.exit_code
  if error.errno in _FULL:
    what = f"{what}; make room, and run the same command again"
    return what, DataError.exit_code
  if error.errno in _WRONG_PATH:
    what = f"{what}; name another path, or change its permissions"
    return what, ConfigError.exit_code
  return what, DataError.exit_code


def _has_path(error: OSError) -> bool:
  return isinstance(error.filename, str | bytes | os.PathLike)


def _flag_of(path: str, options: argparse.Namespace) -> str:
  """The flag that names a path, as '--json', or one above or below it."""
  for name, value in vars(options).items():
    if path and value and isinstance(value, str):
      folder, file = os.path.split(value)
      partial = os.path.join(folder, f".{file}.")  # see `files.writing`
      inside = os.path.join(value, "")
      if path == value or path.startswith((inside, partial)):
        return f"--{name}"
  return ""


def _save_traceback(
  error: BaseException, workdir: str, argv: Sequence[str]
) -> str:
  """Writes a traceback to the run's directory, or to that of temporary files.

  Returns:
    Where it is.
  """
  lines = traceback.format_exception(error)
  content = f"{shlex.join(argv)}\n\n{''.join(lines)}".encode(
    errors="backslashreplace"
  )
  moment = time.strftime("%Y%m%d-%H%M%S")
  name = f"error-{moment}-{platform.node()}-{os.getpid()}.log"
  remote = "://" in workdir
  if remote or os.path.isdir(workdir):
    path = os.path.join(workdir, name)
    # Whatever is wrong with this place, there is another one.
    with contextlib.suppress(Exception):
      if remote:
        # Launchers, which never come here, do without what it imports.
        from hdc_jax.runtime import files

        files.write(path, content)
        return path
      with open(path, "xb") as file:
        file.write(content)
      return path
  try:
    handle, path = tempfile.mkstemp(prefix="hdc_jax-", suffix=f"-{name}")
    with os.fdopen(handle, "wb") as file:
      file.write(content)
    return path
  except OSError:
    return "no file, as none can be written; --debug shows it"


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
