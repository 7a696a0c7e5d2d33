"""A step that is not finite, in a run of several real processes."""

import pytest

from tests import hosts


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_all_processes_skip_it(prepared, tmp_path, processes):
  words = (processes, 4 // processes, prepared, tmp_path)
  hosts.launch("tests.train.skip_on_hosts", *words)
