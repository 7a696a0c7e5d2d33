"""What launchers do after an exit code is what errors.py and the docs say."""

import inspect
import re

import pytest

from hdc_jax import errors
from launch import gke, outcomes, skypilot
from tests.launch import example

pytestmark = example.READS_CONFIGS

# Codes of commands that launchers do not run: plan, and the shell's.
OTHERS = {errors.TooLargeError.exit_code, errors.BROKEN_PIPE}
ERRORS = [
  kind
  for _, kind in inspect.getmembers(errors, inspect.isclass)
  if issubclass(kind, errors.HdcError) and kind is not errors.HdcError
]


def table(text, columns):
  """Code → the last column, of the rows of a table that begin with a code."""
  rows = re.findall(r"^ *\| *(\d+) \|(.*)\|$", text, re.MULTILINE)
  cells = {int(code): row.split("|") for code, row in rows}
  assert {len(row) for row in cells.values()} == {columns}
  return {code: row[-1].strip() for code, row in cells.items()}


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_in_the_tables(kind):
  row = rf"^\| +{kind.exit_code} \|.*`{kind.__name__}`"
  assert re.search(row, errors.__doc__, re.MULTILINE)


def test_the_tables_agree():
  told = table(errors.__doc__, 3)
  page = (example.ROOT / "docs" / "exit_codes.md").read_text()
  shown = table(page, 3)
  for code, again in told.items():
    if code != errors.BUG:  # the page has a sentence
      assert shown[code] == again, code
    assert (again == "yes") == (code in outcomes.AGAIN), code
    final = again == "no" and code not in OTHERS | {errors.BUG, 130}
    assert final == (code in outcomes.FINAL), code
  assert set(outcomes.FINAL + outcomes.AGAIN) <= set(told)
  assert not set(outcomes.KILLED) & set(told)


def test_the_pages_have_the_codes_in_order():
  order = outcomes.TELLING
  words = f"{', '.join(map(str, order[:-1]))} and {order[-1]}"
  for page in ("docs/exit_codes.md", "launch/README.md"):
    text = (example.ROOT / page).read_text()
    assert f"first of {words}" in " ".join(text.split()), page


def test_all_launchers_go_by_the_same_codes():
  run = example.run(capacity="spot")
  _, jobset = gke.manifest(run, "python", "")
  (job,) = jobset["spec"]["replicatedJobs"]
  (rule,) = job["template"]["spec"]["podFailurePolicy"]["rules"]
  assert rule["onExitCodes"]["values"] == list(outcomes.FINAL)
  recovery = skypilot.task(run)["resources"]["job_recovery"]
  again = [*outcomes.AGAIN, *outcomes.KILLED]
  assert recovery["recover_on_exit_codes"] == again


@pytest.mark.parametrize(
  ("codes", "expected"),
  [
    ((134, 137, 3), 3),
    ((5, 134), 5),
    ((137, 1), 1),
    ((143, 137), 137),
    ((255,), 255),
  ],
)
def test_the_telling_code(codes, expected):
  assert outcomes.telling(codes, codes[0]) == expected
