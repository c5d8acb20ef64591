"""Compiled programs as XLA prints them, cut short: what they cost."""

import pytest

from benchmarks import hlo_text

# Six products of matrices in a loop, compiled for a TPU by libtpu 0.0.52.
TPU = """\
HloModule jit_f, is_scheduled=true

%fused_computation.5.clone.1 (param_0.26: bf16[6,128,128]) -> bf16[6,128,128] {
  %param_0.26 = bf16[6,128,128]{2,1,0:T(8,128)(2,1)} parameter(0)
  ROOT %tanh.8 = f32[128,128]{1,0:T(8,128)} tanh(%param_0.26), backend_config={"window_config":{"estimated_cycles":"77"}}
}

%wide.region_0.4.sunk (wide.arg_tuple.0: (s32[], s32[6], /*index=5*/s32[])) -> (s32[], s32[6]) {
  %wide.arg_tuple.0 = (s32[]{:T(128)}, s32[6]{0:T(128)S(1)}) parameter(0)
  %get-tuple-element.59 = s32[]{:T(128)} get-tuple-element(%wide.arg_tuple.0), index=0
  %dynamic_slice.17 = s32[1]{0:T(128)} dynamic-slice(%get-tuple-element.69, %copy.3), dynamic_slice_sizes={1}, metadata={op_name="jit(f)/while/body"}, backend_config={"window_config":{"estimated_cycles":"1826","iteration_bounds":["1"]}}
  %fusion.19 = bf16[6,128,128]{2,1,0:T(8,128)(2,1)} fusion(%get-tuple-element.60, %copy.3), kind=kOutput, calls=%fused_computation.5.clone.1, backend_config={"window_config":{"estimated_cycles":"6185"}}
  ROOT %tuple.11 = (s32[]{:T(128)}, s32[6]{0:T(128)S(1)}) tuple(%add.5, %fusion.19)
}

%wide.region_1.5 (wide.arg_tuple.3: (s32[], s32[6])) -> pred[] {
  %constant.23 = s32[]{:T(128)} constant(6)
  ROOT %lt.2 = pred[]{:T(512)} compare(%get-tuple-element.25, %constant.23), direction=LT, backend_config={"flag_configs":[]}
}

ENTRY %main.6 (x.1: bf16[6,128,256], w.1: bf16[256,128]) -> bf16[6,128,128] {
  %constant.13 = s32[]{:T(128)} constant(0)
  %iota.1 = s32[6]{0:T(128)S(1)} iota(), iota_dimension=0, backend_config={"window_config":{"estimated_cycles":"1824"}}
  %while = (s32[]{:T(128)}, s32[6]{0:T(128)S(1)}) while(%tuple.9), condition=%wide.region_1.5, body=%wide.region_0.4.sunk, metadata={op_name="jit(f)/while"}
  ROOT %while.7 = bf16[6,128,128]{2,1,0:T(8,128)(2,1)} get-tuple-element(%while), index=1
}
"""  # noqa: E501
# The same for an H100, by JAX's plugin for CUDA.
GPU = """\
HloModule jit_f, is_scheduled=true

%fused_compare (param_0: s32[]) -> pred[] {
  %param_0 = s32[] parameter(0)
  ROOT %lt = pred[] compare(%param_0, %constant.9), direction=LT
}

%region_0.4 (arg_tuple.1: (s32[], s32[6])) -> (s32[], s32[6]) {
  %arg_tuple.1 = (s32[], s32[6]{0}) parameter(0)
  %bitcast.4.0 = bf16[8,32,128]{2,1,0} bitcast(%get-tuple-element.24)
  %gemm_fusion_dot = f32[8,128,128]{2,1,0} fusion(%bitcast.5.0, %bitcast.4.0), kind=kCustom, calls=%gemm_fusion_dot_computation
  %loop_add_fusion = s32[] fusion(%get-tuple-element.10), kind=kLoop, calls=%fused_add
  ROOT %tuple.3 = (s32[], s32[6]{0}) tuple(%loop_add_fusion, %gemm_fusion_dot)
}

%region_1.5 (arg_tuple.3: (s32[], s32[6])) -> pred[] {
  ROOT %loop_compare_fusion = pred[] fusion(%get-tuple-element.15.0), kind=kLoop, calls=%fused_compare
}

%command_buffer (p: s32[]) -> s32[] {
  %p = s32[] parameter(0)
  ROOT %copy.1 = s32[] copy(%p)
}

ENTRY %main.6 (x.1: bf16[6,128,256]) -> bf16[6,128,128] {
  %call = s32[] call(%copy.8), to_apply=%command_buffer
  %cublas = (bf16[12,64]{1,0}, s8[8]{0}) custom-call(%a, %b), custom_call_target="__cublas$gemm"
  %while.5 = (s32[], s32[6]{0}) while(%tuple), condition=%region_1.5, body=%region_0.4, backend_config={"known_trip_count":{"n":"6"},"known_init_step":{"init":"0","step":"1"}}
  ROOT %while.7.0 = bf16[6,128,128]{2,1,0} get-tuple-element(%while.5), index=1
}
"""  # noqa: E501


def test_cycles_of_a_loop_count_as_often_as_it_turns():
    # What is fused is part of its fusion.
    assert hlo_text.cycles(TPU) == 1824 + 6 * (1826 + 6185)


def test_launches():
    # A turn's two kernels and the condition's; before the loop a copy and a library's call.
    assert hlo_text.launches(GPU) == 6 * (2 + 1) + 2


def test_instructions():
    by_name, entry = hlo_text.computations(TPU)
    assert entry == "main.6"
    assert [len(instructions) for instructions in by_name.values()] == [2, 5, 2, 4]
    loop = by_name[entry][2]
    assert (loop.name, loop.opcode) == ("while", "while")
    assert loop.type == "(s32[]{:T(128)}, s32[6]{0:T(128)S(1)})"
    assert loop.called("body") == ["wide.region_0.4.sunk"]
    assert loop.called("branch_computations") == []


def test_the_dearer_branch_counts():
    text = """\
%a (p: f32[]) -> f32[] {
  ROOT %x = f32[] add(%p, %p)
}
%b (p: f32[]) -> f32[] {
  %x = f32[] add(%p, %p)
  ROOT %y = f32[] add(%x, %x)
}
ENTRY %main (p: f32[]) -> f32[] {
  ROOT %c = f32[] conditional(%i, %p, %p), branch_computations={%a, %b}
}
"""
    assert hlo_text.total(text, lambda instruction: instruction.opcode == "add") == 2


def test_loops_whose_turns_are_unknown():
    with pytest.raises(ValueError, match=r"how often the loop 'while' turns.*\[\]"):
        hlo_text.cycles(TPU.replace("s32[]{:T(128)} constant(6)", "s32[]{:T(128)} parameter(0)"))
    with pytest.raises(ValueError, match="No `ENTRY` computation"):
        hlo_text.cycles("HloModule nothing")
