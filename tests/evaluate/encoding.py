"""Features of some clips, for tests on one host and on several."""

import dataclasses

from hdc_jax.evaluate import features, pretrained
from tests import small
from tests.data.clips.test_training_clips import Broken


def prepare(path):
  """An evaluation, and a function of such to the features of its test videos.

  By scene, in batches of 4, by initial weights. Some videos have more clips
  than others, so that hosts run out at different times.
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
  encoder = features.make_encoder(
    lambda *arguments: {"features": describe(*arguments)},
    evaluation.view,
    evaluation.mesh,
  )
  weights = pretrained.initial(options.model, 0, evaluation.mesh)

  def encode(evaluation):
    videos = evaluation.source.index.split("test")
    return evaluation.encode(encoder, weights, videos, label="scene")

  return evaluation, encode


def damage(evaluation, videos):
  """Lets an evaluation read some videos no more."""
  bad = {int(number) for number in videos}
  object.__setattr__(evaluation, "source", Broken(evaluation.source, bad))


def strict(evaluation):
  """The same evaluation, which has left out nothing, and may not."""
  return dataclasses.replace(evaluation, max_bad=0.0, left_out={})
