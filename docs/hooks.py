"""Makes a site of docstrings, and of pages that the repository shows too.

Links in them are relative paths of the repository. On the site, a link to
another page leads to that page, a link to a module leads to its place on the
API page, and of a link to any other file only the text stays. Examples in
docstrings, which doctest runs, become blocks of code.
"""

import pathlib
import posixpath
import re
from typing import Any

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = pathlib.Path(__file__).parents[1]

# Pages that lie outside of docs/, by their path in the repository.
_OUTSIDE = {
  "README.md": "index.md",
  "CHANGELOG.md": "changelog.md",
  "CONTRIBUTING.md": "contributing.md",
  "benchmarks/README.md": "benchmarks.md",
  "launch/README.md": "launch.md",
}
_SOURCES = {page: source for source, page in _OUTSIDE.items()}
# The blocks of code, and the links outside of them with their text and target.
_CODE_OR_LINK = re.compile(
  r"^```.*?^```|(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", re.M | re.S
)
# A block of examples in a docstring, up to an empty line.
_EXAMPLES = re.compile(r"^( *)>>> .*\n?(?:\1\S.*\n?|\1 +\S.*\n?)*", re.M)


class Examples(griffe.Extension):
  """Marks the examples in docstrings as code."""

  def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
    """Changes the docstring of a module, class, function or attribute."""
    if obj.docstring:
      obj.docstring.value = _EXAMPLES.sub(_fenced, obj.docstring.value)


def _fenced(match: re.Match[str]) -> str:
  indent = match[1]
  return f"{indent}```pycon\n{match[0].rstrip()}\n{indent}```\n"


def on_files(files: Files, config: Any) -> Files:
  """Adds the pages that lie outside of docs/."""
  for source, page in _OUTSIDE.items():
    path = str(_ROOT / source)
    files.append(File.generated(config, page, abs_src_path=path))
  return files


def on_page_markdown(
  markdown: str, page: Page, config: Any, files: Files
) -> str:
  """Turns the links of a page into those of the site."""
  source = _SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
  modules = re.findall(r"^::: (\S+)", _read("docs/api.md"), re.M)

  def link(match: re.Match[str]) -> str:
    image, text, target = match[1], match[2], match[3]
    if not target or "://" in target or target.startswith("#"):
      return match[0]
    path, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (_ROOT / path).exists():
      raise PluginError(f"{source}: there is no {path} to link to")
    module = re.sub(r"(/__init__)?\.py$", "", path).replace("/", ".")
    if path in _OUTSIDE:
      path = _OUTSIDE[path]
    elif path.startswith("docs/"):
      path = path.removeprefix("docs/")
    elif module in modules:
      path, anchor = "api.md", module
    else:
      return text
    return f"{image}[{text}]({path}{'#' if anchor else ''}{anchor})"

  return _CODE_OR_LINK.sub(link, markdown)


def _read(path: str) -> str:
  return (_ROOT / path).read_text(encoding="utf-8")
