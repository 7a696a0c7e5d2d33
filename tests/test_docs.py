"""What the docs say is there: links, commands, tests and choices."""

import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import pytest

from hdc_jax import errors, main

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted(
  ROOT / path
  for path in subprocess.run(
    ["git", "ls-files", "*.md"],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
  ).stdout.split()
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _prose(page):
  """The text of a page without its blocks of code."""
  return _FENCE.sub("", page.read_text())


def _anchors(page):
  """The anchors of a page's headings, as code hosts and mkdocs make them."""
  headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
  return {re.sub(r"[^\w\s-]", "", h).strip().lower().replace(" ", "-")
          for h in headings}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links(page):
  for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
    if "://" in target:
      continue
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    assert linked.exists(), target
    assert not anchor or anchor in _anchors(linked), target


def _commands():
  """Module and arguments of the commands in the docs' blocks of shell."""
  for page in PAGES:
    for _, block in _FENCE.findall(page.read_text()):
      text = re.sub(r"\\\n\s*", " ", block)
      for module, arguments in re.findall(
        r"^(?:\$ )?python -m (\S+) ?(.*?)(?: > \S+)?$", text, re.MULTILINE
      ):
        yield module, tuple(shlex.split(arguments, comments=True))


COMMANDS = sorted(set(_commands()))
MODULES = sorted({module for module, _ in COMMANDS})


def _help(module, arguments, capsys, monkeypatch):
  monkeypatch.setattr(sys, "argv", [module, *arguments, "--help"])
  with pytest.raises(SystemExit):
    runpy.run_module(module, run_name="__main__", alter_sys=True)
  return capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize("module", MODULES)
def test_flags(module, capsys, monkeypatch):
  """Every flag of a command in the docs is one that the command has."""
  for _, arguments in (c for c in COMMANDS if c[0] == module):
    words = arguments[: (*arguments, "--").index("--")]
    verbs = words[:1] if words and words[0] in ("export", "import") else ()
    flags = {word.partition("=")[0] for word in words if word[:2] == "--"}
    flags = {flag for flag in flags if not flag.startswith("--config.")}
    text = _help(module, verbs, capsys, monkeypatch)
    known = set(re.findall(r"(?<!\S)--\w+", text))
    assert flags <= known | {"--help"}, arguments


# Flags of `main` that need the machines they speak of.
_OF_MACHINES = ("--preflight", "--coordinator", "--process")


def _runs():
  """Arguments of `main` in the docs: its own, and those given to launchers."""
  for module, arguments in COMMANDS:
    if module.startswith("launch."):
      arguments = arguments[(*arguments, "--").index("--") + 1 :]
    if module == "hdc_jax.main" or module.startswith("launch."):
      arguments = [a for a in arguments if not a.startswith(_OF_MACHINES)]
      # Counting the FLOPs of a table takes long; test_tables.py does.
      tables = any("configs/tables.py" in a for a in arguments)
      if arguments and "…" not in "".join(arguments) and not tables:
        yield arguments


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@pytest.mark.parametrize("arguments", list(_runs()), ids=" ".join)
def test_configs(arguments, monkeypatch):
  """Every config, argument and field of a command in the docs exists."""
  monkeypatch.chdir(ROOT)
  assert main.main([*arguments, "--dry_run"]) == 0


@pytest.mark.parametrize("page", ["design.md", "reliability.md"])
def test_promises(page):
  """Every test that the promises name is there."""
  names = re.findall(
    r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs" / page).read_text()
  )
  assert names
  for file, name in names:
    assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def test_choices():
  """Every file with a comment that says "Choice" is in the table of choices."""
  text = (ROOT / "docs" / "design.md").read_text()
  listed = re.findall(
    r"^\| \[`(\S+)`\]", text[text.index("## Choices") :], re.MULTILINE
  )
  package = ROOT / "hdc_jax"
  for path in package.rglob("*.py"):
    if re.search(r"\bChoice\b", path.read_text()):
      assert str(path.relative_to(package)) in listed


def test_exit_codes():
  """The page has the codes of the table in `errors`, and 0."""
  page = (ROOT / "docs" / "exit_codes.md").read_text()
  listed, defined = (
    set(re.findall(r"^\| +(\d+) \|", text, re.MULTILINE))
    for text in (page, errors.__doc__)
  )
  assert listed == defined | {"0"}
  kinds = {errors.HdcError, *errors.HdcError.__subclasses__()}
  assert {str(kind.exit_code) for kind in kinds} <= defined
