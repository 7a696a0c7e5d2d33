"""HDC: hierarchically decoupled spatial-temporal contrast (arXiv 2011.11261).

Two clips are cut out of each video, at independent random times. There are
three views, augmented independently by the same augmentations: `o` and `s` show
the first clip, and `t` shows the second. Each chosen block of the backbone has
two terms:

- spatial contrast (Eq. 4): `o` against `s`, pooled over space only, at every
  temporal position;
- temporal contrast (Eq. 5): `o` against `t`, pooled over space and time.

The loss, HD-NCE (Eq. 6), is the weighted sum of all terms: six with blocks 3, 4
and 5. The rows of the paper's Table 1 differ in `contrasts`, `blocks` and
`weights` alone.
"""

import dataclasses
import functools

from hdc_jax import losses
from hdc_jax.augment import geometry, views
from hdc_jax.data.clips import sampling
from hdc_jax.errors import ConfigError
from hdc_jax.methods import augmentations, base
from hdc_jax.options import option

# Name of the contrast → view of the positive, and axes that are pooled.
CONTRASTS = {"spatial": ("s", "space"), "temporal": ("t", "space_time")}


@dataclasses.dataclass(frozen=True)
class HDC(base.MethodOptions):
  """Options of HDC; the defaults are those of the paper's full model."""

  name = "hdc"
  augment = augmentations.Family

  temperature: float = option(
    0.07, "Temperature of the contrasts' softmax.", above=0
  )
  dim: int = option(128, "Width of the embeddings.", at_least=1)
  contrasts: tuple[str, ...] = option(
    ("spatial", "temporal"),
    "Contrasts at each block: spatial, temporal or both.",
    choices=CONTRASTS,
    required="name spatial, temporal or both",
  )
  blocks: tuple[int, ...] = option(
    (3, 4, 5),
    "Blocks of the backbone that are contrasted.",
    required="name at least one block, such as (5,)",
    at_least=1,
    at_most=5,
  )
  weights: tuple[float, ...] = option(
    (0.25, 0.5, 1.0),
    "Weight of each block's terms in the loss.",
    required="give each of config.method.blocks a weight",
  )
  symmetric: bool = option(
    False,
    "Whether each positive is also contrasted with the anchors of all videos.",
  )

  def check(self) -> None:
    """Checks that every block has a weight, and what every method checks.

    Raises:
      ConfigError: If one has none.
    """
    super().check()
    if len(self.weights) != len(self.blocks):
      raise ConfigError(
        f"config.method.weights={self.weights} must have one weight for each "
        f"of config.method.blocks={self.blocks}"
      )

  def make(self, augment: augmentations.Family, size: int) -> base.Method:
    """Makes HDC's views and terms.

    A view that no term needs is left out: spatial contrast alone has no `t`.

    Args:
      augment: Options of the augmentation.
      size: Height and width of the views, in pixels.
    """
    terms = self.make_terms()
    needed = {e.view for term in terms for e in (term.anchor, *term.keys)}
    family = make_views(augment, size)
    used = tuple(view for view in family if view.name in needed)
    clips = 1 + max(view.clip for view in used)
    starts = sampling.IndependentStarts(clips)
    return base.Method(used, terms, starts, self.momentum, self.queue)

  def make_terms(self) -> tuple[base.Term, ...]:
    """Makes a term for each block and contrast.

    Each view has a linear head of its own at each block. The head of `o` serves
    both contrasts (Section 3.3 of the paper).
    """
    contrast_loss = functools.partial(
      losses.info_nce, temperature=self.temperature, symmetric=self.symmetric
    )

    def embedding(view: str, block: int, pool: str) -> base.Embedding:
      head = base.Head(f"{view}_block{block}", self.dim)
      return base.Embedding(view, f"block{block}", pool, head)

    def term(contrast: str, block: int, weight: float) -> base.Term:
      counterpart, pool = CONTRASTS[contrast]
      anchor = embedding("o", block, pool)
      positive = embedding(counterpart, block, pool)
      name = f"{contrast}{block}"
      return base.Term(name, anchor, positive, contrast_loss, weight)

    return tuple(
      term(contrast, block, weight)
      for block, weight in zip(self.blocks, self.weights, strict=True)
      for contrast in self.contrasts
    )


def make_views(
  augment: augmentations.Family, size: int
) -> tuple[views.View, ...]:
  """Makes the views o, s and t, which have the same random augmentations.

  Args:
    augment: Options of the augmentation.
    size: Height and width of the views, in pixels.
  """
  crop = augment.crop(size)
  transforms = (geometry.RandomFlip(augment.flip), *augment.colours())
  return (
    views.View("o", 0, crop, transforms),
    views.View("s", 0, crop, transforms),
    views.View("t", 1, crop, transforms),
  )
