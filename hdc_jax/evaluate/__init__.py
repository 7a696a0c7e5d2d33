"""Evaluations: features, search, linear probes, trials and statistics.

`hdc_jax.evaluate()` calls the function of `hdc_jax.api`.
"""

from hdc_jax.runtime import callable_parts

callable_parts.make_callable(__name__)
