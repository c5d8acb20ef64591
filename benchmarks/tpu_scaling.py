"""A train step over chips that are not there: `KERAS_BACKEND=jax python -m benchmarks.tpu_scaling`.

Keras' own train step of models of base size, compiled for one TPU v5e chip and for four and
eight of them, data parallel, with as many sequences a chip. Nothing runs: cycles are what the
compiler estimates of a chip's instructions. It has no estimate of what goes over the links, so that
is counted in bytes, and takes what the data sheet's rate says. Needs the extra `tpu-check`.
"""

import math
import re
import time
from collections import Counter
from typing import Annotated, Any

import keras
import numpy as np
import typer

from benchmarks import hlo_text, measuring
from benchmarks.absent_devices import BACKEND, MEBI, compiled_for, devices_of

CHIPS = {1: "v5e:2x2", 4: "v5e:2x2", 8: "v5e:2x4"}
HERTZ = 0.94e9
# 45 GB/s a link and direction, by the data sheet. In slices so small, a chip has two neighbours or
# three: two are counted.
LINK_BYTES_A_SECOND = 2 * 45e9
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8}
HEADS = (
    "BigBirdForMaskedLM",
    "BigBirdForPreTraining",
    "BigBirdForCausalLM",
    "BigBirdForSequenceClassification",
    "BigBirdForTokenClassification",
    "BigBirdForMultipleChoice",
    "BigBirdForQuestionAnswering",
    "BigBirdPegasusForConditionalGeneration",
)
WRITTEN = 256


def batch_of(head: str, length: int, size: int) -> tuple:
    """Returns a batch for `train_step`, of zeros: its shapes are what counts."""

    def zeros(*shape: int, dtype: str = "int32") -> np.ndarray:
        return np.zeros((size, *shape), dtype)

    shape = (2, length // 2) if head.endswith("MultipleChoice") else (length,)
    inputs = {"input_ids": zeros(*shape), "attention_mask": zeros(*shape)}
    weights = zeros(*shape, dtype="float32")
    if head.endswith("ForPreTraining"):
        names = "prediction_logits", "seq_relationship_logits"
        of_pairs = zeros(dtype="float32")
        labels = dict(zip(names, (zeros(*shape), zeros()), strict=True))
        return inputs, labels, dict(zip(names, (weights, of_pairs), strict=True))
    if head.endswith("ForQuestionAnswering"):
        return inputs, {"start_logits": zeros(), "end_logits": zeros()}
    if head.endswith("ForConditionalGeneration"):
        return inputs, zeros(WRITTEN)
    if head.endswith(("MaskedLM", "CausalLM", "TokenClassification")):
        return inputs, zeros(*shape), weights
    return inputs, zeros()


def make_model(
    head: str, length: int, layers: int, dtype: str, batch: tuple, **fields: Any
) -> keras.Model:
    """Returns a model of base size, or with other fields, compiled with its defaults and built."""
    import bigbird_tf as bb

    cls = getattr(bb, head)
    # Without dropout, whose random numbers stay on a chip.
    rates = ("dropout", "attention_dropout", "activation_dropout", "classifier_dropout")
    if "Pegasus" not in head:
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    sizes: dict[str, Any] = {**dict.fromkeys(rates, 0.0), "max_position_embeddings": length}
    if "Pegasus" in head:
        sizes |= {"d_model": 768, "encoder_layers": layers, "decoder_layers": layers}
        sizes |= {"encoder_attention_heads": 12, "decoder_attention_heads": 12}
        sizes |= {"encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
    else:
        sizes["num_hidden_layers"] = layers
    if head.endswith("CausalLM"):
        sizes |= {"is_decoder": True, "causal_attention_type": "block_sparse"}
    model = cls(cls.config_class(**sizes | fields), dtype=dtype)
    model.compile()
    model._symbolic_build(data_batch=batch)
    model.optimizer.build(model.trainable_variables)
    return model


def compiled_step(model: keras.Model, batch: tuple, chips: int):
    """Returns Keras' train step of a model, compiled for chips that share out the batch."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    devices = np.array(devices_of("tpu", CHIPS[chips])[:chips])
    names = np.array([f"tpu:{number}" for number in range(chips)])
    mesh = keras.distribution.DeviceMesh((chips,), ["batch"], names)
    mesh._backend_mesh = jax.sharding.Mesh(devices, mesh.axis_names)
    distribution = keras.distribution.DataParallel(device_mesh=mesh, auto_shard_dataset=False)

    def struct(value, *spec):
        sharding = NamedSharding(mesh.backend_mesh, PartitionSpec(*spec))
        return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)

    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([struct(variable.value) for variable in part] for part in variables)
    data = jax.tree.map(lambda value: struct(value, "batch"), batch)
    outputs = None, jax.tree.map(lambda x: x.sharding, state)
    with distribution.scope():
        return compiled_for(
            "tpu", model.train_step, (state, data), donate_argnums=0, out_shardings=outputs
        )


def bytes_of(kind: str) -> list[int]:
    """Returns the bytes of the parts of a program's type, such as `(f32[2,3]{1,0}, bf16[4])`."""
    return [
        BYTES.get(name, 4) * math.prod(int(size) for size in sizes.split(",") if size)
        for name, sizes in re.findall(r"(\w+)\[([\d,]*)\]", kind)
    ]


def collectives(text: str) -> dict[str, dict[str, float]]:
    """Returns what goes over the links by its operation: how many, MiB, and MiB of the largest."""
    counts: Counter = Counter()
    sizes: dict[str, list[int]] = {}
    by_name, _ = hlo_text.computations(text)
    for instructions in by_name.values():
        for instruction in instructions:
            name = instruction.opcode.removesuffix("-start")
            if name in COLLECTIVES:
                counts[name] += 1
                parts = bytes_of(instruction.type)
                # One that only starts gives its operand, and then what comes out of it.
                is_start = instruction.opcode.endswith("-start") and name != "all-reduce"
                sizes.setdefault(name, []).append(parts[-1] if is_start else sum(parts))
    return {
        name: {
            "count": counts[name],
            "mib": sum(sizes[name]) / MEBI,
            "largest_mib": max(sizes[name]) / MEBI,
        }
        for name in counts
    }


def measure(
    head: str, length: int, layers: int, a_chip: int, dtype: str, chips: list[int], **fields: Any
) -> dict[int, dict[str, Any]]:
    """Compiles a head's step for each number of chips."""
    model = make_model(head, length, layers, dtype, batch_of(head, length, 2), **fields)
    found = {}
    for count in chips:
        start = time.perf_counter()
        compiled = compiled_step(model, batch_of(head, length, a_chip * count), count)
        text = compiled.as_text()
        moved = collectives(text)
        # In a ring each byte of a sum goes out twice, but for a share.
        out = 2 * (1 - 1 / count) * sum(of["mib"] for of in moved.values()) * MEBI
        found[count] = {
            "cycles": hlo_text.cycles(text) / 1e6,
            "link_cycles": out / LINK_BYTES_A_SECOND * HERTZ / 1e6,
            "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / MEBI,
            "collectives": moved,
            "seconds": time.perf_counter() - start,
        }
    return found


def report(head: str, found: dict[int, dict]) -> None:
    """Prints a head's table: efficiency is against one chip, with nothing on the links hidden."""
    first = next(iter(found.values()))
    rows = []
    for count, one in found.items():
        whole = one["cycles"] + one["link_cycles"]
        moved = ", ".join(
            f"{of['count']} {name} ({of['mib']:,.0f} MiB)"
            for name, of in sorted(one["collectives"].items())
        )
        efficiency = (first["cycles"] + first["link_cycles"]) / whole
        rows.append(
            [
                count,
                f"{one['cycles']:,.1f}",
                f"{one['link_cycles']:,.1f}",
                f"{efficiency:.3f}",
                f"{one['temporary_mib']:,.0f}",
                moved,
                f"{one['seconds']:.0f}",
            ]
        )
    columns = ["chips", "cycles, M", "links, M", "efficiency", "temporaries, MiB", "moved"]
    measuring.print_table(head, [*columns, "took, s"], rows)


def main(
    heads: Annotated[str, typer.Option(help="With commas between.")] = ",".join(HEADS),
    chips: Annotated[str, typer.Option(help="1, 4 or 8, with commas between.")] = "1,4,8",
    length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 4096,
    layers: Annotated[int, typer.Option(help="Blocks of each stack.")] = 12,
    a_chip: Annotated[int, typer.Option(help="Sequences on each chip.")] = 1,
    dtype: Annotated[str, typer.Option(help="Dtype policy.")] = "mixed_bfloat16",
    rematerialised: Annotated[
        bool, typer.Option(help="Blocks keep their inputs alone. It doubles the compiler's time.")
    ] = False,
) -> None:
    """Compiles train steps for one chip and several."""
    if BACKEND != "jax":
        raise typer.BadParameter("It compiles Keras' step on JAX: set KERAS_BACKEND=jax")
    results = {}
    for head in heads.split(","):
        counts = [int(part) for part in chips.split(",")]
        results[head] = measure(
            head, length, layers, a_chip, dtype, counts, gradient_checkpointing=rematerialised
        )
        report(head, results[head])
        name = f"tpu_scaling_{dtype}_{layers}layers_{a_chip}x{length}"
        # What has been compiled stays, if the next is interrupted: it takes minutes.
        measuring.write_json(name, {"a_chip": a_chip, "results": results})


if __name__ == "__main__":
    typer.run(main)
