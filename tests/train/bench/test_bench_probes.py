"""`esarm bench probes`: probes read what is there, and nothing where nothing is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from train.bench.probes import Labelled, bench_probes, probe, render
from train.cli import main


def planted(rng: np.random.Generator, *, ring: bool) -> tuple[Labelled, Labelled]:
    """Return 300 inputs to learn from and 200 to name: two classes, by side or by radius."""
    found = []
    for n in (300, 200):
        labels = rng.integers(0, 2, n)
        rows = rng.normal(size=(n, 2))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows * (1 + 2 * labels[:, None]) if ring else rows + 3 * labels[:, None]
        found.append(Labelled(list(rows[:, None]), list(labels[:, None])))
    return found[0], found[1]


def test_a_linear_probe_reads_a_side_and_no_radius(rng: np.random.Generator) -> None:
    """Both kinds of probes are in the table, because a stream may hide from one of them."""
    learned, measured = planted(rng, ring=False)
    assert probe(learned, measured).mean() > 0.95
    learned, measured = planted(rng, ring=True)
    assert probe(learned, measured).mean() < 0.65
    assert probe(learned, measured, hidden=64).mean() > 0.95


def test_a_probe_of_noise_stays_at_chance(rng: np.random.Generator) -> None:
    """Measured where it was trained, it would read 100 % out of nothing."""
    learned = Labelled(list(rng.normal(size=(200, 1, 40))), list(rng.integers(0, 4, (200, 1))))
    measured = Labelled(list(rng.normal(size=(400, 1, 40))), list(rng.integers(0, 4, (400, 1))))
    assert probe(learned, measured, hidden=64).mean() < 0.35
    assert probe(learned, learned, hidden=64).mean() > 0.9


def test_the_command_measures_a_run(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of recordings nobody knows the phones: the table is of emotion alone."""
    note = tmp_path / "probes.json"
    main(["bench", "probes", "--run", str(finished_run), "--json", str(note)])
    figures = json.loads(note.read_text())
    asked = [(row["what"], row["of"]) for row in figures["rows"]]
    assert asked == [("emotion", "content"), ("emotion", "emotion")]
    assert figures["split"] == "validation"
    for row in figures["rows"]:
        for mean, low, high in (row["linear"], row["mlp"]):
            assert 0 <= low <= mean <= high <= 1
    assert "| emotion | content stream |" in capsys.readouterr().out
    assert not figures["synthetic"]


def test_a_run_without_an_encoder_has_nothing_to_probe() -> None:
    """In one line, not by a missing attribute."""
    from esarm_env.core.shipped import shipped_run
    from esarm_env.task.opening import find_speech_encoder

    if find_speech_encoder(shipped_run()) is not None:
        pytest.skip("the shipped run has a speech encoder")
    with pytest.raises(InputError, match="must have a speech encoder to probe, got none"):
        bench_probes(shipped_run())


def test_the_table_says_what_it_is_of() -> None:
    """Synthetic figures must not be taken for recordings'."""
    row = {"what": "emotion", "of": "content", "linear": [0.2, 0.1, 0.3], "mlp": [0.25, 0.2, 0.3]}
    figures = {
        "corpus": "synthetic-mead", "synthetic": True, "split": "validation", "utterances": 200,
        "voice": [0.7, 0.6, 0.8], "rows": [{**row, "chance": 0.125}],
    }  # fmt: skip
    table = render(figures)
    assert table.startswith("200 validation utterances of synthetic-mead (synthetic), 95 %")
    assert "| emotion | content stream | 20% [10%, 30%] | 25% [20%, 30%] | 12% |" in table
    assert table.endswith("The encoder itself names the emotion of 70% [60%, 80%].")
