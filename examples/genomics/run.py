"""All of it: `python -m examples.genomics.run all --minutes 10`, or one of its parts."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from examples.genomics import coding, gena, language_model, motifs, sources

__all__ = ["app"]

app = typer.Typer(help="DNA: language models, coding intervals, and pairs of motifs.")
CACHE = Path("genomics_data")
# For `--quick`: learns nothing but the pairs, which are near each other.
TINY = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "block_size": 8}
QUICK = {
    "language": {"length": 128, "short": 64, "vocab_size": 64, "tests": 2, "orders": (0, 2)},
    "coding": {"length": 128, "short": 64},
    "motifs": {
        "pieces": 120,
        "motif": 24,
        "window": 62,
        "tests": 64,
        "block_size": 8,
        "max_steps": 200,
    },
}

Minutes = Annotated[float, typer.Option(min=0.01, help="Training time of this part.")]
Output = Annotated[Path, typer.Option(help="The folder to write.")]
Quick = Annotated[bool, typer.Option(help="All of it in miniature.")]
Fasta = Annotated[Path | None, typer.Option(exists=True, help="A genome of your own.")]
Genbank = Annotated[Path | None, typer.Option(exists=True, help="Annotated loci of your own.")]


def _genome(fasta: Path | None, quick: bool) -> list[str]:
    if fasta is None:
        fasta = sources.LAMBDA if quick else sources.find(sources.E_COLI, CACHE)
    return sources.read_genome(fasta)


def _save(output: Path, name: str, results: dict, console: Console) -> None:
    """Writes the results of a part beside those of others, and shows them all."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "results.json"
    everything = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    everything[name] = results
    text = json.dumps(everything, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    console.print(table(name, results))


def table(name: str, results: dict) -> Table:
    """Returns the table of a part."""
    training = results.get("training", {})
    if name == "language":
        made = Table("predicted by", "bits a base", title="held-out sequence")
        for who, value in results["bits a base"].items():
            made.add_row(who, f"{value:.3f}")
    elif name == "motifs":
        made = Table("read as", *motifs.LABELS, title="right answers, %; by chance 50")
        for who in ("whole", "windows"):
            made.add_row(who, *(f"{results[who][label]:.1f}" for label in motifs.LABELS))
        training = results["whole"]["training"]
    else:
        scores = results["bases found, %"]
        made = Table("found by", *next(iter(scores.values())), title="held-out loci, % of bases")
        for who, values in scores.items():
            made.add_row(who, *(f"{value:.1f}" for value in values.values()))
    made.caption = f"{training.get('steps')} steps in {training.get('seconds')} seconds"
    return made


def plot(output: Path) -> Path:
    """Draws what `results.json` of a folder has, and returns the picture's path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    if "language" in results:
        bits = results["language"]["bits a base"]
        bars = left.barh(list(bits), list(bits.values()))
        left.bar_label(bars, fmt="%.3f")
        left.set_xlim(min(bits.values()) - 0.1, max(bits.values()) + 0.06)
        left.locator_params(axis="x", nbins=5)
        left.invert_yaxis()
        left.set_title("Bits a base, held-out sequence\n(fewer is better)")
    if "coding" in results:
        scores = results["coding"]["bases found, %"]
        shares = ("bases", "coding", "not coding")
        _grouped_bars(middle, {who: [of[x] for x in shares] for who, of in scores.items()})
        middle.set_xticks([place + 0.27 for place in range(3)], ["all bases", *shares[1:]])
        middle.set_ylim(0, 135)
        middle.legend(loc="upper right", fontsize="small")
        middle.set_title("Coding or not, and on which strand, held-out loci\n(right bases, %)")
    if "motifs" in results:
        of_motifs = results["motifs"]
        who_reads = ("whole", "windows")
        _grouped_bars(right, {x: [of_motifs[x][y] for y in motifs.LABELS] for x in who_reads})
        right.axhline(50, color="grey", linestyle=":")
        right.set_xticks([place + 0.2 for place in range(len(motifs.LABELS))], motifs.LABELS)
        right.set_ylim(0, 135)
        right.legend(loc="upper right", fontsize="small")
        apart = of_motifs["fewest bases between"]
        right.set_title(f"Two motifs, {apart:,} bases apart or more\n(right answers, %)")
    path = output / "results.png"
    figure.savefig(path, dpi=110)
    return path


def _grouped_bars(axes: Any, values: dict[str, list[float]]) -> None:
    """Draws a bar of each row of values beside those of the others, with its number on it."""
    width = 0.8 / len(values)
    for number, (who, row) in enumerate(values.items()):
        places = [place + width * number for place in range(len(row))]
        axes.bar_label(axes.bar(places, row, width, label=who), fmt="%.0f")


@app.command()
def language(
    minutes: Minutes = 4.0,
    output: Output = Path("genomics_results"),
    fasta: Fasta = None,
    quick: Quick = False,
) -> None:
    """Pre-trains a masked language model; bits per base against Markov models and a short view."""
    options = {**QUICK["language"], **TINY, "max_steps": 3} if quick else {}
    results = language_model.run(_genome(fasta, quick), seconds=60 * minutes, **options)
    _save(output, "language", results, Console())


@app.command("coding")
def coding_intervals(
    minutes: Minutes = 3.0,
    output: Output = Path("genomics_results"),
    genbank: Genbank = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Tokenizer and weights to start from; or `gena`.")
    ] = None,
    quick: Quick = False,
) -> None:
    """Learns coding intervals from annotated loci; BED files of what it finds in others."""
    loci = sources.read_loci(genbank or sources.find(sources.KLEBSIELLA, CACHE))
    options = {**QUICK["coding"], "max_steps": 3} if quick else {}
    with tempfile.TemporaryDirectory() as folder:
        if checkpoint == Path("gena"):
            # Random weights of its shape: published ones are on the hub.
            checkpoint = Path(folder)
            sizes = {"vocab_size": 128, "num_hidden_layers": 1, **TINY} if quick else {}
            gena.write_checkpoint(checkpoint, [locus.sequence for locus in loci], **sizes)
        elif checkpoint is None and quick:
            options |= TINY
        results = coding.run(
            loci, seconds=60 * minutes, checkpoint=checkpoint, output=output, **options
        )
    _save(output, "coding", results, Console())


@app.command("motifs")
def pairs_of_motifs(
    minutes: Minutes = 3.0,
    output: Output = Path("genomics_results"),
    fasta: Fasta = None,
    quick: Quick = False,
) -> None:
    """Learns whether two motifs far apart match: whole sequences against windows."""
    # Half of the time each; a miniature ends by its steps, on any machine.
    seconds, options = (600.0, QUICK["motifs"]) if quick else (30 * minutes, {})
    results = motifs.run(_genome(fasta, quick), seconds=seconds, **options)
    _save(output, "motifs", results, Console())


@app.command("all")
def everything(
    minutes: Annotated[float, typer.Option(min=0.03, help="Training time of all parts.")] = 10.0,
    output: Output = Path("genomics_results"),
    fasta: Fasta = None,
    genbank: Genbank = None,
    quick: Quick = False,
) -> None:
    """Does all three, and draws `results.png`."""
    language(minutes=0.4 * minutes, output=output, fasta=fasta, quick=quick)
    coding_intervals(minutes=0.3 * minutes, output=output, genbank=genbank, quick=quick)
    pairs_of_motifs(minutes=0.3 * minutes, output=output, fasta=fasta, quick=quick)
    Console().print(plot(output))


if __name__ == "__main__":
    app()
