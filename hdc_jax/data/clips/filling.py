"""How elements and batches are read ahead: by threads, and worker processes.

A batch is filled video by video: all threads of a process take the next video
from one queue, of the batch that is due first, and write its clips into their
place in the batch. So a batch of 256 videos keeps as many threads busy as
batches of 8, and the first one is there before the threads begin the second.

Videos in a bucket are first read by other threads, which wait for it; a thread
that decodes gets them in the order in which they arrive.
"""

import math
import os
import pickle
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent import futures
from typing import Any

import grain
import numpy as np
from absl import flags

from hdc_jax.data.clips.training_clips import Batch, Shapes
from hdc_jax.data.options import Loading
from hdc_jax.errors import HdcError
from hdc_jax.runtime import ahead
from hdc_jax.runtime import workers as workers_lib

# Cores that the threads of one process keep busy at most. They hold Python's
# lock for 25 to 32 % of the time that a clip takes (16 frames of H.264 with a
# short side of 128 pixels, sampled with py-spy), and only one can hold it.
_CORES_PER_PROCESS = 3

# Bytes of decoded videos that a host may hold ready, besides the batch that a
# step uses. It holds two batches at least, even if they are larger.
_READ_AHEAD_BYTES = 2 << 30


# Threads of a process that read videos ahead out of a bucket. A video takes two
# requests one after the other, in which its thread does nothing but wait: at 40
# ms each, so many threads read 800 videos a second.
_READERS = 64

_ERROR = "error"  # Name of the array that an error is sent as.


class Filled(grain.MapDataset):
  """Batches of a dataset, whose elements are made by a pool of threads.

  An element is a dictionary of arrays. It is made by one thread, which puts the
  large arrays into their place in the batch.
  """

  def __init__(
    self,
    elements: grain.MapDataset,
    size: int,
    shapes: Shapes,
    threads: int,
    ahead: grain.MapDataset | None = None,
  ) -> None:
    """Starts no thread before the first batch is asked for.

    Args:
      elements: The elements.
      size: Number of elements in a batch.
      shapes: Shapes and dtypes of the large arrays of an element. Other arrays
        may have a dtype for each element, such as strings.
      threads: Number of threads.
      ahead: For each element, what is to be done before it is made, by other
        threads; None for nothing.
    """
    super().__init__(elements)
    self._arguments = elements, size, shapes, threads, ahead
    self._size, self._shapes, self._ahead = size, shapes, ahead
    self._pool = futures.ThreadPoolExecutor(threads, "fill")
    self._readers = futures.ThreadPoolExecutor(_READERS, "read")
    self._submitting = threading.Lock()

  def __reduce__(self) -> tuple[Any, ...]:
    """A worker process has threads of its own."""
    return type(self), self._arguments

  def __len__(self) -> int:
    return len(self._parent) // self._size

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def __getitem__(self, index: int | slice) -> Any:
    if isinstance(index, slice):
      return self.slice(index)
    batch = {
      name: np.empty((self._size, *shape), dtype)
      for name, (shape, dtype) in self._shapes.items()
    }

    def fill(place: int) -> Batch:
      element: Any = self._parent[index * self._size + place]
      for name, array in batch.items():
        array[place] = element[name]
      return {k: v for k, v in element.items() if k not in batch}

    # The threads take videos in the order in which they are submitted.
    with self._submitting:
      filled = [self._submit(fill, index, i) for i in range(self._size)]
    small = [future.result().result() for future in filled]
    return batch | {k: np.stack([s[k] for s in small]) for k in small[0]}

  def _submit(
    self, fill: Callable[[int], Batch], index: int, place: int
  ) -> futures.Future[futures.Future[Batch]]:
    """Has an element made at once, or when it was read; a future of a future.

    Args:
      fill: Makes the element at a place of a batch.
      index: Number of the batch.
      place: The place.
    """
    ahead = self._ahead
    if ahead is None:
      done: futures.Future[futures.Future[Batch]] = futures.Future()
      done.set_result(self._pool.submit(fill, place))
      return done

    def read() -> futures.Future[Batch]:
      ahead[index * self._size + place]
      return self._pool.submit(fill, place)

    return self._readers.submit(read)

  def close(self) -> None:
    """Ends the threads, which finish the elements that they have begun."""
    for pool in (self._readers, self._pool):
      pool.shutdown(wait=False, cancel_futures=True)


class _Errors(grain.MapDataset):
  """Elements, with errors in the place of those that could not be made.

  A worker process that raises is ended before its error arrives, and the others
  are waited for. As an element, the error arrives in its turn.
  """

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def __getitem__(self, index: int | slice) -> Any:
    if isinstance(index, slice):
      return self.slice(index)
    try:
      return self._parent[index]
    except HdcError as error:
      return {_ERROR: np.frombuffer(pickle.dumps(error), np.uint8)}

  def __len__(self) -> int:
    return len(self._parent)


def _raise_errors(element: Batch) -> Batch:
  """Raises the error that is in the place of an element, see `_Errors`."""
  if _ERROR in element:
    raise pickle.loads(element[_ERROR].tobytes())
  return element


def fill_batches(
  elements: grain.MapDataset,
  size: int,
  shapes: Shapes,
  loading: Loading,
  ahead: grain.MapDataset | None = None,
) -> Generator[Batch, None, None]:
  """Batches the elements of a dataset and reads ahead.

  Args:
    elements: Dictionaries of arrays.
    size: Number of elements in a batch, at least one.
    shapes: Shapes and dtypes of the large arrays of an element, see `Filled`.
    loading: Largest number of threads per process, and number of worker
      processes; without workers, the threads run in this process.
    ahead: For each element, what is to be done before it is made, see `Filled`.

  Yields:
    The batches, in order: arrays by name with a leading axis of `size`.

  Raises:
    Lost: If a worker process was killed.
    DataError: If one has ended in another way, without an error.
  """
  element_bytes = sum(
    int(np.prod(shape)) * dtype.itemsize for shape, dtype in shapes.values()
  )
  part = part_of(size, element_bytes, loading.workers)
  fitting = _fitting(part * element_bytes, loading)
  filled = Filled(elements, part, shapes, _threads(loading), ahead)
  try:
    yield from _iterate(
      filled, max(2, min(fitting, loading.threads)), loading, size // part
    )
  finally:
    filled.close()


def processes_for(cores: int) -> int:
  """How many processes keep cores busy with decoding.

  Args:
    cores: Number of cores.

  >>> [processes_for(cores) for cores in (1, 3, 4, 16)]
  [1, 1, 2, 6]
  """
  return math.ceil(cores / _CORES_PER_PROCESS)


def part_of(size: int, element_bytes: int, workers: int) -> int:
  """The largest part of a batch of which every worker may have two ahead.

  The larger the parts, the less time goes into handing them over.

  Args:
    size: Number of elements in a batch.
    element_bytes: Size of an element, in bytes.
    workers: Number of worker processes. Without any, nothing is handed over.

  Returns:
    A number of elements that divides the batch; 1 if no part is so small.
  """
  if not workers:
    return size
  most = max(_READ_AHEAD_BYTES // (2 * element_bytes * workers), 1)
  return max(n for n in range(1, min(most, size) + 1) if size % n == 0)


def read_ahead(
  dataset: grain.MapDataset, element_bytes: int, loading: Loading
) -> Generator[Any, None, None]:
  """Reads a dataset ahead with threads and, optionally, worker processes.

  Decoding releases Python's lock, so threads are enough, unless the rest of the
  work keeps one interpreter busy. How much is read ahead is bounded in bytes.

  Args:
    dataset: The dataset to read.
    element_bytes: Size of one decoded element, in bytes.
    loading: Largest number of threads per process, and number of worker
      processes; without workers, the threads run in this process.

  Yields:
    The elements, in order.

  Raises:
    Lost: If a worker process was killed.
    DataError: If one has ended in another way, without an error.
  """
  fitting = _fitting(element_bytes, loading)
  yield from _iterate(
    dataset, int(np.clip(fitting, 1, _threads(loading))), loading
  )


def _threads(loading: Loading) -> int:
  """Threads of a process: those that are asked for, up to four a core."""
  return min(loading.threads, 4 * (os.cpu_count() or 1))


def _fitting(element_bytes: int, loading: Loading) -> int:
  """How many elements a process may read ahead."""
  return _READ_AHEAD_BYTES // (element_bytes * max(1, loading.workers))


def _iterate(
  dataset: grain.MapDataset, count: int, loading: Loading, joined: int = 1
) -> Generator[Any, None, None]:
  """Iterates over a dataset; a thread for each asks for the next elements.

  Args:
    dataset: The dataset.
    count: Number of elements that each process reads ahead.
    loading: Number of worker processes.
    joined: Number of elements that are joined to one along their first axis.
  """
  workers = loading.workers
  if workers:
    dataset = _Errors(dataset)
  options = grain.ReadOptions(num_threads=count, prefetch_buffer_size=count)
  iterated = dataset.to_iter_dataset(options)
  if workers:
    workers_lib.start_quiet_tracker()
    if not flags.FLAGS.is_parsed():  # Grain's workers read absl flags
      flags.FLAGS.mark_as_parsed()
    iterated = iterated.mp_prefetch(
      grain.MultiprocessingOptions(num_workers=workers),
      workers_lib.follow_parent,
    ).map(_raise_errors)
  if joined > 1:
    iterated = iterated.batch(joined, batch_fn=_join)
  iterator = iter(iterated)
  if workers:
    # A thread of its own joins the next batch while a step uses this one.
    yield from ahead.read(iterator, workers)
    return
  try:
    yield from iterator
  finally:
    iterator.close()


def _join(parts: Sequence[Batch]) -> Batch:
  """Joins the parts of a batch."""
  return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
