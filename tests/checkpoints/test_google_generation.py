"""What Google's code decodes with its encoder-decoder: greedily, and by beams with their scores."""

import keras
import numpy as np
import pytest
from keras import ops

from bigbird_tf.generation import beam_search
from tests.checkpoints.google_data import PEGASUS_FILES

START, PAD, END = 2, 0, 1


@pytest.fixture(scope="module", params=PEGASUS_FILES, ids="/".join)
def file(request):
    return request.param


@pytest.fixture(scope="module")
def model(google_pegasus, file):
    return google_pegasus[file[0]]


@pytest.fixture(scope="module")
def arrays(file, google_fixtures):
    folder, name = file
    with np.load(google_fixtures / folder / f"{name}.npz") as stored:
        return dict(stored)


def documents_of(arrays):
    ids = arrays["input_ids"]
    ids = np.pad(ids, ((0, 0), (0, int(arrays["padded_encoder_length"]) - ids.shape[1])))
    return {"input_ids": ids, "attention_mask": (ids > 0).astype("int32")}


def up_to_end(row):
    row = list(row)
    return row[: row.index(END) + 1] if END in row else row


def test_greedy(model, arrays):
    expected = arrays["pred_ids_beam1"]
    found = model.generate(documents_of(arrays), expected.shape[1], num_beams=1).numpy()
    for mine, theirs in zip(found, expected, strict=True):
        # Theirs goes on behind an end while other rows do.
        real = up_to_end(theirs)
        assert mine.tolist() == [*real, *[PAD] * (len(mine) - len(real))]


def test_best_beam(model, arrays):
    expected = arrays["pred_ids_beam"]
    found = model.generate(
        documents_of(arrays),
        expected.shape[1],
        num_beams=int(arrays["beam_size"]),
        length_penalty=float(arrays["alpha"]),
        length_rule="google",
    )
    np.testing.assert_array_equal(found, expected)


def test_all_beams_and_scores(model, arrays):
    beams, scores = arrays["beams"], arrays["beam_scores"]
    batch, num_beams, length = beams.shape
    documents = documents_of(arrays)
    states = model.encode(documents)
    cache = model.make_cache(states, documents["attention_mask"], length)
    logits, cache = model.decode_step(ops.full((batch,), START, "int32"), 0, cache)
    shared = {name: value for name, value in cache.items() if name != "tokens"}

    def step(tokens, t, cache):
        logits, cache = model.decode_step(tokens, t + 1, {**shared, "tokens": cache})
        return logits, cache["tokens"]

    found, found_scores = beam_search(
        step,
        logits,
        cache["tokens"],
        num_beams=num_beams,
        max_new_tokens=length,
        stop_token_ids=(END,),
        pad_token_id=PAD,
        length_penalty=float(arrays["alpha"]),
        length_rule="google",
        num_return_sequences=num_beams,
    )
    np.testing.assert_array_equal(ops.reshape(found, beams.shape), beams)
    found_scores = keras.ops.convert_to_numpy(found_scores).reshape(scores.shape)
    np.testing.assert_allclose(found_scores, scores, rtol=1e-5)
