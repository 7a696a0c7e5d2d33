"""A step that is not finite, in a run of several real processes."""

import pytest

from tests import hosts


@pytest.mark.slow
def test_all_processes_skip_it(prepared, tmp_path):
  hosts.launch("tests.train.skip_on_hosts", 2, 2, prepared, tmp_path)
