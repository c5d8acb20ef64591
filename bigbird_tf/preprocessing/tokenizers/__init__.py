"""From raw strings to ids and back: a class for each kind of vocabulary."""

# In the order in which `Tokenizer.from_pretrained` asks them.
from bigbird_tf.preprocessing.tokenizers.big_bird_tokenizer import BigBirdTokenizer  # isort: skip
from bigbird_tf.preprocessing.tokenizers.pegasus_tokenizer import PegasusTokenizer  # isort: skip
from bigbird_tf.preprocessing.tokenizers.dna_tokenizer import DnaTokenizer  # isort: skip
from bigbird_tf.preprocessing.tokenizers.word_piece_tokenizer import (  # isort: skip
    WordPieceTokenizer,
)
from bigbird_tf.preprocessing.tokenizers.fast_tokenizer import FastTokenizer
from bigbird_tf.preprocessing.tokenizers.tokenizer import Tokenizer

__all__ = [
    "BigBirdTokenizer",
    "DnaTokenizer",
    "FastTokenizer",
    "PegasusTokenizer",
    "Tokenizer",
    "WordPieceTokenizer",
]
