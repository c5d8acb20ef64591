"""Keras' train step on JAX, data parallel over TPU chips that are not there; needs `tpu-check`."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PROGRAM = """
import json
from benchmarks import tpu_scaling
head, length, dtype = "BigBirdForMaskedLM", 1024, "mixed_bfloat16"
fields = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 2}
fields["vocab_size"] = 1024
found = tpu_scaling.measure(head, length, 1, 1, dtype, [4], **fields)
batch = tpu_scaling.batch_of(head, length, 2)
model = tpu_scaling.make_model(head, length, 1, dtype, batch, **fields)
weights = sum(variable.value.size for variable in model.trainable_variables)
print(json.dumps({"found": found, "weights": weights}))
"""


@pytest.mark.tpu
def test_only_gradients_go_over_the_links():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    answer = json.loads(run.stdout.splitlines()[-1])
    [four] = answer["found"].values()
    # No queries, keys or values: those would be gathered.
    assert four["collectives"].keys() == {"all-reduce"}
    # And each gradient once, some before they become float32.
    gradients = answer["weights"] * 4 / 2**20
    assert 0.9 * gradients < four["collectives"]["all-reduce"]["mib"] < 1.01 * gradients


def test_bytes_of_types():
    from benchmarks import tpu_scaling

    assert tpu_scaling.bytes_of("(f32[2,3]{1,0:T(8,128)}, bf16[4]{0})") == [2 * 3 * 4, 4 * 2]
    assert tpu_scaling.bytes_of("f32[]") == [4]
    text = """
ENTRY %main (a: f32[2,3]) -> f32[2,3] {
  %a = f32[2,3]{1,0} parameter(0)
  %sum = (f32[2,3]{1,0}, f32[8]{0}) all-reduce(%a, %a), to_apply=%add
  %begin = (bf16[2]{0}, bf16[8]{0}) all-gather-start(%a), dimensions={0}
  ROOT %end = bf16[8]{0} all-gather-done(%begin)
}
"""
    found = tpu_scaling.collectives(text)
    assert found["all-reduce"] == {"count": 1, "mib": 56 / 2**20, "largest_mib": 56 / 2**20}
    # What goes in is a part of what comes out.
    assert found["all-gather"]["mib"] == 16 / 2**20
