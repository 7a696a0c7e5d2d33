"""The queue of keys, and the losses with one, against float64 NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import key_queue, losses
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError

BATCH, POSITIONS, WIDTH, BATCHES = 4, 2, 6, 3


def unit(rng, *shape):
  """Random float64 vectors of norm 1 along the last axis."""
  x = rng.standard_normal(shape)
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_the_oldest_batch_is_replaced():
  """A list in NumPy, over more steps than the queue has room for."""
  rng = np.random.default_rng(0)
  shape = (BATCHES, BATCH, POSITIONS, WIDTH)
  queue = {name: jnp.zeros(shape) for name in ("a", "b")}
  fifo = {name: [] for name in queue}
  store = jax.jit(key_queue.store)
  for step in range(8):
    batch = {n: np.float32(unit(rng, *shape[1:])) for n in queue}
    queue = store(queue, batch, np.int32(step))
    for name, keys in batch.items():
      fifo[name] = [*fifo[name], keys][-BATCHES:]
      held = key_queue.Queue(queue[name], np.int32(step + 1))
      filled = np.asarray(held.filled).reshape(BATCHES, BATCH)
      assert filled.sum() == BATCH * len(fifo[name])
      # From the oldest to the newest.
      order = [(step + 1 + i) % BATCHES for i in range(BATCHES)]
      kept = [queue[name][i] for i in order if filled[i].all()]
      np.testing.assert_array_equal(kept, fifo[name])


def info_nce(a, p, n, queue):
  """Cross-entropy of one anchor's candidates: keys, own negative, queue."""
  total = 0.0
  for i in range(BATCH):
    keys = [p[i], *(p[j] for j in range(BATCH) if j != i), n[i], *queue]
    scores = np.exp([a[i] @ key / 0.5 for key in keys])
    total -= np.log(scores[0] / scores.sum())
  return total / BATCH


def nt_xent(a, p, _, queue):
  """Of each of the 2B embeddings, with the keys of the queue for both."""
  both, total = np.concatenate([a, p]), 0.0
  for i in range(2 * BATCH):
    keys = [both[j] for j in range(2 * BATCH) if j != i]
    scores = np.exp([both[i] @ key / 0.5 for key in [*keys, *queue]])
    positive = np.exp(both[i] @ both[(i + BATCH) % (2 * BATCH)] / 0.5)
    total -= np.log(positive / scores.sum())
  return total / (2 * BATCH)


def triplet(a, p, n, queue):
  """The own negative, and the mean over all others and the queue."""
  total = 0.0
  for i in range(BATCH):

    def hinge(negative, i=i):
      near = np.linalg.norm(a[i] - p[i])
      return max(0.0, 0.5 + near - np.linalg.norm(a[i] - negative))

    others = [n[j] for j in range(BATCH) if j != i]
    total += hinge(n[i]) + np.mean([hinge(k) for k in [*others, *queue]])
  return total / BATCH


LOSSES = {
  "info_nce": (
    functools.partial(losses.info_nce, temperature=0.5),
    3,
    info_nce,
  ),
  "nt_xent": (functools.partial(losses.nt_xent, temperature=0.5), 2, nt_xent),
  "triplet": (functools.partial(losses.triplet, margin=0.5), 3, triplet),
}


def problem(seed=0):
  """Anchors, positives and negatives, and three batches of earlier keys."""
  rng = np.random.default_rng(seed)
  embeddings = [unit(rng, BATCH, POSITIONS, WIDTH) for _ in range(3)]
  return embeddings, unit(rng, BATCHES, BATCH, POSITIONS, WIDTH)


@pytest.mark.parametrize("stored", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("name", LOSSES)
def test_values(name, stored):
  """Positions apart; what the queue does not hold yet has no part."""
  loss_fn, count, reference = LOSSES[name]
  embeddings, earlier = problem()
  queue = key_queue.Queue(jnp.float32(earlier), jnp.int32(stored))
  got, _ = jax.jit(loss_fn)(*map(jnp.float32, embeddings[:count]), queue=queue)
  want = [
    reference(
      *(e[:, n] for e in embeddings),
      earlier[:stored, :, n].reshape(-1, WIDTH),
    )
    for n in range(POSITIONS)
  ]
  np.testing.assert_allclose(got, np.mean(want), rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_queue_changes_nothing(name):
  """Neither the value nor the accuracy nor the gradients, which are finite."""
  loss_fn, count, _ = LOSSES[name]
  embeddings, earlier = problem()
  embeddings = tuple(map(jnp.float32, embeddings[:count]))
  queue = key_queue.Queue(jnp.float32(earlier), jnp.int32(0))
  grad = jax.value_and_grad(loss_fn, tuple(range(count)), has_aux=True)
  got = jax.jit(grad)(*embeddings, queue=queue)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7),
    got,
    jax.jit(grad)(*embeddings),
  )


@pytest.mark.parametrize("name", LOSSES)
def test_a_nearer_key_of_the_queue_is_a_miss(name):
  loss_fn, count, _ = LOSSES[name]
  (anchors, *_), _ = problem()
  anchors = jnp.float32(anchors)
  near = anchors + 0.1 * jnp.roll(anchors, 1, axis=2)
  near /= jnp.linalg.norm(near, axis=2, keepdims=True)
  embeddings = (anchors, near, -anchors)[:count]
  # The queue holds the embeddings themselves.
  keys = jnp.concatenate([anchors, near])[:, None]
  for stored, share in ((0, 1.0), (2 * BATCH, 0.0)):
    queue = key_queue.Queue(keys, jnp.int32(stored))
    assert loss_fn(*embeddings, queue=queue)[1] == share


@pytest.mark.parametrize("name", LOSSES)
def test_devices_do_not_change_the_result(name):
  """A queue that is sharded over 1 and 4 devices along its axis B."""
  loss_fn, count, _ = LOSSES[name]
  embeddings, earlier = problem()
  grad = jax.value_and_grad(loss_fn, tuple(range(count)), has_aux=True)
  results = []
  for devices in (1, 4):
    made = mesh.make_mesh(devices)
    split = jax.NamedSharding(made, jax.P(None, "data"))
    queue = key_queue.Queue(
      jax.device_put(np.float32(earlier), split), jnp.int32(2)
    )
    sharded = jax.device_put(
      tuple(map(np.float32, embeddings[:count])), mesh.batched(made)
    )
    results.append(jax.device_get(jax.jit(grad)(*sharded, queue=queue)))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
    *results,
  )


@pytest.mark.parametrize(
  ("queue", "near"), [(5, "8"), (20, "16 or 24"), (3569, "3568 or 3576")]
)
def test_a_queue_holds_whole_batches(queue, near):
  key_queue.check_size(0, 8)
  key_queue.check_size(16, 8)
  message = (
    f"^config.method.queue={queue} must be a multiple of "
    f"config.data.batch_size=8: use {near}$"
  )
  with pytest.raises(ConfigError, match=message):
    key_queue.check_size(queue, 8)
