"""A small model of every class, exported once for all tests."""

import functools

import keras
import pytest
import tensorflow as tf
from filelock import FileLock

from bigbird_tf import BigBirdConfig, BigBirdPegasusConfig, models
from bigbird_tf.preprocessing import BigBirdTokenizer, PegasusTokenizer
from bigbird_tf.serving import export_saved_model
from tests.preprocessing.conftest import train_vocabulary

MAX_LENGTH = 61
LABELS = ("O", "B-place", "I-place", "B-bird", "I-bird")
OPTIONS = {
    "BigBirdForCausalLM": {"max_new_tokens": 7, "stop_token_ids": []},
    "BigBirdForMaskedLM": {"num_best": 3},
    "BigBirdForPreTraining": {"num_best": 2},
    "BigBirdForQuestionAnswering": {
        "num_best": 3,
        "max_question_length": 11,
        "max_answer_length": 9,
    },
}
OPTIONS |= {
    name.replace("BigBird", "BigBirdPegasus"): OPTIONS[name]
    for name in ("BigBirdForCausalLM", "BigBirdForQuestionAnswering")
}
# Empty, short (full attention), long (sparse), longer than the model.
TEXTS = [
    "",
    "A bird sings.",
    " ".join(f"the river house {i} of eleven birds, walks on" for i in range(3)),
    " ".join(f"stone {i} Zürich bigger window 日本語 sings" for i in range(23)),
    "   sparse\n attention \t ",
]

# Those that fit into the model, and so into one window.
SHORT = TEXTS[:3]


def encode(servable, text, text_pair=None):
    """Returns a text's input as the signatures lay it out: padded to whole blocks."""
    return servable.tokenizer(
        [text],
        None if text_pair is None else [text_pair],
        max_length=MAX_LENGTH,
        pad_to_multiple_of=4,
    )


def small_config(**changes) -> BigBirdConfig:
    """Blocks of 4 with one random block: attention is sparse from 29 tokens on."""
    settings = {
        "vocab_size": 131,
        "hidden_size": 28,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 23,
        "block_size": 4,
        "num_random_blocks": 1,
        "max_position_embeddings": MAX_LENGTH,
        "sep_token_id": 4,
        "initializer_range": 0.3,
        "id2label": dict(enumerate(LABELS)),
    }
    return BigBirdConfig(**{**settings, **changes})


def small_pegasus_config(**changes) -> BigBirdPegasusConfig:
    """The same of an encoder-decoder; summaries are of three beams and seven tokens."""
    settings = {
        "vocab_size": 131,
        "d_model": 28,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 23,
        "decoder_ffn_dim": 19,
        "block_size": 4,
        "num_random_blocks": 1,
        "max_position_embeddings": MAX_LENGTH,
        "init_std": 0.3,
        "tie_word_embeddings": False,
        "id2label": dict(enumerate(LABELS)),
        "extra": {"num_beams": 3, "length_penalty": 0.8, "max_length": 8},
    }
    return BigBirdPegasusConfig(**{**settings, **changes})


class Exported:
    """A model and its SavedModel, which is made when it is first asked for.

    All processes of a run of the tests share `folder`: whoever comes first makes it.
    """

    def __init__(self, model, tokenizer, folder, options):
        self.model = model
        self.tokenizer = tokenizer
        self.versions = folder
        self.options = options

    @functools.cached_property
    def folder(self):
        with FileLock(self.versions.with_suffix(".lock")):
            version = self.versions / "1"
            if not version.exists():
                export_saved_model(self.model, self.versions, self.tokenizer, **self.options)
            return version

    @functools.cached_property
    def loaded(self):
        return tf.saved_model.load(str(self.folder))

    def run(self, signature="serving_default", **inputs):
        function = self.loaded.signatures[signature]
        # An empty list says nothing of its type.
        inputs = {
            name: tf.zeros([0], tf.string)
            if isinstance(value, list) and not value
            else tf.constant(value)
            for name, value in inputs.items()
        }
        return {name: value.numpy() for name, value in function(**inputs).items()}


@pytest.fixture(scope="session")
def tokenizer() -> BigBirdTokenizer:
    return BigBirdTokenizer(train_vocabulary())


@pytest.fixture(scope="session")
def pegasus_tokenizer() -> PegasusTokenizer:
    pieces = ["[CLS]", "[SEP]", "[MASK]", "<n>"]
    return PegasusTokenizer(train_vocabulary(user_defined_symbols=pieces))


@pytest.fixture(scope="session")
def exported(tokenizer, pegasus_tokenizer, shared_folder):
    """Returns the exported model of a class by name; `on_ids` for one without strings."""
    made = {}

    def of(class_name: str, *, on_ids: bool = False) -> Exported:
        key = class_name, on_ids
        if key not in made:
            keras.utils.set_random_seed(29)
            is_pegasus = class_name.startswith("BigBirdPegasus")
            config = small_pegasus_config() if is_pegasus else small_config()
            model = getattr(models, class_name)(config)
            folder = shared_folder / f"{class_name}{'_on_ids' * on_ids}"
            of_class = pegasus_tokenizer if is_pegasus else tokenizer
            options = OPTIONS.get(class_name, {})
            made[key] = Exported(model, None if on_ids else of_class, folder, options)
        return made[key]

    return of
