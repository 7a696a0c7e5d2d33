"""The parser, on excerpts of what libtpu 0.0.42 wrote for v5e.

loop.hlo is of a small program with a loop and a conditional on 2×2 chips;
chain.hlo has collectives of the train step, on 2×2, 4×4 and 16×16.
"""

import pathlib

import pytest

from hdc_jax.plan import hlo, module_costs

HERE = pathlib.Path(__file__).parent


def executed(name):
  return list(hlo.parse((HERE / name).read_text()).executed())


def test_cycles_of_loops_and_branches():
  # Before and after the loop; six times its body; the costlier branch.
  alone = 2094 + 1827 + 1826 + 2068
  body = 2072 + 1825 + 1828
  assert hlo.total_cycles(executed("loop.hlo")) == alone + 6 * body + 2341


def test_a_known_trip_count_goes_first():
  text = (HERE / "loop.hlo").read_text()
  known = 'backend_config={"known_trip_count":{"n":"2"}}, body='
  executed = hlo.parse(text.replace("body=", known)).executed()
  found = {e.instruction.name: e.times for e in executed}
  assert found["broadcast_add_fusion.2"] == 2
  assert found["convert.27"] == 1


def test_what_is_fused_is_not_counted_again():
  text = (HERE / "loop.hlo").read_text()
  config = ', backend_config={"window_config":{"estimated_cycles":"9000"}}'
  fused = "tanh(%convolution.4.clone.3)"
  assert fused in text
  changed = hlo.parse(text.replace(fused, fused + config)).executed()
  assert hlo.total_cycles(changed) == hlo.total_cycles(executed("loop.hlo"))


def test_collectives_of_a_loop():
  found = {e["kind"]: e for e in module_costs.exchanges(executed("loop.hlo"))}
  assert found["all-gather"]["bytes"] == 4 * 2 * 128 * 2
  exchanges = module_costs.exchanges(executed("loop.hlo"))
  assert [
    (e["times"], e["bytes"]) for e in exchanges if e["kind"] == "all-reduce"
  ] == [(6, 6 * 128 * 4), (1, 4)]


def test_a_collective_in_several_instructions_is_one():
  found = module_costs.exchanges(executed("chain.hlo"))
  assert [(e["kind"], e["bytes"]) for e in found] == [
    ("all-gather", 4 * 4096 * 128 * 3),
    # The gradients of the keys, and of what is on their diagonals.
    ("all-reduce", 4 * 256 * (128 * 10 + 10)),
    ("all-reduce", 2 * 27 * (64 * 64 + 64 * 128) + 4),
    ("all-gather", 4 * 256 * 128),
    ("all-gather", 4 * 16 * 16 * 2),
    ("all-gather", 4 * 16 * 16 * 2),
    ("collective-permute", 4 * 2 * 16),
  ]


def test_a_gather_by_a_sum_is_one_though_an_operand_was_moved():
  text = (HERE / "chain.hlo").read_text()
  moved = text.replace(
    "%multiply_dynamic-update-slice_fusion.1)", "%copy-done.1)"
  )
  assert moved != text
  want = module_costs.exchanges(executed("chain.hlo"))
  assert module_costs.exchanges(hlo.parse(moved).executed()) == want
  assert (want[0]["kind"], want[0]["opcode"]) == ("all-gather", "all-reduce")
  assert (want[3]["kind"], want[3]["opcode"]) == ("all-gather", "all-gather")


def test_what_has_no_estimate():
  line = (
    "  %select-and-scatter.1 = bf16[48,16,56,56,64]{4,0,3,2,1} "
    "select-and-scatter(%a, %b, %c), metadata={op_name="
    '"jit(train_step)/update/transpose(jvp(Network))/backbone/cond/'
    'branch_0_fun/transpose(jvp())/select_and_scatter"}\n  %slice.2'
  )
  text = (HERE / "loop.hlo").read_text().replace("  %slice.2", line, 1)
  assert module_costs.uncounted(hlo.parse(text).executed()) == [
    {
      "name": "backbone",
      "backward": True,
      "opcode": "select-and-scatter",
      "bytes": 2 * 48 * 16 * 56 * 56 * 64,
    }
  ]
  assert not module_costs.uncounted(executed("loop.hlo"))


@pytest.mark.parametrize(
  ("shape", "size"),
  [
    ("f32[]{:T(128)}", 4),
    ("pred[2]{0:T(512)(128)(4,1)S(1)}", 2),
    ("bf16[3,3,3,64,128]{4,3,2,1,0:T(8,128)(2,1)S(1)}", 2 * 27 * 64 * 128),
    ("(f32[16]{0:T(128)S(1)}, /*index=1*/s32[2]{0:S(4)}, u32[])", 76),
    ("f8e4m3fn[8]", 8),
    ("s4[6]", 3),
    ("token[]", 0),
  ],
)
def test_bytes(shape, size):
  assert hlo.shape_bytes(shape) == size


AUGMENT = ("augment", False)


@pytest.mark.parametrize(
  ("op_name", "place"),
  [
    (
      "jit(train_step)/update/jvp(Network)/backbone/stem_conv/cond/"
      "branch_0_fun/conv_general_dilated",
      ("backbone/stem_conv", False),
    ),
    (
      "jit(train_step)/update/transpose(jvp(Network))/backbone/block2_0/conv1/"
      "cond/branch_0_fun/transpose(jvp())/conv_general_dilated",
      ("backbone/block2_0/conv1", True),
    ),
    (
      "jit(train_step)/update/while/body/closed_call/jvp(Network.pool)/"
      "backbone/stem_conv/add",
      ("backbone/stem_conv", False),
    ),
    ("jit(train_step)/update/jvp(Network.project)/stack", ("pooling", False)),
    (
      "jit(train_step)/update/jvp(loss)/and,bnd->nab/dot_general",
      ("update/loss", False),
    ),
    (
      "jit(train_step)/update/transpose(jvp(loss))/while/body/closed_call/"
      "rematted_computation/checkpoint/dot_general",
      ("update/loss", True),
    ),
    ("jit(train_step)/update/augment/vmap()/View.__call__/add", AUGMENT),
    ("jit(train_step)/update/add", ("update", False)),
    ("jit(train_step)/update/while/body/closed_call/augment/add", AUGMENT),
    ("jit(train_step)/vmap(jit(_threefry_split))/add", ("step", False)),
    ("reverse.33", ("", False)),
    (
      "jit(train_step)/update/jvp(Network.pool)/backbone/backbone.run_stage/"
      "block2_1/conv1/convert_element_type",
      ("backbone/block2_1/conv1", False),
    ),
    (
      "jit(train_step)/update/transpose(jvp(Network.pool))/backbone/update/"
      "jvp(Network.pool)/backbone/checkpoint/rematted_computation/"
      "backbone.run_stage/block2_1/conv1/cond/branch_0_fun/dot",
      ("backbone/block2_1/conv1", True),
    ),
    (
      "jit(train_step)/update/jvp(Network.pool)/backbone/stem/cond/"
      "branch_0_fun/reduce_window_max",
      ("backbone/stem", False),
    ),
    ("", ("", False)),
  ],
)
def test_places(op_name, place):
  assert module_costs.module_path(op_name) == place


def test_without_an_entry():
  with pytest.raises(ValueError, match="no entry"):
    hlo.parse("HloModule nothing")
