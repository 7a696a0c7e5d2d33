"""A run's directory on a disk and in buckets."""

import pytest

from hdc_jax.runtime import buckets as buckets_lib


@pytest.fixture(params=["disk", "gs", "s3"])
def workdir(request, tmp_path, buckets):
  if request.param == "disk":
    return str(tmp_path / "b" / "run")
  return f"{request.param}://b/run"


@pytest.fixture
def local(workdir, tmp_path, buckets):
  """The same, as a local directory."""
  root = buckets if buckets_lib.is_remote(workdir) else tmp_path
  return root / "b" / "run"
