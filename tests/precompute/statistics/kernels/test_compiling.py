"""Triton's kernels compile for NVIDIA's GPUs (sm_80, sm_90): no GPU is needed for that."""

import os
import subprocess
import sys

import pytest

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from shapebias.precompute.statistics.kernels import triton_lists, triton_maps, triton_sums

BLOCKS = {"position_block": 32, "unit_block": 64, "entry_block": 64, "pixel_block": 256}
KINDS = {  # of arguments that are pointers; the others are sizes
    "*fp32": "maps maximum average value mean new_value new_mean activation highest threshold",
    "*fp64": "sums count deviations low_count absolute variation expected total row_weight column_weight",
    "*i64": "key keys images image new_key new_image tied new_tied labels area shared row_low column_low",
    "*i32": "pairs nonpositive position slot new_position new_slot source number freed sampled planes left_out",
    "*u8": "finite kept",
}
OTHERS = {  # where a name is of something else
    "reduce_maps": {"images": "i32"},
    "add_moments": {"mean": "*fp64", "images": "i32"},
    "add_variation": {"maps": "*fp64", "images": "i32", "share": "fp32"},
    "add_class_means": {"images": "i32"},
    "sample_maps": {"kept": "*fp32", "left_out": "*i64", "count": "i32"},
}
for module in (triton_lists, triton_maps, triton_sums):
    for name, kernel in vars(module).items():
        if not isinstance(kernel, triton.JITFunction) or name.startswith("_"):
            continue
        kinds = {word: kind for kind, words in KINDS.items() for word in words.split()} | OTHERS.get(name, {})
        blocks = {argument: BLOCKS[argument] for argument in kernel.arg_names if argument in BLOCKS}
        signature = {argument: kinds.get(argument, "i32") for argument in kernel.arg_names}
        signature |= dict.fromkeys(blocks, "constexpr")
        source = ASTSource(kernel, signature, {(kernel.arg_names.index(key),): size for key, size in blocks.items()})
        for capability in (80, 90):
            triton.compile(source, target=GPUTarget("cuda", capability, 32))
            print(name, capability)
"""


@pytest.mark.slow
def test_all_kernels_compile() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    result = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 8 * 2
