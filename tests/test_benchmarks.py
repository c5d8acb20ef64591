"""The benchmarks run, with every peer, and write what they say they do."""

import json

import pytest

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


def test_attention_with_all_peers(tmp_path, monkeypatch, capsys):
    from benchmarks import attention, measuring
    from benchmarks.attention_peers import MODES, PEERS

    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    # The fewest blocks that `transformers` takes.
    attention.main(lengths="768", batch=1, layers=1, rounds=1)
    path = tmp_path / "attention_float32_batch1.json"
    seconds = json.loads(path.read_text())["seconds"]
    assert set(seconds) == set(MODES)
    for mode, by_length in seconds.items():
        peers = {name for name, peer in PEERS.items() if mode in peer.modes}
        assert set(by_length["768"]) == {*peers, attention.ARITHMETIC}
        assert min(by_length["768"].values()) > 0
    # Every row says its share of the arithmetic: of the arithmetic itself, all of it.
    assert capsys.readouterr().out.count(f"| {attention.ARITHMETIC} |") == len(MODES)
    assert path.with_suffix(".png").stat().st_size > 0


def test_memory_in_processes_of_their_own(tmp_path, monkeypatch):
    from benchmarks import measuring, memory

    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    peer = "bigbird_tf"
    memory.main(lengths="768", layers=1, rounds=1, peers=peer)
    path = tmp_path / "memory_float32_1layers_batch1.json"
    results = json.loads(path.read_text())["results"]
    for mode in ("forward", "step"):
        assert results[mode]["768"][peer]["peak_mib"] > results[mode]["768"][peer]["extra_mib"] >= 0


def test_share_of_the_arithmetic():
    from benchmarks import attention

    seconds = {attention.OURS: 0.020, "peer": 0.050, attention.ARITHMETIC: 0.005}
    table = attention.markdown("forward", {4096: seconds, 8192: seconds})
    assert table.splitlines()[0] == "| forward | 4096 | 8192 |"
    assert "| peer | 50 (2.50, 10%) | 50 (2.50, 10%) |" in table
    assert f"| {attention.ARITHMETIC} | 5.0 (0.25, 100%) |" in table


def test_flex_attention_reads_the_blocks_of_our_pattern():
    """Where no row lists a block twice, which flex cannot say, both are one function."""
    import numpy as np
    import tensorflow as tf
    import torch

    from benchmarks import attention_peers as peers
    from bigbird_tf import BlockPattern

    length, outputs = 13 * 64, []
    mask = BlockPattern.build(length // 64, 12).to_dense_mask()
    assert mask.max() == 1
    assert mask.min() == 0
    given = peers._arrays(2, 12, length, 64)[:3]

    def capture(attention, *options, **_):
        outputs.append(np.asarray(attention(*(convert(x) for x in given))))
        return {"forward": None}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "_torch_modes", capture)
        patch.setattr(peers, "_tensorflow_modes", capture)
        convert = torch.tensor
        peers.torch_flex(length, 2, "float32", 1)
        convert = tf.constant
        peers.ours(length, 2, "float32", 1)
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-5)


def test_full_attention_of_the_peers_is_one_function():
    import numpy as np

    from benchmarks import attention_peers as peers

    outputs = []

    def capture(attention, *options, **_):
        query, key, value, _ = peers._arrays(*shape)
        outputs.append(attention(*(convert(x) for x in (query, key, value))))

    import tensorflow as tf
    import torch

    layout = {"torch": (2, 12, 64, 64), "tensorflow": (2, 64, 12, 64)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "_torch_modes", capture)
        patch.setattr(peers, "_tensorflow_modes", capture)
        patch.setattr(peers, "_arrays", lambda *_: list(given))
        rng = np.random.default_rng(0)
        given = [rng.normal(size=layout["torch"]).astype("float32") for _ in range(4)]
        shape, convert = layout["torch"], torch.tensor
        peers.transformers_full(64, 2, "float32", 1)
        given = [x.transpose(0, 2, 1, 3) for x in given]
        shape, convert = layout["tensorflow"], tf.constant
        peers.keras_full(64, 2, "float32", 1)
    theirs, keras = (np.asarray(x) for x in outputs)
    np.testing.assert_allclose(theirs, keras.transpose(0, 2, 1, 3), rtol=0, atol=1e-5)


def test_causal_attention_of_the_peers_is_one_function():
    """Of four blocks, the pattern reads all that is before; of padding, torch knows none."""
    import numpy as np
    import tensorflow as tf
    import torch

    from benchmarks import attention_peers as peers

    outputs, length = [], 4 * peers.BLOCK
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(2, 12, length, 64)).astype("float32") for _ in range(3)]

    def capture(attention, *_):
        outputs.append(np.asarray(attention(*(convert(x) for x in given))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "_torch_modes", capture)
        patch.setattr(peers, "_tensorflow_modes", capture)
        for name, peer in peers.CAUSAL_PEERS.items():
            convert = tf.constant if name.startswith("bigbird_tf") else torch.tensor
            peer.build(length, 2, "float32", 1)
    first, *others = (x[:, :, : length - 13] for x in outputs)
    assert len(others) == 2
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=1e-5)


def test_decoding_with_all_peers(tmp_path, monkeypatch):
    from benchmarks import decoding, measuring

    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    decoding.main(lengths="512", layers=1, rounds=1, longest_peer=512)
    seconds = json.loads((tmp_path / "decoding.json").read_text())["seconds"]
    assert set(seconds["forward+backward"]["512"]) == {*decoding.CAUSAL_PEERS, decoding.ARITHMETIC}
    assert set(seconds["generation"]) == {"500", "512"}
    assert len(seconds["generation"]["512"]) == 2
    assert all(x > 0 for found in seconds.values() for y in found.values() for x in y.values())


def test_peers_of_both_constructions(monkeypatch):
    """Each is what its name says, and runs."""
    from benchmarks import constructions, model, peer_process
    from bigbird_tf import BigBirdConfig

    small = {"vocab_size": 97, "hidden_size": 12, "intermediate_size": 8, "num_attention_heads": 2}
    made = []

    def small_config(**fields):
        made.append(BigBirdConfig(**{**fields, **small}))
        return made[-1]

    monkeypatch.setattr(peer_process, "VOCABULARY", small["vocab_size"])
    monkeypatch.setattr("bigbird_tf.BigBirdConfig", small_config)
    for peer in constructions.PEERS.split(","):
        work = peer_process.PEERS[peer]("forward", 1, 768, 1, "float32")
        work.run()
        assert (made[-1].construction == "etc") == ("ETC" in peer)
        assert (made[-1].position_embedding_type == "relative") == ("relative" in peer)
    asked = []
    monkeypatch.setattr(model, "main", lambda **given: asked.append(given))
    constructions.main(lengths="768", layers=1, rounds=1)
    assert asked[0]["peers"] == constructions.PEERS


def test_processor_time_of_an_import():
    from benchmarks import import_time

    assert import_time.processor_seconds(import_time.ROOT, "-c", "sum(range(10**6))") > 0


def test_summary_beside_transformers(tmp_path, monkeypatch, capsys):
    """Both do the same work: states are equal, and summaries are as good."""
    from benchmarks import measuring, summary

    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    summary.main(
        length=768, new=5, beams=3, layers=1, width=32, heads=2, vocab=97, rounds=1, save=True
    )
    results = json.loads((tmp_path / "summary.json").read_text())["results"]
    assert results["encoder"]["difference"] < 1e-4
    # Of two beams that are alike but for rounding each may find another one.
    assert results["summary"]["score_difference"] < 1e-3
    for of_task in results.values():
        seconds = of_task["seconds"]
        assert of_task["ratio"] == seconds["transformers"] / seconds["bigbird_tf"]


def test_log_probability_of_a_summary():
    """Of one step after the other, by hand."""
    import numpy as np

    from benchmarks import summary

    class Steps:
        class config:
            decoder_start_token_id = 2

        def __call__(self, inputs):
            assert inputs["input_ids"] == "ids"
            assert inputs["decoder_input_ids"].tolist() == [[2, 1]]
            return np.log([[[0.25, 0.5, 0.25], [0.125, 0.125, 0.75]]])

    found = summary.log_probability(Steps(), "ids", np.array([[1, 0]]))
    assert found == pytest.approx(np.log(0.5 * 0.125))


def test_expected_work_of_a_summary():
    from benchmarks import summary

    found = summary.expected(width=8, inner=16, layers=3, vocab=100, length=50, beams=5)
    # Of a block 6 matrices of 8 x 8 and two of 8 x 16; keys and values of 50 tokens.
    weights, document = 3 * (6 * 64 + 2 * 128) + 800, 3 * 2 * 50 * 8
    assert found["step_mb"] == pytest.approx(4e-6 * (weights + document))
    assert found["step_mb_transformers"] == pytest.approx(4e-6 * (weights + 15 * document))
    assert found["encoder_dense_gflop"] == pytest.approx(2e-9 * 50 * 3 * (4 * 64 + 2 * 128))


def test_answers_of_both_constructions(monkeypatch):
    from benchmarks import construction_answers
    from examples.docs_qa import pages, train
    from tests.examples.help_pages import library

    tiny = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 8, "block_size": 4}
    build = train.build_model
    monkeypatch.setattr(pages, "load_pages", lambda *_, **__: (library(), 0))
    monkeypatch.setattr(
        train,
        "build_model",
        lambda *given, **fields: build(*given, **{**fields, **tiny, "num_hidden_layers": 3}),
    )
    found = construction_answers.compare(0.01, 256, 2, 0.0)
    assert set(found) == set(construction_answers.CONSTRUCTIONS)
    for of_construction in found.values():
        assert 0 <= of_construction["answers"]["all"]["f1"] <= 100
        assert all(steps >= 1 for steps in of_construction["steps"].values())
