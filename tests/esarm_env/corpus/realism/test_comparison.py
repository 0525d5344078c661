"""Two corpora side by side: ranges over takes, verdicts, what was not captured, the tables."""

import dataclasses
import json
import math
import re
from collections.abc import Callable
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus, Record, Utterance
from esarm_env.corpus.realism import (
    Comparison,
    Figure,
    Row,
    compare,
    compare_corpora,
    comparison_markdown,
    describe,
    print_comparison,
)
from esarm_env.corpus.realism.description import Description, group_names
from esarm_env.face.names import index_of

JAW, BLINK = index_of("jawOpen"), index_of("eyeBlinkLeft")
MakeUtterance = Callable[..., Utterance]
MakeCorpus = Callable[..., Corpus]


def jaw(level: float, seed: int, n_frames: int = 120) -> np.ndarray:
    """Return a moving jaw with this mean."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(n_frames) / 3 + rng.uniform(0, 6))
    return np.asarray(level + 0.2 * level * wave)


@pytest.fixture(scope="module")
def takes(utterance: MakeUtterance, make_corpus: MakeCorpus) -> Corpus:
    """Return two takes of 40 s cut in ten, one with the jaw at 0.2, the other at 0.3."""
    pieces = [
        utterance(
            120,
            id=f"take_{take}-{120 * place:05d}",
            curves={JAW: jaw(level, seed=place)},
            captured=[JAW],
        )
        for take, level in enumerate((0.2, 0.3))
        for place in range(10)
    ]
    return make_corpus(pieces, {}, name="takes")


@pytest.fixture(scope="module")
def made(utterance: MakeUtterance, make_corpus: MakeCorpus) -> Corpus:
    """Return sentences of three speakers, neutral with the jaw at 0.25 and angry at 0.6."""
    sentences = [
        utterance(
            120,
            id=f"{speaker}_{emotion}_{number}",
            speaker=speaker,
            emotion=emotion,
            curves={JAW: jaw(level, seed=number)},
        )
        for speaker in ("anna", "ben", "cora")
        for emotion, level in (("neutral", 0.25), ("angry", 0.6))
        for number in range(4)
    ]
    return make_corpus(sentences, {}, name="sentences")


@pytest.fixture(scope="module")
def compared(made: Corpus, takes: Corpus) -> Comparison:
    """Return the sentences beside the takes."""
    return compare_corpora(made, takes)


def row(comparison: Comparison, name: str) -> Row:
    return next(row for row in comparison.rows if row.figure == name)


def test_range_spans_the_takes(takes: Corpus) -> None:
    """The pooled mean alone would call every real take unreal."""
    described = describe(takes)
    assert described.groups == ("take_0", "take_1"), "one group per take"
    found = described.figures["jawOpen: mean"]
    assert (found.low, found.high) == pytest.approx((0.2, 0.3), abs=0.01), "range over the takes"
    assert found.value == pytest.approx(0.25, abs=0.01), "pooled"
    assert 0 < found.error < 0.02, "the error of one take"


def test_no_corpus_lies_outside_its_own_range(
    takes: Corpus, made: Corpus, utterance: MakeUtterance, make_corpus: MakeCorpus
) -> None:
    """Speakers around unlike means deviate more together than each does alone."""
    apart = [
        utterance(120, id=f"{name}_{n}", speaker=name, curves={JAW: jaw(level, seed=n)})
        for name, level in (("anna", 0.1), ("ben", 0.8))
        for n in range(4)
    ]
    for corpus in (takes, made, make_corpus(apart, {}, name="apart")):
        comparison = compare_corpora(corpus, corpus)
        judged = [row for row in comparison.rows if row.verdict != "n/a"]
        assert judged and all(row.verdict == "inside" for row in judged), corpus.name


def test_description_does_not_depend_on_chance(takes: Corpus) -> None:
    """A verdict that changes between two runs is no verdict."""
    first, second = (describe(takes, sample=12, seed=3) for _ in range(2))
    values = [list(d.figures.values()) for d in (first, second)]
    assert repr(values[0]) == repr(values[1]), "same seed, same figures"


def test_emotions_of_the_real_corpus_are_compared(compared: Comparison) -> None:
    """Angry mouths beside neutral takes would look like an error of the rules."""
    assert compared.synthetic.emotions == compared.real.emotions == ("neutral",), "emotions"
    assert compared.synthetic.n_utterances == 12, "the neutral ones alone"
    found = row(compared, "jawOpen: mean")
    assert found.synthetic == pytest.approx(0.25, abs=0.01) and found.verdict == "inside", found


def test_all_emotions_are_told_apart_anyway(compared: Comparison) -> None:
    """Separability of one emotion does not exist."""
    assert row(compared, "emotions told apart: mouth").synthetic == 1.0, "jaws differ"
    assert row(compared, "emotions told apart: chance").synthetic == 0.5, "two emotions"
    assert math.isnan(row(compared, "emotions told apart: mouth").real), "one emotion"


def test_uncaptured_channels_are_not_compared(compared: Comparison) -> None:
    """Zeros that nobody measured would be a range of their own."""
    found = row(compared, "mouthPucker: mean")
    assert math.isnan(found.real) and found.verdict == "n/a", found
    gaze = row(compared, "gaze shifts: size")
    assert math.isnan(gaze.real) and gaze.verdict == "n/a", gaze


def test_published_rates_stand_in(compared: Comparison) -> None:
    """Takes without eyes cannot tell how often people blink; the literature can."""
    found = row(compared, "blinks: rate (1/min)")
    assert (found.low, found.high) == (10.5, 32.5) and "Doughty 2001" in found.source, found
    assert found.synthetic == 0 and found.verdict == "outside", "nobody blinks here"


def description(value: float, low: float, high: float, error: float) -> Description:
    figures = {"jawOpen: mean": Figure(value, low, high, error)}
    return Description("x", figures, ("a",), ("neutral",), 1, 1.0)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.2, "inside"),
        (0.3, "inside"),
        (0.319, "near"),
        (0.181, "near"),
        (0.33, "outside"),
        (0.1, "outside"),
        (math.nan, "n/a"),
    ],
)
def test_verdicts(value: float, verdict: str) -> None:
    """Two standard errors of one take are granted, no more."""
    real = description(0.25, 0.2, 0.3, 0.01)
    rows = compare(description(value, 0, 1, 0), real).rows
    assert [row.verdict for row in rows] == [verdict], rows


def test_short_takes_are_grouped_by_speaker() -> None:
    """A take of one sentence differs from the next by its words."""
    short = [Record(f"take_{n}-00000", f"s{n % 2}", "neutral", 1, None, 90) for n in range(6)]
    assert group_names(short) == ["s0", "s1"] * 3, "speakers"
    long = [dataclasses.replace(record, n_frames=900) for record in short]
    assert group_names(long)[0] == "take_0", "takes of 30 s"
    whole = [Record("S01_003", "S01", "neutral", 1, None, 2000)]
    assert group_names(whole) == ["S01_003"], "an id without a place is a take of its own"


def test_markdown_and_terminal_tell_the_same(compared: Comparison) -> None:
    text = comparison_markdown(compared)
    stream = StringIO()
    print_comparison(compared, Console(file=stream, width=80))
    for part in (text, stream.getvalue()):
        assert "jawOpen: mean" in part and "0.250" in part, part
        assert "mouthPucker" not in part, "what only one side has is left out"
        assert "figures inside the range" in part, "the count comes last"
        assert "Doughty 2001" in part, "a range that is not from the takes has its source"
    assert "loudness to jawOpen: correlation" in stream.getvalue(), "80 columns are enough"
    header = next(line for line in text.splitlines() if line.startswith("| figure"))
    assert header.count("|") == 6, header


@pytest.mark.parametrize("name", ["recordings [v2]", "[bold]x", "odd [/x]"])
def test_a_name_with_brackets_is_printed_as_it_is(made: Corpus, takes: Corpus, name: str) -> None:
    """Rich reads brackets as colours: it would swallow the name, or stop at it."""
    real = dataclasses.replace(describe(takes), corpus=name)
    stream = StringIO()
    print_comparison(compare(describe(made), real), Console(file=stream, width=80))
    assert f"real: {name}, 20 utterances" in stream.getvalue(), stream.getvalue()


def test_figures_survive_json(compared: Comparison) -> None:
    """`nan` is no JSON: another program could not read the file."""
    told = json.loads(json.dumps(compared.to_dict(), allow_nan=False))
    assert len(told["rows"]) == len(compared.rows), "every figure"
    counts = [compared.count(verdict) for verdict in ("inside", "near", "outside")]
    assert list(told["counts"].values()) == counts and sum(counts) > 0, "counts"
    assert told["real"]["groups"] == ["take_0", "take_1"], "groups"


def test_bad_calls_are_rejected(takes: Corpus) -> None:
    with pytest.raises(InputError, match=re.escape("`sample` must be at least 1, got 0")):
        describe(takes, sample=0)
    message = "`emotions` must be among ('neutral',), got ['sad']; choose some that it has"
    with pytest.raises(InputError, match=re.escape(message)):
        describe(takes, emotions=["sad"])
