"""Where a wheel's packages lie in the checkout; pyproject.toml has the rest.

The config files stand at the top of the checkout, where a reader looks for
them, and become the package data `hdc_jax/configs` of a wheel.
"""

from setuptools import find_namespace_packages, setup

setup(
  packages=[*find_namespace_packages(include=["hdc_jax*"]), "hdc_jax.configs"],
  package_dir={"hdc_jax.configs": "configs"},
)
