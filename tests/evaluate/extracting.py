"""One extraction of features, for tests on one host and on several."""

from hdc_jax.data.clips.test_clips import fixed_looks

from hdc_jax import models
from hdc_jax.data import sources
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.evaluate import features
from hdc_jax.train import pretrained
from tests import small


def extract(path):
  """Of the 6 test videos by scene, with initial weights, in batches of 4.

  Some have more clips than others, so that hosts run out at different times.
  """
  config = small.config(
    test__batch_size=4, test__clips=0, data__frames=4, model__width=2
  )
  source, mesh = sources.open(path), mesh_lib.make_mesh()
  backbone = models.make_backbone(config.model)

  def compute(variables, clips):
    endpoints = backbone.apply(variables, clips)
    return {"features": features.pool(endpoints["block5"], "average")}

  looks = fixed_looks(config, source)
  return features.extract(
    features.make_encoder(compute, features.centre_view(looks.size), mesh),
    pretrained.initial(config, mesh),
    source,
    source.index.split("test"),
    config,
    mesh,
    label="scene",
    looks=looks,
  )
