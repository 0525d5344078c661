"""`esarm bench prior`: what priors of several settings keep and cost."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus
from esarm_env.tokenizer import VQMotionTokenizer, load_tokenizer
from train.bench import prior as bench
from train.bench.prior import bench_prior, code_use, floor_of
from train.cli import main

SMALL = "epochs=1 steps_per_epoch=3 batch_crops=4 crop_chunks=4 hidden=8 code_dim=4 n_tokens=8"
ONE = f"{SMALL} mouth_codebooks=1 upper_codebooks=1 frames_per_chunk=4"
THREE = f"{SMALL} mouth_codebooks=3 upper_codebooks=2 frames_per_chunk=2 quantiser=fsq"


def test_a_sweep_measures_each_setting_and_trains_it_once(
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A sweep takes an hour; an interrupt, or one more setting, must not take another."""
    trained: list[Any] = []
    train = bench.train_tokenizer

    def counted(*args: Any, **kwargs: Any) -> VQMotionTokenizer:
        trained.append(kwargs["config"])
        return train(*args, **kwargs)

    monkeypatch.setattr(bench, "train_tokenizer", counted)
    out = tmp_path / "sweep"
    command = ["bench", "prior", "--run", str(finished_run), "--out", str(out), "--sweep", ONE]
    main(command)
    assert len(trained) == 1
    main([*command, "--sweep", THREE, "--json", str(tmp_path / "prior.json")])
    assert len(trained) == 2, "the first is kept"
    assert (trained[1].mouth_codebooks, trained[1].upper_codebooks) == (3, 2)
    figures = json.loads((tmp_path / "prior.json").read_text())
    assert figures == json.loads((out / "prior.json").read_text())
    assert figures["synthetic"] is False
    one, three = figures["rows"]
    assert (one["setting"], three["setting"]) == (ONE, THREE)
    assert (one["tokens_per_s"], three["tokens_per_s"]) == (15, 75)
    assert one["bits_per_s"] == 45
    assert (len(one["used"]), len(three["perplexity"])) == (2, 5)
    for row in (one, three):
        assert row["lve_mm"] > 0 < row["eve_mm"]
        assert 0 < min(row["used"]) <= max(row["used"]) <= 1
        assert 1 <= min(row["perplexity"]) <= max(row["perplexity"]) <= 8
        home = next(path.parent for path in out.glob("*/figures.json") if path.is_file())
        assert load_tokenizer(home / "tokenizer.safetensors").n_tokens == 8
    table = (out / "prior.md").read_text()
    assert table.strip() in capsys.readouterr().out
    header, rule, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in (header, rule, *rows)} == {11}
    assert f"| {THREE} | 75 | 225 | {three['lve_mm']:.2f} | {three['eve_mm']:.2f} |" in rows[1]
    main(command)
    assert len(trained) == 2


def test_figures_are_those_of_the_validation_split(
    tiny_tokenizer: VQMotionTokenizer, tiny_corpus: Corpus
) -> None:
    """A setting chosen on the test split is not worth its figure."""
    floor = floor_of(tiny_tokenizer, tiny_corpus, "validation")
    assert floor["utterances"] == len(tiny_corpus.split("validation")) == 2
    again = floor_of(tiny_tokenizer, tiny_corpus, "test")
    assert again["lve_mm"] != floor["lve_mm"]
    assert 0 < floor["lve_mm"] < 10 and 0 < floor["eve_mm"] < 10


def test_use_and_perplexity_of_codes() -> None:
    """Four codes of which two are used alike are worth two; the slots are told apart."""
    tokens = [np.array([0, 3, 1, 3]), np.array([0, 3, 1, 3, 0, 2, 1, 2])]
    used, perplexity = code_use(tokens, 2, 4)
    assert used == [0.5, 0.5]
    shares = (4 / 6, 2 / 6)
    entropy = -sum(share * math.log(share) for share in shares)
    assert perplexity == pytest.approx([2, math.exp(entropy)])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mouth_codebooks=0", "`prior.mouth_codebooks` must be at least 1, got 0"),
        ("blocks=-1", "`prior.blocks` must be at least 0, got -1"),
        ("quantiser=pq", "`prior.quantiser` must be `rvq` or `fsq`, got 'pq'"),
        ("quantiser_dropout=1.5", "`prior.quantiser_dropout` must be at least 0 and at most 1"),
        (
            "quantiser=fsq n_tokens=97",
            "`prior.n_tokens` must be a product of numbers from 2 to 8 for `prior.quantiser` fsq, "
            "got 97; take 96 or 98",
        ),
        ("codebooks=2", "settings must be known, got prior.codebooks; did"),
        ("4", "`--set` must be KEY=VALUE"),
    ],
)
def test_a_bad_setting_is_refused_before_any_is_trained(
    setting: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of a dozen would be found out after half an hour."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was trained")

    monkeypatch.setattr(bench, "train_tokenizer", fail)
    monkeypatch.setattr(bench, "open_corpus", fail)
    with pytest.raises(InputError, match=re.escape(message)):
        bench_prior(None, corpus=None, sweep=["", setting], folder=tmp_path)


def test_a_run_and_a_corpus_at_once_are_refused(tmp_path: Path) -> None:
    """One of them would be ignored."""
    rule = "`corpus` must be left out beside `run`, got 'synthetic-mini'"
    with pytest.raises(InputError, match=re.escape(rule)):
        bench_prior(tmp_path, corpus="synthetic-mini", sweep=[""], folder=tmp_path)


def test_the_sweep_by_default_can_be() -> None:
    """It is run by hand, months apart."""
    for setting in bench.SWEEP:
        bench.check_settings(bench.config_of(setting, None), ["prior"])


def test_a_corpus_by_name_needs_no_run(tmp_path: Path) -> None:
    """Who compares priors has not run anything yet."""
    figures = bench_prior(None, corpus="synthetic-mini", sweep=[ONE], folder=tmp_path)
    assert figures["synthetic"] is True
    assert figures["rows"][0]["utterances"] == 32
    assert "Round trip of synthetic, synthetic-mini" not in (tmp_path / "prior.md").read_text()
