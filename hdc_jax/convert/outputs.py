"""What an exported program computes: features, and the endpoints."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from hdc_jax.evaluate.features import ENDPOINTS, Features, pool
from hdc_jax.models import BackboneOptions

# Arrays by name: of FEATURES float32 [B, D], of each endpoint float32
# [B, T', H', W', C].
Outputs = Mapping[str, np.ndarray]
FEATURES = "features"
NAMES = (FEATURES, *ENDPOINTS)


def make_outputs(
  backbone: BackboneOptions,
) -> Callable[[Any, jax.Array], dict[str, jax.Array]]:
  """Makes the function that an exported program computes.

  Args:
    backbone: Options of the backbone.

  Returns:
    A traceable function of the backbone's variables and clips [B, T, S, S, 3]
    to `Outputs`, whose features are those of `Encoder.embed`.
  """
  network, chosen = backbone.make(), Features()

  def compute(variables: Any, clips: jax.Array) -> dict[str, jax.Array]:
    endpoints: Any = network.apply(variables, clips)
    features = pool(endpoints[chosen.endpoint], chosen.pool)
    given = {name: endpoints[name].astype("float32") for name in ENDPOINTS}
    return {FEATURES: features} | given

  return compute
