"""A stand-in for an object store, on loopback: slow, busy and at fault.

The server answers requests after a latency. A share of its answers to requests
for ranges are errors, and it refuses more of them a second than a limit, as
stores do. The client takes the place of s3fs, and tries nothing again itself.
"""

import contextlib
import http.client
import http.server
import importlib.machinery
import io
import json
import multiprocessing
import os
import random
import re
import sys
import threading
import time
import types
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, cast

import fsspec
from fsspec.registry import register_implementation

_PORT = "HDC_JAX_BENCH_STORE"  # in the environment: the port of the server
_SHARD = re.compile(r"/data/shard-\d+-of-\d+\.array_record")


class Faults(NamedTuple):
  """How the store behaves.

  Attributes:
    latency: Seconds before each answer.
    errors: Share of the answers that are errors.
    per_second: Requests a second that it serves; more are refused.
  """

  latency: float
  errors: float
  per_second: float


class _Server(http.server.ThreadingHTTPServer):
  """Serves one file under the names of all shards."""

  daemon_threads = True
  request_queue_size = 1024

  def __init__(self, shard: str, index: bytes, faults: Faults) -> None:
    super().__init__(("127.0.0.1", 0), _Handler)
    self.file, self.size = os.open(shard, os.O_RDONLY), os.path.getsize(shard)
    self.index, self.faults = index, faults
    names = [each["name"] for each in json.loads(index)["shards"]]
    self.listing = json.dumps(
      {f"b/data/{n}": self.size for n in names}
    ).encode()
    self.lock, self.tokens, self.at = threading.Lock(), 0.0, time.monotonic()

  def fault(self) -> int:
    """The status of a failing answer; 0 for none."""
    now, limit = time.monotonic(), self.faults.per_second
    with self.lock:
      grown = self.tokens + (now - self.at) * limit
      self.tokens, self.at = min(grown, limit / 4), now
      if self.tokens < 1:
        return random.choice((429, 503))
      self.tokens -= 1
    return 500 if random.random() < self.faults.errors else 0


class _Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"
  disable_nagle_algorithm = True

  def log_message(self, format: str, *args: Any) -> None:
    """Logs nothing."""

  def do_GET(self) -> None:
    """Answers with a range of a shard, with the index, or with the listing."""
    server = cast(_Server, self.server)
    time.sleep(server.faults.latency)
    if self.path == "/list":
      self._answer(200, server.listing)
    elif self.path == "/data/index.json":
      self._answer(200, server.index)
    elif not _SHARD.fullmatch(self.path):
      self._answer(404, b"")
    elif status := server.fault():
      self._answer(status, b"")
    else:
      first, last = self.headers["Range"].removeprefix("bytes=").split("-")
      size = int(last) + 1 - int(first)
      self._answer(206, os.pread(server.file, size, int(first)))

  def _answer(self, status: int, content: bytes) -> None:
    self.send_response(status)
    self.send_header("Content-Length", str(len(content)))
    self.end_headers()
    self.wfile.write(content)


def _serve(shard: str, index: bytes, faults: Faults, port: Any) -> None:
  server = _Server(shard, index, faults)
  port.send(server.server_port)
  server.serve_forever()


@contextlib.contextmanager
def serving(shard: str, index: bytes, faults: Faults) -> Iterator[None]:
  """Serves a dataset as s3://b/data, in another process.

  Args:
    shard: The local file that every shard of the dataset is.
    index: Content of index.json.
    faults: How the store behaves.
  """
  here, there = multiprocessing.Pipe()
  process = multiprocessing.get_context("spawn").Process(
    target=_serve, args=(shard, index, faults, there), daemon=True
  )
  process.start()
  try:
    os.environ[_PORT] = str(here.recv())
    yield
  finally:
    process.terminate()
    process.join()


class Store(fsspec.AbstractFileSystem):
  """The client; counts what it asks for.

  Attributes:
    requests: Number of answers, by status.
    received: Bytes of shards that were received.
    opening: Those of them that end a shard, by which it is opened.
    shard_bytes: Bytes of a shard, from the listing.
  """

  protocol = "s3"
  requests: ClassVar[dict[int, int]] = {}
  received = opening = shard_bytes = 0
  _lock, _local = threading.Lock(), threading.local()

  def _get(self, path: str, start: int = 0, end: int = 0) -> bytes:
    headers = {"Range": f"bytes={start}-{end - 1}"} if end else {}
    if not hasattr(self._local, "connection"):
      self._local.connection = http.client.HTTPConnection(
        "127.0.0.1", int(os.environ[_PORT])
      )
    self._local.connection.request("GET", path, headers=headers)
    answer = self._local.connection.getresponse()
    content = answer.read()
    with self._lock:
      self.requests[answer.status] = self.requests.get(answer.status, 0) + 1
      if end:
        type(self).received += len(content)
        type(self).opening += len(content) * (end == self.shard_bytes)
    if answer.status == 404:
      raise FileNotFoundError(path)
    if answer.status >= 400:
      raise OSError(f"HTTP {answer.status}")
    return content

  def cat_file(
    self, path: str, start: Any = None, end: Any = None, **_: Any
  ) -> bytes:
    """Reads a range of an object, or all of it."""
    name = str(self._strip_protocol(path))
    return self._get(name.removeprefix("b"), start or 0, end or 0)

  def find(
    self,
    path: str,
    maxdepth: Any = None,
    withdirs: bool = False,
    detail: bool = True,
    **_: Any,
  ) -> Any:
    """Lists all objects with their sizes."""
    sizes = json.loads(self._get("/list"))
    type(self).shard_bytes = max(sizes.values())
    return {n: {"name": n, "size": s, "type": "file"} for n, s in sizes.items()}

  def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
    """Lists the index, which is all that is looked for in a directory."""
    info = {"name": "b/data/index.json", "size": 1, "type": "file"}
    return [info] if detail else [info["name"]]

  def info(self, path: str, **_: Any) -> dict[str, Any]:
    """Says what an object is, without a request."""
    name = str(self._strip_protocol(path))
    kind = "file" if name.endswith(".json") else "directory"
    return {"name": name, "size": 0, "type": kind}

  def _open(
    self,
    path: str,
    mode: str = "rb",
    block_size: Any = None,
    autocommit: bool = True,
    cache_options: Any = None,
    **_: Any,
  ) -> Any:
    return io.BytesIO(self.cat_file(path))


def use() -> None:
  """Has `s3://` be served by the stand-in, in this process."""
  register_implementation("s3", Store, clobber=True)
  module = types.ModuleType("s3fs")
  module.__spec__ = importlib.machinery.ModuleSpec("s3fs", None)
  sys.modules["s3fs"] = module
