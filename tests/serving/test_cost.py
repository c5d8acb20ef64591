"""Short texts do not pay for the model's longest input, nor for the longest in their batch."""

import math

import pytest
import tensorflow as tf

from bigbird_tf import models
from bigbird_tf.serving import export_saved_model, make_servable
from tests.serving.conftest import small_config

CONFIG = {"max_position_embeddings": 4096, "block_size": 64, "num_random_blocks": 3}


class TestWhatTheModelComputes:
    def shapes_of(self, name, tokenizer, num_words: list[int]) -> list[tuple[int, int]]:
        """Runs texts of so many pieces and gives the shapes that the model has computed."""
        config = small_config(**CONFIG)
        servable = make_servable(getattr(models, name)(config), tokenizer)
        shapes = []

        def encode(input_ids, **inputs):
            shapes.append(tuple(input_ids.shape))
            if name == "BigBirdForQuestionAnswering":
                return dict.fromkeys(("start_logits", "end_logits"), tf.zeros(input_ids.shape))
            return tf.zeros([len(input_ids), config.num_labels])

        servable.encode = encode
        texts = tf.constant(["bird " * count for count in num_words])
        # Eagerly, what the signature's graph does step by step.
        if name == "BigBirdForQuestionAnswering":
            servable._answers(tf.repeat("bird", len(num_words)), texts, 1)
        else:
            servable._logits(servable.text_windows(texts))
        return sorted(shapes)

    def test_classification(self, tokenizer):
        name = "BigBirdForSequenceClassification"
        # [CLS] and [SEP] beside the words; steps of 64.
        assert self.shapes_of(name, tokenizer, [1]) == [(1, 64)]
        assert self.shapes_of(name, tokenizer, [63, 1, 300, 3001]) == [(1, 3008), (3, 320)]
        # Longer than the model: 4094 pieces in a window, the next begins 2047 later.
        assert self.shapes_of(name, tokenizer, [4095]) == [(1, 2112), (1, 4096)]

    def test_question_answering(self, tokenizer):
        name = "BigBirdForQuestionAnswering"
        assert self.shapes_of(name, tokenizer, [60]) == [(1, 64)]
        assert self.shapes_of(name, tokenizer, [61, 2, 1000]) == [(1, 1024), (2, 128)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("BigBirdForSequenceClassification", {}),
        ("BigBirdForQuestionAnswering", {"question": ["bird"]}),
    ],
)
def test_a_saved_model_computes_in_proportion(tokenizer, tmp_path, name, other):
    """Counted in the session's own trace: the entries of all tensors that operations gave."""
    model = getattr(models, name)(small_config(**CONFIG))
    folder = export_saved_model(model, tmp_path, tokenizer)
    text = "context" if other else "text"
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        loaded = v1.saved_model.loader.load(session, ["serve"], str(folder))
        signature = loaded.signature_def["serving_default"]
        outputs = [output.name for output in signature.outputs.values()]
        options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)

        def count(num_words: int) -> int:
            feeds = {text: ["bird " * num_words], **other}
            metadata = v1.RunMetadata()
            session.run(
                outputs,
                {signature.inputs[key].name: value for key, value in feeds.items()},
                options=options,
                run_metadata=metadata,
            )
            return sum(
                math.prod(dim.size for dim in output.tensor_description.shape.dim)
                for device in metadata.step_stats.dev_stats
                for node in device.node_stats
                for output in node.output
            )

        entries = {num_words: count(num_words) for num_words in (1, 100, 1000, 4000)}
    assert entries[1] < entries[4000] / 100
    assert entries[100] < entries[4000] / 50
    # Linear in the length, too.
    assert 3 < entries[4000] / entries[1000] < 4.5
