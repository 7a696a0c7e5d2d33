"""Tests run on eight CPU devices, with typechecked signatures."""

import pathlib

import jax
import pytest
from jaxtyping import install_import_hook

CACHE = pathlib.Path(__file__).parent / ".cache" / "jax"

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

# From here on, these check the shapes and dtypes they are annotated with.
install_import_hook(
  ["hdc_jax.losses", "hdc_jax.augment", "hdc_jax.methods"],
  "beartype.beartype",
)

from hdc_jax import prepare  # noqa: E402, the import hook comes first


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
  """A prepared data set: 24 videos to train on and 6 to test, 32 pixels."""
  output = str(tmp_path_factory.mktemp("synthetic"))
  options = ["--videos=30", "--short_side=32", "--shards=2", "--workers=2"]
  assert (
    prepare.main(["--dataset=synthetic", "--output", output, *options]) == 0
  )
  return output
