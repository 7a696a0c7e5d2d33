"""Features of some clips, for tests on one host and on several."""

from hdc_jax.evaluate import features, pretrained
from tests import small


def encode(path):
  """Features of the 6 test videos by scene, in batches of 4.

  They are those of initial weights. Some videos have more clips than others, so
  that hosts run out at different times.
  """
  options = small.options(
    task="retrieve",
    data__path=path,
    data__frames=4,
    model__width=2,
    test__clips=0,
    test__batch_size=4,
    features__pool="average",
  )
  evaluation = options.open()
  describe = features.make_describe(options.model, options.features)
  return evaluation.encode(
    features.make_encoder(
      lambda *arguments: {"features": describe(*arguments)},
      evaluation.view,
      evaluation.mesh,
    ),
    pretrained.initial(options.model, 0, evaluation.mesh),
    evaluation.source.index.split("test"),
    label="scene",
  )
