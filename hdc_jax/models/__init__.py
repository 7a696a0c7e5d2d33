"""Backbones by name: pure modules from clips to a dict of endpoints.

A new backbone is one file with a module and its options (a subclass of
`BackboneOptions`), and a line in the registry; docs/extend.md has an example.
"""

from hdc_jax.models import c3d, r2plus1d, r3d
from hdc_jax.models.base import BackboneOptions

__all__ = ["BACKBONES", "BackboneOptions"]

BACKBONES: dict[str, type[BackboneOptions]] = {
  backbone.name: backbone
  for backbone in (
    r3d.R3D18,
    r3d.R3D34,
    r3d.R3D50,
    c3d.C3DOptions,
    r2plus1d.R2Plus1D10,
  )
}
