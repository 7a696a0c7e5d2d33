"""The HDC step in PyTorch: same network, heads, loss, update and precision."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hdc_jax.errors import ConfigError
from hdc_jax.interop import encoders
from hdc_jax.methods import base
from hdc_jax.methods.hdc import HDC
from hdc_jax.models import BackboneOptions
from hdc_jax.tasks.pretrain import Learning

AXES = {"space": (-2, -1), "space_time": (-3, -2, -1)}


class Network(nn.Module):
  """An encoder with a method's heads.

  Attributes:
    encoder: From clips to endpoints.
    heads: By name.
  """

  def __init__(self, encoder: nn.Module, method: base.Method) -> None:
    """Makes heads as wide as the endpoints they take."""
    super().__init__()
    self.encoder = encoder
    self.views = [view.name for view in method.views]
    self.embeddings = method.embeddings
    self.heads = nn.ModuleDict(
      {e.head.name: nn.LazyLinear(e.head.dim) for e in self.embeddings}
    )

  def forward(self, views: torch.Tensor) -> dict[base.Embedding, torch.Tensor]:
    """Embeds [B, V, 3, T, H, W] as [B, N, D], L2-normalised float32."""
    batch, count = views.shape[:2]
    endpoints = self.encoder(views.flatten(0, 1))

    def embed(embedding: base.Embedding) -> torch.Tensor:
      features = endpoints[embedding.endpoint]
      features = features.unflatten(0, (batch, count))
      features = features[:, self.views.index(embedding.view)].float()
      pooled = features.mean(AXES[embedding.pool])
      pooled = pooled.reshape(batch, pooled.shape[1], -1).transpose(1, 2)
      with torch.autocast(views.device.type, enabled=False):
        return F.normalize(self.heads[embedding.head.name](pooled), dim=-1)

    return {e: embed(e) for e in self.embeddings}


def info_nce(
  anchors: torch.Tensor, keys: torch.Tensor, temperature: float
) -> torch.Tensor:
  """InfoNCE over the batch at every temporal position of [B, N, D]."""
  with torch.autocast(anchors.device.type, enabled=False):
    logits = torch.einsum("bnd,cnd->nbc", anchors, keys) / temperature
  own = torch.arange(len(anchors), device=anchors.device)
  return F.cross_entropy(logits.flatten(0, 1), own.repeat(len(logits)))


def make_network(backbone: BackboneOptions, method: base.Method) -> Network:
  """The network of a backbone's options, with the method's heads."""
  described = backbone.architecture()
  encoder = encoders.ENCODERS[described.pop("name")](**described)
  return Network(encoder, method)


def total_loss(
  network: Callable[[torch.Tensor], dict[base.Embedding, torch.Tensor]],
  method: base.Method,
  views: torch.Tensor,
  temperature: float,
) -> torch.Tensor:
  """The weighted sum of the method's terms, each an InfoNCE one way."""
  embeddings = network(views)
  return sum(
    term.weight
    * info_nce(embeddings[term.anchor], embeddings[term.positive], temperature)
    for term in method.terms
  )


def make_step(
  learning: Learning, views: np.ndarray, compiled: bool
) -> Callable[[], None]:
  """One step of training on given views, to be called again and again.

  Args:
    learning: What the JAX step learns.
    views: float32 [B, V, T, H, W, 3].
    compiled: Whether by torch.compile.

  Raises:
    ConfigError: If the method is not HDC with its loss one way.
  """
  own = learning.method
  if not isinstance(own, HDC) or own.symmetric:
    raise ConfigError("--peer=torch: only method.name='hdc' one way has a peer")
  device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
  method = own.make(learning.augment, learning.model.size)
  network = make_network(learning.model, method).to(device)
  views = torch.as_tensor(np.moveaxis(views, -1, 2).copy()).to(device)
  with torch.no_grad():
    network(views[:1])  # makes the lazy heads
  optim = learning.optim
  kernels = [p for p in network.parameters() if p.ndim > 1]
  others = [p for p in network.parameters() if p.ndim <= 1]
  optimizer = torch.optim.SGD(
    [{"params": kernels, "weight_decay": 2 * optim.l2}, {"params": others}],
    lr=optim.lr,
    momentum=optim.momentum,
  )
  forward = torch.compile(network) if compiled else network
  half = learning.model.dtype == "bfloat16"

  def step() -> None:
    optimizer.zero_grad()
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
      loss = total_loss(forward, method, views, own.temperature)
    loss.backward()
    optimizer.step()
    if device.type == "cuda":
      torch.cuda.synchronize()

  return step
