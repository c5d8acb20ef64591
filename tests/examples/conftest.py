import pytest

from bigbird_tf.preprocessing.tokenizers import BigBirdTokenizer
from examples.docs_qa.vocabulary import train_vocabulary
from tests.examples.help_pages import library


@pytest.fixture(scope="session")
def tokenizer():
    return BigBirdTokenizer(train_vocabulary(library(), vocab_size=173))
