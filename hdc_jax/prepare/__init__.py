"""From video files to a dataset: python -m hdc_jax.prepare, hdc_jax.prepare().

The function that a call runs is that of `hdc_jax.api`.
"""

from hdc_jax.runtime import callable_parts

callable_parts.make_callable(__name__)
