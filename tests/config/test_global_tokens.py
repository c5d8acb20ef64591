"""What a config says of global tokens beside the sequence."""

import pytest

from bigbird_tf import BigBirdConfig, BigBirdForCausalLM

ETC = {"construction": "etc", "num_global_tokens": 230, "block_size": 84}


def test_no_block_of_the_sequence_is_global_by_default():
    assert BigBirdConfig(**ETC).num_global_blocks == 0
    assert BigBirdConfig(**ETC, num_global_blocks=2).num_global_blocks == 2
    assert BigBirdConfig().num_global_blocks == 2


def test_pattern_is_that_of_the_joined_sequence():
    config = BigBirdConfig(**ETC, num_global_blocks=(1, 2), num_random_blocks=0)
    spec = config.pattern_spec(5)
    assert config.global_length == 3 * 84
    assert (spec.num_global_start, spec.num_global_end, spec.seed) == (3 + 1, 2, 5)
    assert spec.max_length == 4096 + 252
    assert spec.longest_full_attention == (6 + 3) * 84
    # Of the sequence alone: its own global blocks and its window.
    assert config.longest_full_attention == (3 + 3) * 84
    up_to = config.replace(full_attention_up_to=512)
    assert (up_to.longest_full_attention, up_to.pattern_spec().longest_full_attention) == (
        *(512, 764),
    )


def test_without_global_tokens_it_is_the_pattern_alone():
    config = BigBirdConfig(construction="etc", num_global_tokens=0, num_global_blocks=2)
    assert config.pattern_spec(3) == BigBirdConfig().pattern_spec(3)


def test_another_construction_begins_with_its_own_defaults(tmp_path):
    BigBirdConfig(num_random_blocks=0).save_pretrained(tmp_path)
    etc = BigBirdConfig.from_pretrained(tmp_path, construction="etc", num_global_tokens=7)
    assert (etc.num_global_blocks, etc.num_global_tokens, etc.num_random_blocks) == (0, 7, 0)
    etc.save_pretrained(tmp_path)
    assert BigBirdConfig.from_pretrained(tmp_path) == etc
    assert BigBirdConfig.from_pretrained(tmp_path, num_global_tokens=9).num_global_tokens == 9
    itc = etc.replace(construction="itc")
    assert (itc.num_global_blocks, itc.num_global_tokens) == (2, 0)
    assert etc.replace(construction="etc", num_global_blocks=1).num_global_tokens == 7


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"construction": "etc"}, "`num_global_tokens` must be given"),
        ({"num_global_tokens": 3}, "construction='etc' has.*num_global_tokens=3"),
        ({**ETC, "is_decoder": True}, "is for encoders.*is_decoder=True.*construction='itc'"),
        ({**ETC, "inference_random_blocks": "first_block"}, "'first_block'.*'seeded'"),
        ({**ETC, "global_reads": "own"}, "`global_reads` must be one of 'all', 'members'"),
        ({"global_reads": "members"}, "construction='etc'.*num_global_tokens=0"),
        ({"construction": "ETC"}, "`construction` must be one of 'itc', 'etc'"),
    ],
)
def test_what_does_not_go_together(fields, message):
    with pytest.raises(ValueError, match=message):
        BigBirdConfig(**fields)


def test_no_decoder():
    config = BigBirdConfig(**ETC)
    with pytest.raises(ValueError, match="is for encoders"):
        BigBirdForCausalLM(config)
