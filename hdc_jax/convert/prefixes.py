"""Prefixes of published weights, which wrappers of an encoder have added.

DataParallel adds `module.`, MoCo `encoder_q.` and `encoder_k.`, others
`backbone.` or `base_network.`. They are found by what they precede, so that
there is no list of them.
"""

import collections
from collections.abc import Collection, Mapping

import numpy as np

from hdc_jax.errors import DataError

# MoCo's encoder that is trained, and its mean, which is not to be evaluated.
_TRAINED, _MOMENTUM = "encoder_q", "encoder_k"


def split(
  arrays: Mapping[str, np.ndarray], known: Collection[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
  """Splits a state dict into an encoder and the other arrays beside it.

  Args:
    arrays: Arrays by name.
    known: The names that the arrays of the encoder may have.

  Returns:
    The arrays of the encoder, by names without the prefix that most known names
    have; and the names of arrays without it. The prefix is '' if no name is
    known.

  Raises:
    DataError: If the file holds several encoders, by their prefixes.

  Example:
    >>> arrays = dict.fromkeys(["module.conv1.weight", "queue"], np.ones(2))
    >>> split(arrays, {"conv1.weight"})
    ({'conv1.weight': array([1., 1.])}, ['queue'])
  """
  counts = collections.Counter()
  for name in arrays:
    parts = name.split(".")
    for i in range(len(parts)):
      if ".".join(parts[i:]) in known:
        counts["".join(f"{part}." for part in parts[:i])] += 1
  most = max(counts.values(), default=0)
  prefixes = [prefix for prefix, count in counts.items() if count == most]
  if len(prefixes) > 1:
    prefixes = [p for p in prefixes if _MOMENTUM not in p.split(".")]
  if len(prefixes) > 1:  # such as CoCLR's encoder of optical flow beside it
    trained = [p for p in prefixes if _TRAINED in p.split(".")]
    prefixes = trained if len(trained) == 1 else prefixes
  if len(prefixes) > 1:
    raise DataError(
      f"it holds several encoders, with the prefixes {', '.join(prefixes)}: "
      "keep the weights of one alone, those whose names start with "
      f"{prefixes[0]!r}, say"
    )
  prefix = prefixes[0] if prefixes else ""
  inside = {
    name.removeprefix(prefix): array
    for name, array in arrays.items()
    if name.startswith(prefix)
  }
  return inside, [name for name in arrays if not name.startswith(prefix)]
