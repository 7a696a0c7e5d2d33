"""A bucket without a network: `gs://` and `s3://` on a local directory.

As in the real ones, there are objects and no directories, an object is there
when all of it is, and nothing can be appended or renamed in place.
"""

import io
import os
import pathlib
import secrets

import fsspec

ROOT = (
  "HDC_JAX_TEST_BUCKETS"  # in the environment, so that processes inherit it
)


class Bucket(fsspec.AbstractFileSystem):
  """Stands in for gcsfs and s3fs."""

  protocol = ("gs", "gcs", "s3")
  cachable = False
  FAILS = "HDC_JAX_TEST_BUCKETS_FAIL"  # in the environment: reading these does

  @classmethod
  def _strip_protocol(cls, path):
    return str(path).rpartition("://")[2].strip("/")

  def ls(self, path, detail=True, **_):
    path = self._strip_protocol(path)
    infos = [self.info(path)]
    if infos[0]["type"] == "directory":
      inside = sorted(_local(path).iterdir())
      infos = [self.info(f"{path}/{p.name}") for p in inside if _holds(p)]
    return infos if detail else [info["name"] for info in infos]

  def info(self, path, **_):
    path = self._strip_protocol(path)
    local = _local(path)
    if local.is_file():
      return {"name": path, "size": local.stat().st_size, "type": "file"}
    if _holds(local):
      return {"name": path, "size": 0, "type": "directory"}
    raise FileNotFoundError(path)

  def _open(self, path, mode="rb", **_):
    if mode == "rb":
      if path.endswith(os.environ.get(self.FAILS, "\0")):
        raise RuntimeError("503")
      if not _local(path).is_file():
        raise FileNotFoundError(path)
      return _local(path).open("rb")
    assert mode == "wb", f"no object store has mode {mode!r}"
    return _Upload(_local(path))

  def rm_file(self, path):
    _local(self._strip_protocol(path)).unlink()

  def cp_file(self, path1, path2, **_):
    self.pipe_file(path2, self.cat_file(path1))


class _Upload(io.BytesIO):
  """An object that is being written."""

  def __init__(self, path):
    super().__init__()
    self._path = path

  def close(self):
    if not self.closed:
      self._path.parent.mkdir(parents=True, exist_ok=True)
      partial = pathlib.Path(os.environ[ROOT], secrets.token_hex(8))
      partial.write_bytes(self.getvalue())
      partial.rename(self._path)
    super().close()


def _local(path):
  return pathlib.Path(os.environ[ROOT], path)


def _holds(path):
  """Whether a path is a file, or a directory with one somewhere below."""
  return path.is_file() or any(p.is_file() for p in path.rglob("*"))


def install(folder, root):
  """Makes a directory that, on `sys.path`, has fsspec use `Bucket`.

  Args:
    folder: to make it in.
    root: the directory of the buckets.

  Returns:
    What processes need in their environment.
  """
  site = folder / "site"
  info = site / "bucket-0.dist-info"
  info.mkdir(parents=True)
  lines = [f"{name} = tests.bucket:Bucket\n" for name in Bucket.protocol]
  (info / "entry_points.txt").write_text("[fsspec.specs]\n" + "".join(lines))
  (info / "METADATA").write_text("Name: bucket\nVersion: 0\n")
  for package in ("gcsfs", "s3fs"):  # as if they were installed
    (site / f"{package}.py").touch()
  tests = pathlib.Path(__file__).parents[1]
  path = os.pathsep.join((str(site), str(tests)))
  return {"PYTHONPATH": path, ROOT: str(root)}
