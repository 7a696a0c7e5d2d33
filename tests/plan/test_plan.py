"""Plans of a tiny network, as the TPU compiler has them."""

import importlib.util
import json

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from hdc_jax.config import flags
from hdc_jax.data import feeding
from hdc_jax.data.clips import sampling, training_clips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.plan import command as plan
from hdc_jax.plan import compiling, slice_plan
from hdc_jax.runtime.slices import GENERATIONS, Slice
from hdc_jax.tasks.pretrain import WithoutData
from hdc_jax.train import flops as flops_lib
from tests import small

needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None,
  reason="libtpu, the compiler for TPU, is not installed (extra `tpu`)",
)
# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

# The fewer instructions, the sooner they are compiled.
CONFIG = "configs/tiny.py"
FIELDS = (
  *small.FLAGS,
  "--config.model.name=c3d",
  "--config.model.size=32",
  "--config.data.frames=16",
  "--config.method.contrasts=('spatial',)",
)
TINY = (f"--config={CONFIG}", *FIELDS)
SLICE = "v5e:2x2"
VIDEOS = 8  # two a chip
# What a row says of hosts, by a rate that is measured anew.
BY_RATE = ("cores_per_host", "processes_per_host")
DIM = 128


@pytest.fixture(autouse=True, scope="module")
def quick():
  """Random numbers take one instruction; the compiler makes less effort."""
  effort = {"optimization_level": 9}  # XLA's O0
  with (
    jax.default_prng_impl("unsafe_rbg"),
    pytest.MonkeyPatch.context() as patch,
  ):
    patch.setattr(mesh_lib, "compiler_options", lambda mesh, once=False: effort)
    yield


@pytest.fixture(autouse=True)
def root(pytestconfig, monkeypatch):
  monkeypatch.chdir(pytestconfig.rootpath)
  monkeypatch.setattr(plan, "_SECONDS", 0.1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
  return str(tmp_path_factory.mktemp("plans"))


@pytest.fixture(scope="module")
def record(cache, pytestconfig):
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(pytestconfig.rootpath)
    config = flags.read_config(CONFIG, FIELDS)
    return plan.plan(config, [SLICE], VIDEOS // 4, cache)


@pytest.fixture
def no_compiler(monkeypatch):
  """Fails on what would be compiled."""

  def refuse(lowered, *args, **kwargs):
    raise AssertionError("compiled")

  monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)


@pytest.fixture
def up_to_five(monkeypatch):
  """Chips hold five videos, whatever they are; nothing is compiled.

  Gets the short sides of what is planned for.
  """
  short_sides = set()
  known = {"device": "TPU", "compile_seconds": 1.0, "cached": True}
  estimated = {
    "hbm_bytes": {"argument": 4 << 20, "total": 4 << 20},
    "estimated_cycles": 1_500_000,
    "operations": [],
    "uncounted": [],
    "collectives": [],
  }

  class Step:
    def __init__(self, learning, name, short_side, batch_size):
      del learning
      self.fits = batch_size <= 5 * Slice.parse(name).chips
      short_sides.add(short_side)

    def facts(self, cache):
      del cache
      said = {"out_of_memory": "Ran out of memory on HBM"}
      return known | (estimated if self.fits else said)

  monkeypatch.setattr(compiling, "Step", Step)
  return short_sides


def make_training():
  """The training that is planned, on one device."""
  config = flags.read_config(CONFIG, FIELDS)
  return WithoutData.read(config).make_training(mesh_lib.make_mesh(1))


def run(cache, *flags):
  return plan.main([*TINY, f"--topology={SLICE}", f"--cache={cache}", *flags])


@needs_libtpu
def test_record(record):
  assert "compiler's estimates" in record["estimates"]
  assert record["device"] == "4 × TPU v5 lite"
  assert set(record["versions"]) == {"jax", "jaxlib", "libtpu"}
  assert (record["model"], record["method"]) == ("c3d", "hdc")
  assert (record["clips_per_video"], record["clip"]) == (2, [16, 32, 32])
  (row,) = record["rows"]
  assert (row["name"], row["hosts"], row["fits"]) == (SLICE, 1, True)
  assert (row["batch_size"], row["batch_per_chip"]) == (VIDEOS, 2)
  assert (row["device"], row["cached"]) == (record["device"], False)


@needs_libtpu
def test_times_follow_from_cycles(record):
  (row,) = record["rows"]
  seconds = row["estimated_step_seconds"]
  assert seconds == row["estimated_cycles"] / 1.5e9 > 0
  assert row["videos_per_second"] == pytest.approx(VIDEOS / seconds)
  assert row["videos_per_second_per_chip"] == pytest.approx(2 / seconds)
  assert row["clips_per_second"] == pytest.approx(2 * VIDEOS / seconds)
  # One host cuts one clip of each video.
  rate = record["clips_per_second_per_core"]
  assert 0 <= row["cores_per_host"] - VIDEOS / seconds / rate < 1
  assert 0 <= row["processes_per_host"] - row["cores_per_host"] / 3 < 1


@needs_libtpu
def test_flops_are_those_of_the_network(record):
  made = make_training()
  views = {"views": jnp.zeros((VIDEOS, *made.views_shape))}
  flops = flops_lib.count_flops(
    made.update, jax.eval_shape(made.init), views, jax.random.key(0)
  )
  (row,) = record["rows"]
  assert row["flops_per_chip"] == pytest.approx(flops / 4)
  used = flops / 4 / row["estimated_step_seconds"] / 197e12
  assert row["estimated_utilisation"] == pytest.approx(used)


@needs_libtpu
def test_memory_holds_the_state_and_the_clips(record):
  made = make_training()
  state = jax.eval_shape(made.init)
  state_bytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
  (row,) = record["rows"]
  hbm = dict(row["hbm_bytes"])
  limit, total = hbm.pop("limit"), hbm.pop("total")
  assert total == sum(hbm.values()) < limit == int(15.75 * 2**30)
  assert hbm["argument"] >= state_bytes  # padded
  assert hbm["output"] < 2**16  # the metrics: the state is donated
  assert hbm["code"] > 0


@needs_libtpu
def test_only_embeddings_are_gathered(record):
  (row,) = record["rows"]
  collectives = row["collectives"]
  sizes = [
    (c["name"], c["bytes"])
    for c in collectives
    if (c["kind"], c["dtype"]) == ("all-gather", "f32")
  ]
  # One term: the embeddings of every video, at two temporal positions.
  keys = VIDEOS * 2 * DIM * 4
  assert row["key_bytes"] == keys
  # The compiler names it by what uses them, or by what makes them.
  assert sizes in ([("update/loss", keys)], [("s_block5", keys)])
  # Beside them, only where the diagonal of the logits is.
  gathered = row["collective_bytes"]["all-gather"]
  assert gathered - keys <= 4 * VIDEOS * 2 * 4
  kinds = {c["kind"] for c in collectives}
  assert set(row["collective_bytes"]) == kinds
  for kind in kinds:
    total = sum(c["bytes"] for c in collectives if c["kind"] == kind)
    assert row["collective_bytes"][kind] == total


@needs_libtpu
def test_joined_slices_exchange_as_little_as_they_can(cache, record):
  """Over the network goes what each chip has, and its part of a sum."""
  config = flags.read_config(CONFIG, FIELDS)
  (row,) = plan.plan(config, [f"2*{SLICE}"], VIDEOS // 4, cache)["rows"]
  (one,) = record["rows"]
  assert (row["hosts"], row["batch_size"]) == (2, 2 * VIDEOS)
  sent = {kind: 0 for kind in ("all-gather", "all-reduce", "reduce-scatter")}
  for exchange in row["collectives"]:
    if exchange["network"]:
      sent[exchange["kind"]] += exchange["bytes"]
  own = row["key_bytes"] / 8
  assert sent["all-gather"] == own
  # The gradients, which the four chips of a slice have summed, a part by each.
  params = jax.eval_shape(make_training().init).params
  gradients = 4 * sum(x.size for x in jax.tree.leaves(params)) / 4
  within = row["collective_bytes"]["all-reduce"]
  assert gradients < sent["all-reduce"] < 1.1 * within / 4
  # To one other slice: of a sum over two, a scatter and a gather of a half.
  assert (
    row["network_bytes"]
    == sent["all-gather"] + sent["all-reduce"] + sent["reduce-scatter"] / 2
  )
  assert row["network_seconds"] == row["network_bytes"] / 3.125e9
  assert one["network_bytes"] == 0


@needs_libtpu
def test_gradients_are_summed_once(record):
  made = make_training()
  params = jax.eval_shape(made.init).params
  count = sum(x.size for x in jax.tree.leaves(params))
  reduced = record["rows"][0]["collective_bytes"]["all-reduce"]
  keys = VIDEOS * 2 * DIM * 4
  assert 4 * count + keys <= reduced <= 4 * count + keys + 1000


@needs_libtpu
def test_operations_are_named_by_module(record):
  (row,) = record["rows"]
  cycles = [operation["cycles"] for operation in row["operations"]]
  assert cycles == sorted(cycles, reverse=True)
  assert 0 < sum(cycles) <= row["estimated_cycles"]
  assert len(cycles) == 10
  names = {(o["name"], o["backward"]) for o in row["operations"]}
  assert ("augment", False) in names
  assert any(name.startswith("backbone/") for name, _ in names)


@pytest.mark.slow
@needs_libtpu
def test_what_is_known_is_not_compiled_again(
  record, cache, no_compiler, tmp_path, capsys
):
  path = tmp_path / "plan.json"
  assert run(cache, "--batch_per_chip=2", f"--json={path}") == 0
  again = json.loads(path.read_text())
  (row,), (known,) = again["rows"], record["rows"]
  assert row.pop("cached") is True
  same = [k for k in known if k not in ("cached", *BY_RATE)]
  assert {k: row[k] for k in same} == {k: known[k] for k in same}
  page = capsys.readouterr().out
  assert "the TPU compiler's estimates; nothing was run on a TPU" in page
  assert "v5e:2x2: 4 × TPU v5 lite, 1 host; 2 videos a chip" in page
  assert f"{known['estimated_cycles']:,} cycles at 1.50 GHz" in page
  hosts = (
    f"{row['cores_per_host']} cores a host for {row['processes_per_host']}"
  )
  assert f"{hosts} process" in " ".join(page.split())


@pytest.mark.slow
@needs_libtpu
def test_another_batch_is_not_the_same_program(cache, no_compiler, capsys):
  assert run(cache, "--batch_per_chip=3") == 1
  assert "AssertionError: compiled" in capsys.readouterr().err


@needs_libtpu
def test_too_large(cache, up_to_five, tmp_path, capsys):
  path = tmp_path / "plan.json"
  assert run(cache, "--batch_per_chip=6", f"--json={path}") == 7
  out, err = capsys.readouterr()
  assert "does not fit: Ran out of memory on HBM" in out
  assert "v5e:2x2: 6 videos do not fit the memory of a chip" in err
  (row,) = json.loads(path.read_text())["rows"]
  assert row["fits"] is False
  assert "estimated_cycles" not in row


@needs_libtpu
@pytest.mark.parametrize(
  ("start", "code", "parts", "fitting"),
  [(2, 0, 1, 5), (20, 7, 1, 5), (2, 0, 2, 4)],
)
def test_fit(cache, up_to_five, tmp_path, capsys, start, code, parts, fitting):
  """In multiples of the microbatches."""
  path = tmp_path / "plan.json"
  flags = ["--fit", f"--batch_per_chip={start}", f"--json={path}"]
  flags.append(f"--config.train.microbatches={parts}")
  assert run(cache, *flags) == code
  (row,) = json.loads(path.read_text())["rows"]
  assert row["largest_batch_per_chip"] == fitting
  assert row["too_large_batch_per_chip"] == 6
  page = capsys.readouterr().out
  assert f"{fitting} videos a chip fit, 6 do not" in page


@needs_libtpu
def test_several_slices_make_a_table(cache, up_to_five, capsys):
  flags = ["--topology=v5e:2x2,v5e:2x4", "--batch_per_chip=2"]
  assert run(cache, *flags) == 0
  *_, first, second = capsys.readouterr().out.splitlines()
  assert first.split()[:2] == ["v5e:2x2", "8"]
  assert second.split()[:2] == ["v5e:2x4", "16"]
  assert up_to_five == {128}


@pytest.mark.slow
@needs_libtpu
def test_the_dataset_tells_its_short_side(
  cache, up_to_five, remote, tmp_path, monkeypatch
):
  measured = []
  monkeypatch.setattr(
    feeding,
    "clips_per_second",
    lambda videos, *_: measured.append(videos.index.short_side) or 9.0,
  )
  data = [
    f"--config.data.{f}" for f in ("path=gs://b/data", f"cache={tmp_path}")
  ]
  assert run(cache, "--batch_per_chip=2", *data) == 0
  assert up_to_five == {40} == set(measured)
  assert not list(tmp_path.iterdir())


def test_a_sum_takes_twice_what_a_gather_takes():
  exchanges = [
    {"opcode": "all-reduce", "kind": "all-gather", "bytes": 5},
    {"opcode": "all-reduce", "kind": "all-reduce", "bytes": 30},
    {"opcode": "all-gather", "kind": "all-gather", "bytes": 100},
  ]
  assert slice_plan.sent_bytes(exchanges) == 2 * 5 + 2 * 30 + 100


@needs_libtpu
def test_programs_stay_out_of_jaxs_cache(tmp_path):
  """It would fail to load them."""
  settings = {
    "jax_compilation_cache_dir": str(tmp_path),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
  }
  before = {name: getattr(jax.config, name) for name in settings}
  jax.config.update("jax_platforms", "cpu")
  shape = jax.ShapeDtypeStruct((8,), jnp.float32)
  device = compiling.devices(SLICE)[0]
  elsewhere = jax.sharding.SingleDeviceSharding(device)
  try:
    for name, value in settings.items():
      jax.config.update(name, value)
    # It is decided by the first program whether there is a cache at all.
    compilation_cache.reset_cache()
    jax.jit(lambda x: x + 1).lower(shape).compile()
    kept = set(tmp_path.iterdir())
    assert kept
    with compiling.not_kept_by_jax():
      jax.jit(jnp.sin).lower(shape.update(sharding=elsewhere)).compile()
    assert set(tmp_path.iterdir()) == kept
  finally:
    for name, value in before.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()


@needs_libtpu
def test_what_the_compiler_says_of_too_little_memory():
  compiling.use_cpu()
  device = compiling.devices(SLICE)[0]
  huge = jax.ShapeDtypeStruct(
    (1 << 36,), jnp.float32, sharding=jax.sharding.SingleDeviceSharding(device)
  )
  lowered = jax.jit(lambda x: jnp.sin(x) + 1).lower(huge)
  with pytest.raises(jax.errors.JaxRuntimeError) as raised:
    lowered.compile()
  said = compiling.out_of_memory(str(raised.value))
  assert "hbm" in said.lower()
  assert "15.75G" in said  # what `slices` has
  assert not compiling.out_of_memory("INTERNAL: something else")


@needs_libtpu
@pytest.mark.parametrize("name", GENERATIONS)
def test_every_slice_has_a_device_per_chip(name):
  compiling.use_cpu()
  for topology in GENERATIONS[name].topologies:
    if Slice.parse(f"{name}:{topology}").chips <= 1024:
      assert compiling.devices(f"{name}:{topology}")[0].platform == "tpu"


@pytest.mark.parametrize(
  ("largest", "start", "guess"),
  [
    (0, 1, 1),
    (0, 16, 16),
    (5, 16, 16),
    (16, 16, 16),
    (96, 16, 90),
    (96, 16, 400),
    (1000, 1, 1),
  ],
)
def test_bisection(largest, start, guess):
  asked = []

  def fits(number):
    asked.append(number)
    return number <= largest

  fitting, failing = slice_plan.bisect(fits, start, guess)
  assert fitting <= largest < failing
  assert failing - fitting <= max(1, fitting // 16)
  assert len(asked) == len(set(asked))
  assert min(asked) >= 1


def test_without_libtpu(cache, monkeypatch, capsys):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  assert run(cache) == 2
  assert "pip install 'jax[tpu]'" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--topology=v5e:3x3"], "--topology=v5e:3x3: v5e comes as 1x1, 2x2"),
    (["--topology=v3:4x4"], "'v3' is not one of v4, v5e, v5p, v6e"),
    (["--topology="], "--topology is not set"),
    (["--batch_per_chip=0"], "--batch_per_chip=0 must be at least 1"),
    (["--config.task=finetune"], "--config=FILE:task=finetune"),
    (["--config.method.temperature=0.0"], "temperature=0.0 must be above 0"),
    (["--config.method.margin=1.0"], "'margin' is not one of"),
    (["--config.model.name=r3d19"], "model.name"),
    (["--config.model.size=150"], "config.model.size=150 must be"),
    (["--config.data.frames=0"], "config.data.frames=0 must be"),
    (
      ["--json=gs://b/plan.json"],
      "gs://b/plan.json: needs `pip install gcsfs`",
    ),
    (["--cache=/proc/none"], "--cache: /proc/none: No such file"),
  ],
)
@needs_libtpu
def test_bad_input_is_one_line(
  cache, no_compiler, monkeypatch, capsys, flags, message
):
  find = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util, "find_spec", lambda n: None if n == "gcsfs" else find(n)
  )
  assert run(cache, *flags) == 2
  *_, last = capsys.readouterr().err.splitlines()
  assert message in last


def test_only_pretraining_is_planned(cache, capsys):
  config = f"--config={CONFIG}:task=finetune"
  args = [config, f"--topology={SLICE}", f"--cache={cache}"]
  assert plan.main([*args, "--config.data.path=x"]) == 2
  assert "config.task=finetune must be pretrain" in capsys.readouterr().err


def test_a_batch_that_does_not_split_is_said(capsys):
  assert plan._per_chip(128, Slice.parse("v5e:4x4")) == 8
  assert not capsys.readouterr().err
  assert plan._per_chip(128, Slice.parse("v5e:16x16")) == 16
  assert "--config.data.batch_size=4096" in capsys.readouterr().err


def test_padded_clips_are_planned_as_such():
  clips = small.options(data__canvas=60).clips
  starts = sampling.IndependentStarts(2)
  assert "extent" in training_clips.batch_shapes(clips, starts, 40, 8)


@needs_libtpu
def test_a_host_has_a_contiguous_part_of_a_batch():
  """The chips of a host are not neighbours by number: of 16, 0, 1, 4 and 5."""
  compiling.use_cpu()
  chips = sorted(compiling.devices("v5e:4x4"), key=lambda chip: chip.id)
  processes = [chip.process_index for chip in chips]
  assert processes != sorted(processes)
  mesh = mesh_lib.make_mesh(chips)
  ordered = [chip.process_index for chip in mesh.devices.flat]
  assert ordered == sorted(processes)
