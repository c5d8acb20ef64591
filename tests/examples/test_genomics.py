"""The example of genomics: its data and measures by hand, and all of it in miniature."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import bigbird_tf as bb
from bigbird_tf.preprocessing.genomics import Interval, read_bed
from examples.genomics import coding, language_model, motifs, sources
from examples.genomics.run import app
from examples.genomics.sources import Locus

GENBANK = """LOCUS       {name}               {length} bp    DNA     linear   UNK
DEFINITION  A locus.
FEATURES             Location/Qualifiers
     source          1..{length}
     CDS             {first}
                     /gene="a"
     CDS             {second}
                     /gene="b"
ORIGIN
{lines}
//
"""


def write_genbank(path, count=12, length=900):
    """Loci whose genes are rich in G and C, on either strand."""
    rng = np.random.default_rng(3)
    records = []
    for number in range(count):
        letters = rng.choice(list("acgt"), length)
        for start, end in ((99, 400), (550, 850)):
            letters[start:end] = rng.choice(list("agcgct"), end - start)
        text = "".join(letters)
        lines = "\n".join(f"{i + 1:>9} {text[i : i + 60]}" for i in range(0, length, 60))
        made = {"first": "100..400", "second": "complement(551..850)", "lines": lines}
        records.append(GENBANK.format(name=f"locus{number}", length=length, **made))
    path.write_text("".join(records))
    return path


@pytest.fixture(scope="module")
def genbank(tmp_path_factory):
    pytest.importorskip("Bio")
    return write_genbank(tmp_path_factory.mktemp("loci") / "loci.gbk")


def test_the_phage():
    pytest.importorskip("pyfaidx")
    [sequence] = sources.read_genome(sources.LAMBDA)
    assert len(sequence) == 48502
    assert sequence.startswith("GGGCGGCGACCTCGCGGGTTTTCGC")
    assert set(sequence) <= set("ACGTN")


def test_loci(genbank):
    loci = sources.read_loci(genbank)
    assert len(loci) == 12
    assert len(loci[0].sequence) == 900
    expected = [(99, 400, "CDS", 0, "+"), (550, 850, "CDS", 0, "-")]
    assert [gene[1:] for gene in loci[0].genes] == expected
    train, test = sources.split(locus.name for locus in loci)
    assert train
    assert test
    assert {*train, *test} == {locus.name for locus in loci}


def test_a_package_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="Install the package no-such-package-of-mine"):
        sources.find(("no-such-package-of-mine", "usr/share/x.fa"), tmp_path)


def test_the_other_strand():
    locus = Locus(
        "x", "AACCCGT", (Interval("x", 2, 5, "CDS", 0, "+"), Interval("x", 5, 7, "CDS", 0, "-"))
    )
    turned = coding.turn(locus)
    assert turned.sequence == "ACGGGTT"
    assert [gene[1:] for gene in turned.genes] == [(0, 2, "CDS", 0, "+"), (2, 5, "CDS", 0, "-")]
    assert coding.turn(turned) == Locus("x", locus.sequence, tuple(sorted(locus.genes)))


def test_scores_by_hand():
    locus = Locus(
        "x", "A" * 10, (Interval("x", 0, 4, "CDS", 0, "+"), Interval("x", 4, 6, "CDS", 0, "-"))
    )
    found = [
        Interval("x", 0, 3, "CDS", 0, "+"),
        Interval("x", 3, 5, "CDS", 0, "-"),
        Interval("x", 9, 10, "CDS", 0, "-"),
    ]
    # Of six coding bases four are found, on their strand; of four others three.
    assert coding.score([locus], [found]) == {
        "bases": 70.0,
        "coding": 66.7,
        "not coding": 75.0,
        "mean of both": 70.8,
    }


def test_markov_models():
    """Each order by hand, and on what it can know exactly."""
    found = language_model.markov_bits(["ACGT" * 500], ["ACGT" * 50], (0, 1, 2))
    assert abs(found[0] - 2) < 1e-6
    # Both strands are the same; the first base alone has nothing before it.
    assert found[1] < 0.03
    rng = np.random.default_rng(3)
    letters = "".join(rng.choice(list("ACGT"), 40_000, p=[0.4, 0.1, 0.1, 0.4]))
    found = language_model.markov_bits([letters[:36_000]], [letters[36_000:]], (0, 8))
    entropy = -2 * (0.4 * np.log2(0.4) + 0.1 * np.log2(0.1))
    assert abs(found[0] - entropy) < 0.02
    # Contexts that were seldom seen say little, and do no harm.
    assert found[8] < 2.0
    assert language_model.markov_bits(["ACGT"], ["NNA"], (0,))[0] == pytest.approx(2.0)


def test_bits_per_base_of_a_model_that_knows_nothing():
    """Logits of 0: each of the vocabulary's pieces is as likely as the others."""
    tokenizer = bb.DnaTokenizer(k=3)
    config = language_model.make_config(tokenizer, 64, hidden_size=8, block_size=8)
    model = bb.BigBirdForMaskedLM(config)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    text = "ACG" * 60
    bits = language_model.bits_per_base(model, tokenizer, [text], 64)
    assert bits == pytest.approx(np.log2(tokenizer.vocab_size) / 3, rel=1e-5)


def test_planted_pairs():
    forms = motifs.make_motifs(3, 24)
    background = ["A" * 5000, "C" * 900]
    texts, labels, nearest = motifs.plant(background, 80, 300, forms, 5)
    assert {len(text) for text in texts} == {1800}
    for text, (left, right, match) in zip(texts, labels, strict=True):
        places = [text.find(forms[side][int(form)]) for side, form in ((0, left), (1, right))]
        assert places[0] >= 0
        assert places[1] - places[0] - 6 * 24 >= nearest > 1000
        assert all(place % 6 == 0 for place in places)
        assert match == (left == right)
        # The other forms are not there.
        assert text.find(forms[0][1 - int(left)]) == text.find(forms[1][1 - int(right)]) == -1
    assert 0.3 < labels[:, 2].mean() < 0.7
    assert [len(part) for part in motifs.cut(texts, 102)[0]] == [600, 600, 600]


@pytest.mark.slow
def test_all_of_it_in_miniature(genbank, tmp_path):
    """All parts run, and distance is read where windows can only guess."""
    pytest.importorskip("pyfaidx")
    arguments = ["all", "--quick", "--output", tmp_path, "--genbank", genbank]
    done = CliRunner().invoke(
        app, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"language", "coding", "motifs"}
    for bits in results["language"]["bits a base"].values():
        assert 1.0 < bits < 4.0
    names = {interval.name for interval in read_bed(tmp_path / "annotated.bed")}
    assert names == {"CDS"}
    read_bed(tmp_path / "found.bed")
    assert (tmp_path / "results.png").stat().st_size > 10_000
    whole, windows = (results["motifs"][name] for name in ("whole", "windows"))
    assert whole["match"] > 90
    assert windows["left form"] > 90
    assert 25 < windows["match"] < 75


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*start from fresh weights")
def test_a_checkpoint_of_gena_s_shape(genbank, tmp_path):
    """Its vocabulary, its weights and its names of files; fine-tuned, saved and loaded again."""
    pytest.importorskip("tokenizers")
    arguments = ["coding", "--quick", "--checkpoint", "gena", "--output", tmp_path]
    arguments += ["--genbank", genbank, "--minutes", "0.1"]
    done = CliRunner().invoke(
        app, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    tokenizer = bb.Tokenizer.from_pretrained(tmp_path / "model")
    assert type(tokenizer) is bb.FastTokenizer
    assert tokenizer.pad_token_id == 3
    model = bb.BigBirdForTokenClassification.from_pretrained(tmp_path / "model")
    [locus, *_] = sources.read_loci(genbank)
    for interval in coding.find_genes(model, tokenizer, locus, 64):
        assert 0 <= interval.start < interval.end <= 900
