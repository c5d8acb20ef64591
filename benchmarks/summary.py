"""A long document's summary, beside `transformers`: `python -m benchmarks.summary`.

The encoder's forward pass, and a whole summary by beam search, from ids to ids, of models of base
size with the same random weights, in one process, in turn. All beams run all steps: none may end
before.
"""

import tempfile
import warnings
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from benchmarks import measuring

MEGA = 1e6


def expected(width: int, inner: int, layers: int, vocab: int, length: int, beams: int) -> dict:
    """Returns operations and bytes of one document, by what they are for (float32).

    A step reads all weights of the decoder once, and of each block the keys and values of the
    document: for us once for all beams, in `transformers` for each beam, which also copies them in
    each step, when beams move (read once, written once).
    """
    dense = 2 * length * layers * (4 * width**2 + 2 * width * inner)
    weights = layers * (6 * width**2 + 2 * width * inner) + vocab * width
    memory = layers * 2 * length * width
    return {
        "encoder_dense_gflop": dense / 1e9,
        "step_weights_mb": 4 * weights / MEGA,
        "step_document_mb": 4 * memory / MEGA,
        "step_mb": 4 * (weights + memory) / MEGA,
        "step_mb_transformers": 4 * (weights + 3 * beams * memory) / MEGA,
    }


def make_models(layers: int, width: int, heads: int, inner: int, vocab: int, length: int):
    """Returns their model and ours, with their random weights in both."""
    import torch
    import transformers

    from bigbird_tf import BigBirdPegasusForConditionalGeneration

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = transformers.BigBirdPegasusConfig(
        vocab_size=vocab,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        max_position_embeddings=length,
    )
    theirs = transformers.BigBirdPegasusForConditionalGeneration(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = BigBirdPegasusForConditionalGeneration.from_pretrained(
            folder, inference_random_blocks="first_block"
        )
    return theirs, ours


def make_runs(theirs, ours, ids: np.ndarray, new: int, beams: int) -> tuple[dict, dict]:
    """Returns functions by task and peer, and a dictionary that they put their results into."""
    import tensorflow as tf
    import torch

    options = {"num_beams": beams, "length_penalty": 0.8, "min_new_tokens": new}
    found: dict[str, np.ndarray] = {}
    theirs_ids = torch.tensor(ids)
    ours_ids = tf.constant(ids, tf.int32)
    encode = tf.function(lambda x: ours.encode(x), autograph=False)

    def noting(name: str, run: Callable[[], np.ndarray]) -> Callable[[], None]:
        return lambda: found.__setitem__(name, run())

    def of_theirs(run: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        def quietly():
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return run()

        return quietly

    def encoded():
        return theirs.model.encoder(theirs_ids).last_hidden_state.numpy()

    def generated():
        tokens = theirs.generate(theirs_ids, max_new_tokens=new, do_sample=False, **options)
        return tokens.numpy()[:, 1:]

    runs = {
        "encoder": {
            "bigbird_tf": noting("ours", lambda: encode(ours_ids).numpy()),
            "transformers": noting("theirs", of_theirs(encoded)),
        },
        "summary": {
            "bigbird_tf": noting("ours", lambda: ours.generate(ours_ids, new, **options).numpy()),
            "transformers": noting("theirs", of_theirs(generated)),
        },
    }
    return runs, found


def log_probability(model, ids: np.ndarray, tokens: np.ndarray) -> float:
    """Returns the sum of log probabilities that a model of ours gives the tokens of a summary."""
    start = np.full((1, 1), model.config.decoder_start_token_id)
    read = np.concatenate([start, tokens[:, :-1]], axis=1)
    logits = np.asarray(model({"input_ids": ids, "decoder_input_ids": read}), "float64")[0]
    logits -= logits.max(-1, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(log_probs[np.arange(len(logits)), tokens[0]].sum())


def main(
    length: Annotated[int, typer.Option(help="Tokens of the document.")] = 4096,
    new: Annotated[int, typer.Option(help="Tokens of the summary.")] = 128,
    beams: Annotated[int, typer.Option(help="Width of the search.")] = 5,
    layers: Annotated[int, typer.Option(help="Blocks of each stack.")] = 12,
    width: Annotated[int, typer.Option(help="Width of the model.")] = 768,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 12,
    vocab: Annotated[int, typer.Option(help="Pieces of the vocabulary.")] = 96103,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 3,
    save: Annotated[bool, typer.Option(help="Write results/summary.json.")] = True,
) -> None:
    """Times encoder and whole summary beside `transformers`, batch 1, float32."""
    inner = 4 * width
    work = expected(width, inner, layers, vocab, length, beams)
    measuring.print_table("expected", ["", ""], [[name, value] for name, value in work.items()])
    theirs, ours = make_models(layers, width, heads, inner, vocab, length)
    ids = np.random.default_rng(0).integers(5, vocab, (1, length))
    runs, found = make_runs(theirs, ours, ids, new, beams)
    results: dict[str, dict] = {}
    for task, of_task in runs.items():
        seconds = measuring.interleave(of_task, rounds)
        mine, other = (np.asarray(found[name], "float64") for name in ("ours", "theirs"))
        is_states = task == "encoder"
        difference = np.abs(mine - other).max() if is_states else (mine != other).mean()
        ratio = seconds["transformers"] / seconds["bigbird_tf"]
        results[task] = {"seconds": seconds, "ratio": ratio, "difference": float(difference)}
        if not is_states:
            # Where two beams are as good as each other, rounding decides which one is found.
            scores = [log_probability(ours, ids, x.astype("int32")) for x in (mine, other)]
            results[task]["score_difference"] = abs(scores[0] - scores[1])
        measuring.print_table(
            f"{task}: {length} in, {new} out, {beams} beams, {layers} + {layers} layers",
            [
                "",
                "s",
                "ratio",
                "largest difference" if is_states else "share of tokens that differ",
            ],
            [
                ["bigbird_tf", seconds["bigbird_tf"], 1.0, ""],
                ["transformers", seconds["transformers"], ratio, f"{difference:.2g}"],
            ],
        )
        # What has been measured stays, if the next is interrupted: it can take minutes.
        if save:
            measuring.write_json("summary", {"expected": work, "results": results})


if __name__ == "__main__":
    typer.run(main)
