"""What changes after a first `generate` is heeded by the next."""

import numpy as np
import pytest

from bigbird_tf import BigBirdForCausalLM
from tests.contract import randomize, tiny_config
from tests.models.big_bird.test_big_bird_for_causal_lm import PROMPTS, greedy, without_cache
from tests.models.test_fine_tuning import KERAS_WARNINGS


def add_lora(model):
    model.enable_lora(2)
    attention = model.backbone.encoder.blocks[0].attention
    generator = np.random.default_rng(5)
    for dense in (attention.query_dense, attention.value_dense):
        for factor in (dense.lora_kernel_a, dense.lora_kernel_b):
            factor.assign(3 * generator.normal(size=factor.shape))


def quantize(model):
    model.quantize("int8")
    kernel = model.head.dense.kernel
    # Or the tokens may be the same as without.
    kernel.assign(-np.asarray(kernel))


@pytest.mark.filterwarnings(*KERAS_WARNINGS)
@pytest.mark.parametrize("change", [add_lora, quantize])
def test_generate_obeys_what_is_switched_on_later(change):
    model = BigBirdForCausalLM(tiny_config(num_hidden_layers=1, eos_token_id=None))
    randomize(model)
    before = np.asarray(model.generate(PROMPTS[2:], 5)).tolist()
    change(model)
    tokens = np.asarray(model.generate(PROMPTS[2:], 5)).tolist()
    assert tokens == [greedy(without_cache(model), PROMPTS[2], 5)]
    assert tokens != before
