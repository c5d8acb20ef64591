"""Questions to answers, strings in and strings out: `python -m benchmarks.serving_graph`.

An exported SavedModel beside the Python model that it was made of (preprocessor, model, decoder)
and beside `transformers` (fast tokenizer, torch, the same decoding in NumPy), all with the same
random weights. The questions are on source files of the standard library, cut to the length asked
for; the answers are compared, so that all do the same work. Before that come the export's size and
the time from files to the first answer.
"""

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks import measuring
from benchmarks.tokenizer import DEFAULT_VOCABULARY, documents

QUESTION = "What does the first function of this file return?"
LONGEST_ANSWER = 30
SAVED_MODEL, TF_FUNCTION, EAGER = (
    f"bigbird_tf, {form}" for form in ("SavedModel", "Python with tf.function", "Python, eager")
)
TRANSFORMERS = "transformers"
# Of decoded texts, since `transformers` counts characters and we count bytes.
Answer = Callable[[list[str], list[str]], list[str]]


def contexts(tokenizer, length: int, batch: int) -> list[str]:
    """Returns texts that make inputs of `length` pieces, the question included."""
    pieces = length - 3 - len(tokenizer.tokenize(QUESTION))
    found = []
    for text in itertools.cycle(documents(400)):
        ends = tokenizer.tokenize_with_offsets(text)[2].numpy()
        if len(ends) >= pieces:
            found.append(text.encode()[: ends[pieces - 1]].decode(errors="ignore"))
        if len(found) == batch:
            return found


def save_model(folder: Path, vocabulary: Path, layers: int, width: int, block_size: int) -> None:
    """Writes a pretrained directory with random weights that answer something."""
    import keras

    import bigbird_tf as bb

    keras.utils.set_random_seed(7)
    tokenizer = bb.BigBirdTokenizer(vocabulary)
    config = bb.BigBirdConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        block_size=block_size,
        sep_token_id=tokenizer.sep_token_id,
        initializer_range=0.1,
        # What transformers computes outside of training.
        random_plan="transformers",
        inference_random_blocks="first_block",
    )
    bb.BigBirdForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_saved_model(version: Path) -> Answer:
    """The signature on strings of a SavedModel."""
    import tensorflow as tf

    function = tf.saved_model.load(str(version)).signatures["serving_default"]

    def answer(questions, contexts):
        found = function(question=tf.constant(questions), context=tf.constant(contexts))
        return [text.decode(errors="replace") for text in found["answer"].numpy()]

    return answer


def load_python(folder: Path, policy: str, compiled: bool) -> Answer:
    """Preprocessor, model and decoder, called from Python."""
    import tensorflow as tf

    import bigbird_tf as bb
    from bigbird_tf.preprocessing import decode_answers

    model = bb.BigBirdForQuestionAnswering.from_pretrained(folder, dtype=policy)
    preprocessor = bb.QuestionAnsweringPreprocessor.from_pretrained(folder, padding="longest")

    def run(x):
        return model(x, training=False)

    if compiled:
        spec = tf.TensorSpec([None, None], tf.int32)
        names = ("input_ids", "attention_mask", "token_type_ids", "question_lengths")
        run = tf.function(run, input_signature=[dict.fromkeys(names, spec)], autograph=False)

    def answer(questions, contexts):
        x, windows = preprocessor.make_windows(questions, contexts)
        logits = run(x)
        found = decode_answers(
            logits["start_logits"],
            logits["end_logits"],
            windows,
            contexts,
            max_answer_length=LONGEST_ANSWER,
            no_answer_threshold=None,
        )
        return [text.decode(errors="replace") for text in found["answer"].numpy()]

    return answer


def load_transformers(folder: Path, dtype: str) -> Answer:
    """Fast tokenizer, torch, and a decoder in NumPy, for documents of one window.

    Its answers may begin and end within words, so that few are equal to ours.
    """
    import torch
    from transformers import BigBirdForQuestionAnswering, BigBirdTokenizer

    tokenizer = BigBirdTokenizer.from_pretrained(folder)
    model = BigBirdForQuestionAnswering.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def answer(questions, contexts):
        encoded = tokenizer(
            questions,
            contexts,
            padding=True,
            truncation="only_second",
            max_length=model.config.max_position_embeddings,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping").numpy()
        # One short input switches it to full attention for good.
        model.bert.set_attention_type("block_sparse")
        with torch.inference_mode():
            outputs = model(**encoded)
        starts, ends = (x.float().numpy() for x in (outputs.start_logits, outputs.end_logits))
        answers = []
        for row, context in enumerate(contexts):
            is_context = np.array([part == 1 for part in encoded.sequence_ids(row)])
            begin, end = _visible(offsets[row], context)
            is_context &= end > begin
            start = np.where(is_context, starts[row], -np.inf)
            stop = np.pad(np.where(is_context, ends[row], -np.inf), (0, LONGEST_ANSWER))
            stop[len(start) :] = -np.inf
            scores = start[:, None] + np.lib.stride_tricks.sliding_window_view(
                stop[:-1], LONGEST_ANSWER
            )
            first, extra = np.unravel_index(np.argmax(scores), scores.shape)
            answers.append(context[begin[first] : end[first + extra]])
        return answers

    return answer


def _visible(offsets: np.ndarray, context: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the pieces' text begins and ends without the spaces around it."""
    texts = [context[begin:end] for begin, end in offsets]
    begin = offsets[:, 0] + [len(text) - len(text.lstrip()) for text in texts]
    return begin, begin + [len(text.strip()) for text in texts]


def sizes(version: Path) -> dict[str, int]:
    """Bytes of an export by what they hold."""
    parts = {
        "weights": list((version / "variables").iterdir()),
        "graph, with the vocabulary": [version / "saved_model.pb"],
        "vocabulary, for clients": list((version / "assets").iterdir()),
    }
    return {name: sum(file.stat().st_size for file in files) for name, files in parts.items()}


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = "512,1024,4096",
    batch: Annotated[str, typer.Option(help="Batch sizes, with commas between.")] = "1,4",
    layers: Annotated[int, typer.Option(help="Encoder blocks.")] = 4,
    width: Annotated[int, typer.Option(help="Width of the model, a multiple of 64.")] = 256,
    block_size: Annotated[int, typer.Option(help="Tokens in a block.")] = 32,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    vocabulary: Annotated[Path, typer.Option(help="A spiece.model.")] = DEFAULT_VOCABULARY,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 7,
) -> None:
    """Measures size, load time, time to the first answer, and latency."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    import bigbird_tf as bb

    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[dtype]
    all_lengths = [int(part) for part in lengths.split(",")]
    batches = [int(part) for part in batch.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder, vocabulary, layers, width, block_size)
        tokenizer = bb.BigBirdTokenizer.from_pretrained(folder)
        model = bb.BigBirdForQuestionAnswering.from_pretrained(folder, dtype=policy)
        # An answer always, as random weights have nothing to say on "no answer".
        version = bb.export_saved_model(
            model, folder / "export", tokenizer, no_answer_threshold=None
        )
        loaders = {
            SAVED_MODEL: lambda: load_saved_model(version),
            TF_FUNCTION: lambda: load_python(folder, policy, compiled=True),
            EAGER: lambda: load_python(folder, policy, compiled=False),
            TRANSFORMERS: lambda: load_transformers(folder, dtype),
        }
        found_sizes = sizes(version)
        parts = [[part, size / 1e6] for part, size in found_sizes.items()]
        measuring.print_table(f"{layers} layers, {width} wide: the export", ["", "MB"], parts)

        short = contexts(tokenizer, all_lengths[0], 1)

        loading = measuring.interleave(dict(loaders), 3)
        _print_ratios("loading, imports apart", loading)
        first = measuring.interleave(
            {peer: lambda load=load: load()([QUESTION], short) for peer, load in loaders.items()},
            3,
        )
        _print_ratios("from files to the first answer, imports apart", first)

        answers = {peer: load() for peer, load in loaders.items()}
        latency: dict = {}
        for size, length in itertools.product(batches, all_lengths):
            texts = contexts(tokenizer, length, size)
            questions = [QUESTION] * size
            texts_of = {peer: answer(questions, texts) for peer, answer in answers.items()}
            equal = {
                peer: sum(map(str.__eq__, given, texts_of[SAVED_MODEL]))
                for peer, given in texts_of.items()
            }
            seconds = measuring.interleave(
                {
                    peer: lambda answer=answer, q=questions, t=texts: answer(q, t)
                    for peer, answer in answers.items()
                },
                rounds,
            )
            latency[f"batch {size}"] = latency.get(f"batch {size}", {})
            latency[f"batch {size}"][length] = seconds
            title = f"length {length}, batch {size}; equal answers: "
            _print_ratios(title + ", ".join(f"{n}/{size}" for n in equal.values()), seconds)
    stem = f"serving_graph_{dtype}_{layers}layers_{width}wide"
    content = {
        "bytes": found_sizes,
        "load_seconds": loading,
        "first_answer_seconds": first,
        "latency_seconds": latency,
    }
    path = measuring.write_json(stem, content)
    panels = {
        title: measuring.lines_of(by_length, lambda seconds: 1000 * seconds)
        for title, by_length in latency.items()
    }
    print(f"Wrote {path} and {measuring.plot(stem, panels, 'ms')}")


def _print_ratios(title: str, seconds: dict[str, float]) -> None:
    base = seconds[SAVED_MODEL]
    rows = [[peer, 1000 * value, value / base] for peer, value in seconds.items()]
    measuring.print_table(title, ["", "ms", "ratio"], rows)


if __name__ == "__main__":
    typer.run(main)
