"""Methods by name: what is contrasted with what, as data.

`base` says what a method is; docs/extend.md shows how to add one.
"""

from hdc_jax.methods import cvrl, dsm, hdc
from hdc_jax.methods.base import Method, MethodOptions, make_objective

__all__ = ["METHODS", "Method", "MethodOptions", "make_objective"]

METHODS: dict[str, type[MethodOptions]] = {
  method.name: method for method in (hdc.HDC, cvrl.CVRL, dsm.DSM)
}
