"""What is shown of the lines of other libraries."""

import asyncio
import gc
import logging

import pytest

from hdc_jax.runtime import logs


async def fail():
  raise OSError("No space left on device")


async def fail_unseen():
  """As the tasks of a save do whose disk is full, all but one."""
  await asyncio.wait([asyncio.ensure_future(fail())])


@pytest.mark.parametrize("debug", [False, True])
def test_the_repeated_errors_of_a_save(debug, caplog):
  with logs.shown(debug):
    asyncio.run(fail_unseen())
    gc.collect()
  shown = [r for r in caplog.records if r.name == "asyncio"]
  assert bool(shown) == debug


def test_other_lines_of_asyncio_are_shown(caplog):
  with logs.shown(debug=False):
    logging.getLogger("asyncio").error("socket is closed")
  assert "socket is closed" in caplog.text
