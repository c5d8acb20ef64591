"""Reads a compiled program as XLA prints it: what runs, and how often."""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Instruction", "computations", "cycles", "launches", "total", "turns"]

# What a GPU's program lists and does not launch.
_NOT_LAUNCHED = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier"),
    *("while", "call", "conditional", "async-start", "async-update", "async-done", "copy-done"),
    *("partition-id", "replica-id", "domain", "add-dependency"),
}


class Instruction(NamedTuple):
    """A line of a program.

    Attributes:
        name: What others call it.
        type: What it gives.
        opcode: What it does.
        text: The rest of the line, from the operands on.
    """

    name: str
    type: str
    opcode: str
    text: str

    def called(self, attribute: str) -> list[str]:
        """Returns the names of computations in an attribute such as `body`."""
        found = re.search(rf"\b{attribute}=(?:\{{(.*?)\}}|(%?[\w.\-]+))", self.text)
        names = (found[1] or found[2]).split(", ") if found else []
        return [name.lstrip("%") for name in names]


def computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """Returns the instructions of each computation by its name, and the name of the entry."""
    found: dict[str, list[Instruction]] = {}
    entry = current = ""
    for line in text.splitlines():
        header = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if header:
            current = header[2]
            found[current] = []
            entry = current if header[1] else entry
        elif current and (assigned := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*)", line)):
            end = _end_of_type(assigned[2])
            opcode, _, rest = assigned[2][end:].strip().partition("(")
            found[current].append(Instruction(assigned[1], assigned[2][:end], opcode, rest))
    if not entry:
        raise ValueError(f"No `ENTRY` computation. Received: {text[:80]!r}")
    return found, entry


def _end_of_type(text: str) -> int:
    """Returns where a type ends: that of a tuple has blanks and brackets inside."""
    if not text.startswith("("):
        return text.index(" ")
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return position + 1
    raise ValueError(f"A tuple's type without an end. Received: {text[:80]!r}")


def total(text: str, cost: Callable[[Instruction], float]) -> float:
    """Adds up what instructions cost, a loop's as often as it turns.

    Args:
        text: The program.
        cost: Of one instruction, without what it calls. What is fused is one with its fusion.

    Raises:
        ValueError: If it is not known how often a loop turns.
    """
    by_name, entry = computations(text)

    @functools.cache
    def of(name: str) -> float:
        return sum(cost(instruction) + of_called(instruction) for instruction in by_name[name])

    def of_called(instruction: Instruction) -> float:
        called = instruction.called
        match instruction.opcode:
            case "while":
                once = sum(of(name) for name in (*called("body"), *called("condition")))
                return turns(instruction, by_name) * once
            case "call":
                return sum(of(name) for name in called("to_apply"))
            case "async-start":
                return sum(of(name) for name in called("calls"))
            case "conditional":
                names = called("branch_computations")
                names += called("true_computation") + called("false_computation")
                return max(of(name) for name in names)
        return 0

    return of(entry)


def turns(loop: Instruction, by_name: dict[str, list[Instruction]]) -> int:
    """Returns how often a loop turns: as is said of it, or what its counter is compared with."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.text)
    if known:
        return int(known[1])
    (condition,) = loop.called("condition")
    instructions = by_name[condition]
    for instruction in list(instructions):
        for name in instruction.called("calls"):
            instructions = instructions + by_name[name]
    limits = [
        int(found[1])
        for instruction in instructions
        if instruction.opcode == "constant" and (found := re.match(r"(\d+)\)", instruction.text))
    ]
    if len(limits) != 1:
        raise ValueError(
            f"It is not known how often the loop {loop.name!r} turns: its condition has the "
            f"constants {limits}, where one was expected."
        )
    return limits[0]


def cycles(text: str) -> float:
    """Returns the cycles that a TPU's compiler estimates, of one call of the program."""

    def cost(instruction):
        found = re.search(r'"estimated_cycles":"(\d+)"', instruction.text)
        return int(found[1]) if found and instruction.opcode != "while" else 0

    return total(text, cost)


def launches(text: str) -> int:
    """Returns what one call of a GPU's program launches: kernels, libraries' calls and copies."""
    return int(total(text, lambda instruction: instruction.opcode not in _NOT_LAUNCHED))
