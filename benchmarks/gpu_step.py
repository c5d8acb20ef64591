"""A training step of the base model on a GPU beside PyTorch's: `python -m benchmarks.gpu_step`.

With KERAS_BACKEND=jax, on a machine with a GPU, JAX and PyTorch. Masked LM with AdamW and dropout,
matrix products in bfloat16, weights and moments in float32. `--curve FILE` trains a float32 model
for 20 steps instead and writes its losses: run it with `JAX_PLATFORMS=cpu` and on the GPU, and
compare.
"""

import gc
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks import measuring

VOCABULARY, MASK, SHARE = 50358, 67, 0.15
TOKENS = 16384


def batches(count: int, batch: int, length: int, seed: int = 0) -> list[tuple[dict, np.ndarray]]:
    """Returns batches of masked LM: Zipf's words, the last tenth of each sequence is padding."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        ids = np.minimum(rng.zipf(1.3, (batch, length)) + 100, VOCABULARY - 1).astype("int32")
        mask = np.ones((batch, length), "int32")
        mask[:, length - length // 10 :] = 0
        is_masked = (rng.random(ids.shape) < SHARE) & (mask > 0)
        labels = np.where(is_masked, ids, -100).astype("int32")
        inputs = {"input_ids": np.where(is_masked, MASK, ids), "attention_mask": mask}
        made.append((inputs, labels))
    return made


def our_model(length: int, policy: str, **settings):
    """Returns our base model, or one with other settings, compiled."""
    import keras

    import bigbird_tf as bb

    keras.utils.set_random_seed(0)
    config = bb.BigBirdConfig(max_position_embeddings=max(4096, length), **settings)
    model = bb.BigBirdForMaskedLM(config, dtype=policy)
    model.compile(optimizer=keras.optimizers.AdamW(1e-4))
    return model


def ours(batch: int, length: int, **settings) -> Callable:
    """A step of `fit`'s training function."""
    import jax

    model = our_model(length, "mixed_bfloat16", **settings)
    data = batches(1, batch, length)[0]
    model.train_on_batch(*data)
    model.make_train_function()
    state = model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
        purge_model_variables=True,
    )
    data = jax.device_put(data)
    box = [state]

    def step():
        logs, box[0] = model.train_function(box[0], iter([data]))
        return logs

    return step


def _torch_step(model, batch: int, length: int) -> Callable:
    import torch

    inputs, labels = batches(1, batch, length)[0]
    inputs = {name: torch.tensor(x).long().cuda() for name, x in inputs.items()}
    labels = torch.tensor(labels).long().cuda()
    model = model.cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(**inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        return loss

    return step


def transformers_big_bird(batch: int, length: int) -> Callable:
    """`transformers` BigBird."""
    from transformers import BigBirdConfig, BigBirdForMaskedLM

    config = BigBirdConfig(max_position_embeddings=max(4096, length))
    return _torch_step(BigBirdForMaskedLM(config), batch, length)


def full_attention(batch: int, length: int, compiled: bool = False) -> Callable:
    """BERT of the same size with PyTorch's fused full attention."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=VOCABULARY, max_position_embeddings=length, attn_implementation="sdpa"
    )
    model = BertForMaskedLM(config)
    return _torch_step(torch.compile(model) if compiled else model, batch, length)


PEERS = {
    "bigbird_tf": ours,
    "transformers BigBird": transformers_big_bird,
    "torch, full attention": full_attention,
    "torch, full attention, compiled": lambda *a: full_attention(*a, compiled=True),
}


def curve(path: Path, length: int = 768, batch: int = 1, steps: int = 20, **settings) -> None:
    """Writes the losses of the first steps in float32."""
    import jax

    jax.config.update("jax_default_matmul_precision", "highest")
    model = our_model(length, "float32", **settings)
    logs = [model.train_on_batch(*x, return_dict=True) for x in batches(steps, batch, length)]
    losses = [float(x["loss"]) for x in logs]
    path.write_text(json.dumps({"device": str(jax.devices()[0]), "losses": losses}) + "\n")
    print(losses)


def main(
    lengths: Annotated[str, typer.Option(help="Lengths, with commas between.")] = "4096,16384",
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.")] = 5,
    calls: Annotated[int, typer.Option(help="Steps of a round.")] = 5,
    losses: Annotated[Path | None, typer.Option("--curve", help="Write losses here.")] = None,
) -> None:
    """Times training steps on a GPU, 16,384 tokens each."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if losses:
        return curve(losses)
    import jax
    import torch

    results: dict[int, dict] = {}
    for length in [int(part) for part in lengths.split(",")]:
        batch = TOKENS // length
        results[length] = {}
        for name, build in PEERS.items():
            start = time.perf_counter()
            try:
                step = build(batch, length)
                jax.block_until_ready(step())
                torch.cuda.synchronize()
                first, times = time.perf_counter() - start, []
                for _ in range(rounds):
                    start = time.perf_counter()
                    for _ in range(calls):
                        result = step()
                    jax.block_until_ready(result)
                    torch.cuda.synchronize()
                    times.append((time.perf_counter() - start) / calls)
            except Exception as error:
                print(f"{name} at {length}: {type(error).__name__}: {str(error)[:300]}", flush=True)
                continue
            finally:
                step = None
                gc.collect()
                jax.clear_caches()
                torch.cuda.empty_cache()
            found = statistics.median(times)
            results[length][name] = {"seconds": found, "first": first}
            print(f"{name} at {length}: {found * 1e3:.1f} ms, first {first:.0f} s", flush=True)
        base = results[length].get("bigbird_tf", {"seconds": float("nan")})["seconds"]
        measuring.print_table(
            f"training step, {batch} sequences of {length}, bfloat16",
            ["", "ms", "tokens a second", "ratio to ours"],
            [
                [name, x["seconds"] * 1e3, f"{TOKENS / x['seconds']:,.0f}", x["seconds"] / base]
                for name, x in results[length].items()
            ],
        )
    device = torch.cuda.get_device_name()
    print(f"Wrote {measuring.write_json('gpu_step', {'device': device, 'steps': results})}")
    return None


if __name__ == "__main__":
    typer.run(main)
