"""Encoders in files of wrappers, told by the names that they must have."""

import numpy as np
import pytest

from hdc_jax.convert import prefixes
from hdc_jax.errors import DataError

KNOWN = {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight"}


def arrays(*wrappers):
  return {f"{w}{name}": np.ones(1) for w in wrappers for name in KNOWN}


@pytest.mark.parametrize(
  "prefix",
  ["", "module.", "backbone.", "encoder.", "module.encoder_q.", "model.0."],
)
def test_any_prefix(prefix):
  found, others = prefixes.split(arrays(prefix) | {"queue": np.ones(1)}, KNOWN)
  assert found.keys() - {"queue"} == KNOWN
  # Without a prefix, nothing tells what is of the encoder.
  assert others == (["queue"] if prefix else [])


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_not_the_momentum_encoder(wrapper):
  both = arrays(f"{wrapper}encoder_k.", f"{wrapper}encoder_q.")
  found, others = prefixes.split(both, KNOWN)
  assert found.keys() == KNOWN
  assert {name.split("conv1")[0] for name in others} >= {f"{wrapper}encoder_k."}
  assert not any("encoder_q" in name for name in others)


def test_several():
  with pytest.raises(DataError, match=r"prefixes rgb\., flow\.") as error:
    prefixes.split(arrays("rgb.", "flow."), KNOWN)
  assert "\n" not in str(error.value)


def test_nothing_known():
  """The names stay, so that an error can list them."""
  strange = {"a.b": np.ones(1)}
  assert prefixes.split(strange, KNOWN) == (strange, [])
