"""Losses in blocks of anchors: equal to the whole, and bounded in memory."""

import functools
import re

import chex
import jax
import numpy as np
import pytest

from hdc_jax import blocks, key_queue, losses
from hdc_jax.distributed import mesh as mesh_lib
from tests import test_losses

POSITIONS, WIDTH = 2, 8
# Every way to compare, with the number of its embeddings.
CONTRASTS = {
  "info_nce": (losses.info_nce, 2, {"temperature": 0.1}),
  "symmetric": (losses.info_nce, 2, {"temperature": 0.1, "symmetric": True}),
  "own_negatives": (losses.info_nce, 3, {"temperature": 0.1}),
  "nt_xent": (losses.nt_xent, 2, {"temperature": 0.1}),
  "triplet": (losses.triplet, 3, {"margin": 0.5}),
}


def in_blocks(monkeypatch, products):
  """Makes blocks of at most so many products."""
  monkeypatch.setattr(blocks, "PRODUCTS", products)


def problem(count, batch, queued):
  """Embeddings of a batch, and a queue of two batches or none."""
  rng = np.random.default_rng(batch)
  embeddings = test_losses.triples(rng, batch, POSITIONS, WIDTH)[:count]
  earlier = np.float32(test_losses.unit(rng, 2, batch, POSITIONS, WIDTH))
  # The second batch is not there yet.
  queue = key_queue.Queue(earlier, np.int32(1)) if queued else None
  return tuple(map(np.float32, embeddings)), queue


def differentiate(contrast, constants, embeddings, queue, devices):
  """Loss, accuracy and gradients, on some devices."""
  mesh = mesh_lib.make_mesh(devices)
  arguments = tuple(range(len(embeddings)))

  def compute(queue, embeddings):
    f = functools.partial(contrast, queue=queue, **constants)
    return jax.value_and_grad(f, arguments, has_aux=True)(*embeddings)

  function = mesh_lib.jit(compute, mesh)
  placed = jax.device_put(embeddings, mesh_lib.batched(mesh))
  return function, (queue, placed)


@pytest.mark.parametrize("name", CONTRASTS)
def test_blocks_do_not_change_the_result(name, monkeypatch):
  """Loss, accuracy and every gradient, with a queue, on eight devices."""
  contrast, count, constants = CONTRASTS[name]
  embeddings, queue = problem(count, 24, queued=True)
  results = []
  # A device has three anchors: one block, or a full and a padded one.
  for devices, products in ((1, 1 << 30), (8, 2 * POSITIONS * 24 * 4)):
    in_blocks(monkeypatch, products)
    f, arguments = differentiate(
      contrast, constants, embeddings, queue, devices
    )
    assert ("while" in f.lower(*arguments).as_text()) == (devices == 8)
    results.append(jax.device_get(f(*arguments)))
  chex.assert_trees_all_close(*results, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", CONTRASTS)
def test_gradients_in_float64(name, monkeypatch):
  """Equal to 1e-8 where rounding is less; of anchors that blocks exceed."""
  contrast, count, constants = CONTRASTS[name]
  with jax.enable_x64():
    embeddings = test_losses.triples(np.random.default_rng(0), 17, 3, 8)
    results = []
    for products in (1 << 30, 300):
      in_blocks(monkeypatch, products)
      f = functools.partial(contrast, **constants)
      f = jax.value_and_grad(f, tuple(range(count)), has_aux=True)
      results.append(jax.jit(f)(*embeddings[:count]))
    chex.assert_trees_all_close(*results, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", test_losses.OBJECTIVES)
def test_blocks_equal_numpy(name, monkeypatch):
  """The papers' equations in float64, with one anchor in a block."""
  in_blocks(monkeypatch, 1)
  test_losses.test_values_and_gradients(name, 5, 3, 0.3)


def test_ties_are_no_success_in_blocks_either(monkeypatch):
  in_blocks(monkeypatch, 30)
  rng = np.random.default_rng(0)
  same = np.float32(
    np.broadcast_to(test_losses.unit(rng, 1, 1, 128), (7, 2, 128))
  )
  f = jax.jit(functools.partial(losses.info_nce, temperature=0.1))
  _, accuracy = f(same, same, same)
  assert accuracy <= 1 / 7


@pytest.mark.parametrize("name", ["symmetric", "nt_xent", "triplet"])
def test_memory_does_not_grow_with_the_square_of_the_batch(name, monkeypatch):
  """What is compiled needs less than an eighth of one array of products."""
  contrast, count, constants = CONTRASTS[name]
  in_blocks(monkeypatch, 1 << 16)
  embeddings, _ = problem(count, 2048, queued=False)
  f, arguments = differentiate(contrast, constants, embeddings, None, 1)
  memory = f.lower(*arguments).compile().memory_analysis()
  products = POSITIONS * 2048**2 * 4
  assert memory.temp_size_in_bytes < products / 8


def test_the_loop_exchanges_nothing(monkeypatch):
  """Keys are gathered before the loop, and gradients summed after it."""
  in_blocks(monkeypatch, POSITIONS * 64 * 2)
  embeddings, _ = problem(2, 64, queued=False)
  f, arguments = differentiate(
    losses.info_nce, {"temperature": 0.1}, embeddings, None, 8
  )
  text = f.lower(*arguments).compile().as_text()
  bodies = set(re.findall(r"\bbody=%?([\w.-]+)", text))
  assert bodies
  computation = ""
  for line in text.splitlines():
    header = re.match(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$", line)
    computation = header[1] if header else computation
    kinds = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
    if re.search(rf" (?:{kinds})(?:-start)?\(", line):
      assert computation not in bodies, line
