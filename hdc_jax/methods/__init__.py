"""The methods of self-supervised learning, by name.

A method is data, see `base`; docs/extend.md shows how to add one.
"""

from hdc_jax.methods import cvrl, dsm, hdc
from hdc_jax.methods.base import Method, MethodOptions
from hdc_jax.methods.network import make_objective

__all__ = ["METHODS", "Method", "MethodOptions", "make_objective"]

# Name → class of the method's options.
METHODS: dict[str, type[MethodOptions]] = {
  method.name: method for method in (hdc.HDC, cvrl.CVRL, dsm.DSM)
}
