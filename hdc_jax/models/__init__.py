"""Backbones by name: pure modules from clips to a dict of endpoints.

A new backbone is one file with a module and its options (a subclass of
`BackboneOptions`), and a line in the registry; docs/extend.md has an example.
"""

from hdc_jax.models import c3d, i3d, r2plus1d, r3d, s3d
from hdc_jax.models.base import BackboneOptions

__all__ = ["BACKBONES", "BackboneOptions"]

BACKBONES: dict[str, type[BackboneOptions]] = {
  backbone.name: backbone
  for backbone in (
    r3d.R3D18,
    r3d.R3D34,
    r3d.R3D50,
    r3d.R3D101,
    r3d.R3D152,
    r3d.SlowOnly50,
    c3d.C3DOptions,
    i3d.I3D,
    s3d.S3D,
    r2plus1d.R2Plus1D10,
    r2plus1d.R2Plus1D18,
  )
}
