"""HDC: hierarchically decoupled spatial-temporal contrast (arXiv 2011.11261).

Of each video, one clip and a second one from a random other time. Three views:
`o` and `s` of the first clip, `t` of the second, augmented independently from
one family. At each chosen backbone block,

- spatial contrast (Eq. 4): `o` against `s`, pooled over space only, at every
  temporal position;
- temporal contrast (Eq. 5): `o` against `t`, pooled over space and time;

and HD-NCE (Eq. 6) is their weighted sum. With blocks 3, 4 and 5 that is six
terms. The rows of the paper's Table 1 differ in `contrasts`, `blocks` and
`weights` alone.
"""

import functools

import ml_collections

from hdc_jax import losses
from hdc_jax.augment import colour, geometry, views
from hdc_jax.data.clips import sampling
from hdc_jax.errors import ConfigError, choose
from hdc_jax.methods import base

# contrast → (the anchor's counterpart, what is pooled)
CONTRASTS = {"spatial": ("s", "space"), "temporal": ("t", "space_time")}


def make_views(
  augment: ml_collections.ConfigDict, size: int
) -> tuple[views.View, ...]:
  """The views o, s and t, whose augmentations are drawn alike."""
  crop = geometry.ScaleJitterCrop(size, augment.scales)
  transforms = (
    geometry.RandomFlip(augment.flip),
    colour.ColourJitter(**augment.jitter),
    colour.ChannelReplication(**augment.replication),
  )
  return (
    views.View("o", 0, crop, transforms),
    views.View("s", 0, crop, transforms),
    views.View("t", 1, crop, transforms),
  )


def make_terms(method: ml_collections.ConfigDict) -> tuple[base.Term, ...]:
  """A term per block and contrast.

  Each view has its own linear head per block; that of `o` serves both
  contrasts (Section 3.3 of the paper).

  Raises:
    ConfigError: If contrasts are unknown or weights do not match blocks.
  """
  for contrast in method.contrasts:
    choose("method.contrasts", contrast, CONTRASTS)
  if not method.contrasts or not method.blocks:
    raise ConfigError("method.contrasts and method.blocks must not be empty")
  if len(method.weights) != len(method.blocks):
    raise ConfigError(
      f"method.weights={method.weights} must have one weight for each of "
      f"method.blocks={method.blocks}"
    )
  objective = functools.partial(
    losses.info_nce,
    temperature=method.temperature,
    symmetric=method.symmetric,
  )

  def embedding(view: str, block: int, pool: str) -> base.Embedding:
    head = base.Head(f"{view}_block{block}", method.dim)
    return base.Embedding(view, f"block{block}", pool, head)

  def term(contrast: str, block: int, weight: float) -> base.Term:
    counterpart, pool = CONTRASTS[contrast]
    anchor = embedding("o", block, pool)
    positive = embedding(counterpart, block, pool)
    name = f"{contrast}{block}"
    return base.Term(name, anchor, positive, objective, weight)

  return tuple(
    term(contrast, block, weight)
    for block, weight in zip(method.blocks, method.weights, strict=True)
    for contrast in method.contrasts
  )


def make_method(config: ml_collections.ConfigDict) -> base.Method:
  """HDC as `config.method` and `config.augment` describe it.

  A view that no term needs is not made: spatial contrast alone has no `t`.
  """
  terms = make_terms(config.method)
  needed = {e.view for term in terms for e in (term.anchor, *term.keys)}
  family = make_views(config.augment, config.model.size)
  made = tuple(view for view in family if view.name in needed)
  clips = 1 + max(view.clip for view in made)
  return base.Method(made, terms, sampling.IndependentStarts(clips))
