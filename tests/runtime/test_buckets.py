"""Buckets: what they need is checked, and what they raise is translated."""

import fsspec
import pytest

from hdc_jax.errors import ConfigError, StorageError
from hdc_jax.runtime import buckets as buckets_lib
from hdc_jax.runtime import files
from tests.bucket import Bucket


def test_nothing_is_remembered_of_a_bucket():
  """Else one process would not see what another wrote."""
  for scheme in ("gs", "s3"):
    assert fsspec.config.conf[scheme]["use_listings_cache"] is False


class Strange(Exception):
  """What clients of buckets raise need not be an OSError."""


def test_whatever_a_bucket_raises_is_one_error(buckets, monkeypatch):
  def fail(*_, **__):
    raise Strange("403\nlong page")

  monkeypatch.setattr(Bucket, "info", fail)
  monkeypatch.setattr(Bucket, "_open", fail)
  monkeypatch.setattr(Bucket, "rm_file", fail)
  path = "gs://b/a"
  for call in (
    lambda: buckets_lib.check_access(path),
    lambda: files.write(path, b""),
    lambda: files.read_text(path),
    lambda: files.fetch(path, "nowhere"),
    lambda: files.list_names(path),
    lambda: files.exists(path),
    lambda: files.remove(path),
  ):
    with pytest.raises(StorageError) as raised:
      call()
    assert str(raised.value) == "gs://b/a: the storage failed: 403"


class NoCredentialsError(Exception):
  """As boto's; Google's is a DefaultCredentialsError."""


@pytest.mark.parametrize(
  "error",
  [
    PermissionError("Access Denied"),
    OSError("Forbidden: gs://b/a\nof somebody"),
    NoCredentialsError("Unable to locate credentials"),
    Strange("Anonymous caller does not have storage.objects.get access"),
  ],
)
def test_a_missing_right_is_not_tried_again(buckets, monkeypatch, error):
  def fail(*_, **__):
    raise error

  monkeypatch.setattr(Bucket, "info", fail)
  first = str(error).splitlines()[0]
  with pytest.raises(ConfigError, match=f"^gs://b/a: no access: {first}; log"):
    buckets_lib.check_access("gs://b/a")


def test_what_storage_needs_is_checked(buckets, monkeypatch):
  buckets_lib.check_access("/nowhere")
  buckets_lib.check_access("gs://b/nowhere")
  with pytest.raises(ConfigError, match="ftp://x: is neither local nor gs://"):
    buckets_lib.check_access("ftp://x")
  monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
  with pytest.raises(ConfigError, match=r"needs `pip install s3fs`$"):
    buckets_lib.check_access("s3://b/x")
