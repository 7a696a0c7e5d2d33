"""The training step of HDC in PyTorch.

Network, heads, loss, update and precision are those of the step in JAX. On a
GPU, arrays have their channels last, and cuDNN tries all of its algorithms.
"""

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

# The axes of [B, C, T, H, W] that each kind of pooling averages over.
AXES = {"space": (-2, -1), "space_time": (-3, -2, -1)}


class Network(nn.Module):
  """An encoder with the projection heads of a method.

  Attributes:
    encoder: Network from clips to endpoints.
    views: Names of the method's views, in order.
    embeddings: Embeddings that the method contrasts.
    heads: Projection heads by name.
  """

  def __init__(self, encoder: nn.Module, method: base.Method) -> None:
    """Creates the heads; their input widths follow from the first call.

    Args:
      encoder: Network from clips to endpoints.
      method: The method.
    """
    super().__init__()
    self.encoder = encoder
    self.views = [view.name for view in method.views]
    self.embeddings = method.embeddings
    self.heads = nn.ModuleDict(
      {e.head.name: nn.LazyLinear(e.head.dim) for e in self.embeddings}
    )

  def forward(self, views: torch.Tensor) -> dict[base.Embedding, torch.Tensor]:
    """Computes all embeddings of the method.

    Args:
      views: float32 [B, V, 3, T, H, W] in [-1, 1].

    Returns:
      For each embedding float32 [B, N, D], L2-normalised.
    """
    batch, count = views.shape[:2]
    clips = views.flatten(0, 1)
    if clips.is_cuda:
      clips = clips.contiguous(memory_format=torch.channels_last_3d)
    endpoints = self.encoder(clips)

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
  """InfoNCE over the batch, as `hdc_jax.losses.info_nce` in one direction.

  Args:
    anchors: float32 [B, N, D], L2-normalised.
    keys: float32 [B, N, D], L2-normalised, in the same order.
    temperature: Softmax temperature τ > 0.

  Returns:
    The mean loss, a float32 scalar.
  """
  with torch.autocast(anchors.device.type, enabled=False):
    logits = torch.einsum("bnd,cnd->nbc", anchors, keys) / temperature
  own = torch.arange(len(anchors), device=anchors.device)
  return F.cross_entropy(logits.flatten(0, 1), own.repeat(len(logits)))


def make_network(backbone: BackboneOptions, method: base.Method) -> Network:
  """Creates the encoder of a backbone's options, with a method's heads.

  Args:
    backbone: Options of the backbone.
    method: The method.
  """
  options = backbone.architecture()
  encoder = encoders.ENCODERS[options.pop("name")](**options)
  return Network(encoder, method)


def total_loss(
  network: Callable[[torch.Tensor], dict[base.Embedding, torch.Tensor]],
  method: base.Method,
  views: torch.Tensor,
  temperature: float,
) -> torch.Tensor:
  """The weighted sum of the method's terms, each InfoNCE in one direction.

  Args:
    network: Function from views to embeddings.
    method: The method, whose terms all are InfoNCE.
    views: float32 [B, V, 3, T, H, W] in [-1, 1].
    temperature: Softmax temperature τ > 0.

  Returns:
    The loss, a float32 scalar.
  """
  embeddings = network(views)
  return sum(
    term.weight
    * info_nce(embeddings[term.anchor], embeddings[term.positive], temperature)
    for term in method.terms
  )


def make_step(
  learning: Learning, views: np.ndarray, compiled: bool
) -> Callable[[], None]:
  """Creates a training step on given views, to be called repeatedly.

  Args:
    learning: Options of the JAX step that it is compared with.
    views: float32 [B, V, T, H, W, 3] in [-1, 1].
    compiled: Whether the network is compiled by torch.compile.

  Returns:
    A function that takes one step, and returns when it is complete.

  Raises:
    ConfigError: If the method is not HDC, or its loss is symmetric.
  """
  own = learning.method
  if not isinstance(own, HDC) or own.symmetric:
    raise ConfigError(
      "--peer=torch compares HDC only: use method.name='hdc' with "
      "method.symmetric=False"
    )
  device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
  method = own.make(learning.augment, learning.model.size)
  network = make_network(learning.model, method).to(device)
  if device.type == "cuda":
    network = network.to(memory_format=torch.channels_last_3d)
    torch.backends.cudnn.benchmark = True
  views = torch.as_tensor(np.moveaxis(views, -1, 2).copy()).to(device)
  with torch.no_grad():
    network(views[:1])  # The first call creates the heads' parameters.
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
