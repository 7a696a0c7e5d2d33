"""The benchmark's peer computes the same loss and gradients as the step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks import torch_peer
from hdc_jax.convert import layouts
from hdc_jax.methods.network import Network
from tests import small

QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture
def double():
  """The dtype float64, which JAX has meanwhile."""
  with jax.enable_x64(True):
    yield jnp.float64


@pytest.mark.parametrize("backbone", ["r3d18", "c3d", "r2plus1d10"])
def test_loss_and_gradient_norm(backbone, double):
  """In double precision, as float32 differs by 1 to 3 % between CPUs.

  Norms of few positions magnify what is rounded.
  """
  options = small.options(model__name=backbone)
  method = options.method.make(options.augment, options.model.size)
  network = Network(options.model.make().clone(dtype=double), method)
  rng = np.random.default_rng(0)
  views = rng.uniform(-1, 1, (4, 3, 8, 36, 36, 3)).astype(np.float32)
  ours = jnp.asarray(views, double)
  init = jax.jit(network.init, compiler_options=QUICK)
  params = init(jax.random.key(0), ours)["params"]
  params = jax.tree.map(lambda x: x.astype(double), params)

  def loss(params):
    return method.loss(network.apply({"params": params}, ours))[0]

  want, grads = jax.jit(jax.value_and_grad(loss))(params)

  peer = torch_peer.make_network(options.model, method)
  clips = torch.from_numpy(np.moveaxis(views, -1, 2).copy())
  with torch.no_grad():
    peer(clips[:1])
  arrays = layouts.to_torch(
    {"params": params["backbone"]}, layouts.of(backbone)[0]
  )
  state = {f"encoder.{name}": array for name, array in arrays.items()}
  for name in {e.head.name for e in method.embeddings}:
    dense = params[name]["Dense_0"]
    state[f"heads.{name}.weight"] = np.transpose(dense["kernel"])
    state[f"heads.{name}.bias"] = np.asarray(dense["bias"])
  peer.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
  # Up to the heads, which are of float32.
  peer.encoder.double()
  clips = clips.double()
  got = torch_peer.total_loss(peer, method, clips, options.method.temperature)
  got.backward()
  assert got.item() == pytest.approx(float(want), rel=1e-4)
  kernel = peer.encoder.conv1
  kernel = getattr(kernel, "spatial_conv", kernel).weight.grad.numpy()
  first = next(
    grads["backbone"][name]
    for name in ("stem_conv", "conv1")
    if name in grads["backbone"]
  )
  first = first.get("spatial", first)["kernel"]
  theirs = kernel.transpose(2, 3, 4, 1, 0)
  difference = np.linalg.norm(theirs - first)
  assert difference < 1e-3 * np.linalg.norm(first)
