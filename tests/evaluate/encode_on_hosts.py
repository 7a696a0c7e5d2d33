"""What each process of a cluster says of a dataset: run by test_hosts."""

import sys

import numpy as np

from tests import hosts


def main():
  path, output = hosts.join(sys.argv[1:])
  import jax

  from hdc_jax.distributed import mesh as mesh_lib
  from hdc_jax.errors import DataError
  from hdc_jax.evaluate import probe, search, sweeps
  from tests import quick
  from tests.evaluate import encoding

  quick.use(setattr)
  evaluation, encode = encoding.prepare(path)
  test = evaluation.source.index.split("test")
  # One cannot be decoded. Of the others, one host cannot decode its own.
  encoding.damage(evaluation, test[3:4])
  outputs = encode(evaluation)
  spoilt, stopped = encoding.strict(evaluation), ""
  encoding.damage(spoilt, test[jax.process_count() - 1 :: jax.process_count()])
  try:
    encode(spoilt)
  except DataError as error:
    stopped = str(error)
  mesh = mesh_lib.make_mesh()
  found = search.nearest(
    *[outputs.values["features"]] * 2,
    *[outputs.videos] * 2,
    k=4,
    mesh=mesh,
    query_block=6,
    gallery_block=5,
  )
  recipe = probe.Recipe((1.0, 10.0), 6, 1, 4)
  swept = sweeps.sweep(
    outputs.values["features"][:, None],
    outputs.labels,
    8,
    recipe,
    mesh,
    seed=0,
    held_out=0.3,
  )
  np.savez(
    f"{output}-{jax.process_index()}.npz",
    ids=np.array(outputs.ids),
    left_out=np.array(sorted(evaluation.left_out)),
    stopped=stopped,
    segments=np.array(outputs.segments),
    features=outputs.values["features"],
    indices=found.indices,
    kernel=jax.device_get(swept.probes.kernel),
    accuracies=swept.accuracies,
  )


if __name__ == "__main__":
  main()
