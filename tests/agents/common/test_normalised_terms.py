"""Terms of a reward normalised one by one: no term drowns another, whatever its unit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.common.advantages import leave_one_out, normalised_sum
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
Make = Callable[..., Any]
Learn = Callable[..., dict[str, float]]


def test_the_worked_example() -> None:
    """Two groups of two: deviations 1 and 0 of `a`, 500 and 500 of `b`, which is weighed -2."""
    terms = {
        "a": np.array([1, 3, 5, 5], np.float32),
        "b": np.array([0, 1000, 1000, 0], np.float32),
        "watched": np.array([np.inf, 0, 0, 0], np.float32),
    }
    total = normalised_sum(terms, {"a": 1, "b": -2, "watched": 0}, np.array([7, 7, 8, 8]))
    np.testing.assert_allclose(total, [-1 + 2, 1 - 2, -2, 2], atol=1e-3)
    assert total.dtype == np.float32


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_unit_of_a_term_does_not_matter(rng: np.random.Generator, unit: float) -> None:
    """With a fixed number added to the deviation, a term in small units would count for less."""
    groups = np.repeat(np.arange(4), 4)
    one, other = rng.normal(size=(2, 16)).astype(np.float32)
    weights = {"one": 1.0, "other": 0.5}
    expected = normalised_sum({"one": one, "other": other}, weights, groups)
    scaled = {"one": one, "other": (unit * other).astype(np.float32)}
    np.testing.assert_allclose(normalised_sum(scaled, weights, groups), expected, atol=1e-4)


def test_a_term_that_never_varies_adds_nothing() -> None:
    """A division by its deviation would."""
    terms = {"a": np.full(4, 0.3, np.float32)}
    with np.errstate(all="raise"):
        total = normalised_sum(terms, {"a": 1}, np.array([1, 1, 2, 2]))
    np.testing.assert_array_equal(total, np.zeros(4))


@pytest.fixture
def two_terms(env: Env, monkeypatch: pytest.MonkeyPatch) -> Env:
    """Return an environment that pays the mouth, and the upper face in another unit."""
    kind: Any = type(env.unwrapped)

    def score_terms(env: Any, *written: Any) -> SimpleNamespace:
        streams = env.score_streams(*written)
        terms = {"mouth": streams["mouth"], "upper": 1000 * streams["upper"]}
        return SimpleNamespace(total=terms["mouth"] + 2 * terms["upper"], terms=terms)

    monkeypatch.setattr(kind, "score_terms", score_terms, raising=False)
    monkeypatch.setattr(kind, "reward_weights", {"mouth": 1.0, "upper": 2.0}, raising=False)
    return env


@pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO, SequenceReinforce])
def test_advantages_are_those_of_the_normalised_sum(
    two_terms: Env, make_algorithm: Make, learn: Learn, kind: type[SequenceAlgorithm]
) -> None:
    """The score that is logged stays the reward's; GRPO does not normalise once more."""
    algorithm = make_algorithm(kind, two_terms, normalise_terms=True)
    logged = learn(algorithm)
    batch = algorithm.batch
    terms, groups = batch.term_scores, batch.utterances
    np.testing.assert_allclose(batch.scores, terms["mouth"] + 2 * terms["upper"], rtol=1e-6)
    assert logged["rollout/score"] == pytest.approx(batch.scores.mean())
    assert logged["rollout/term_upper"] == pytest.approx(terms["upper"].mean())
    expected = normalised_sum(terms, {"mouth": 1, "upper": 2}, groups)
    if kind is not SequenceGRPO:
        expected = leave_one_out(expected, groups)
    found = batch.advantages[:, 0]
    if kind is SequencePPO:
        found = found + batch.values[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found).max() > 0.5
    chosen = algorithm.rollout_buffer.episodes(np.array([3, 1]))
    np.testing.assert_array_equal(chosen.term_scores["mouth"], terms["mouth"][[3, 1]])


def test_it_is_saved_and_older_files_load_without(
    two_terms: Env, make_algorithm: Make, tmp_path: Path
) -> None:
    """A run that is resumed without it is another run."""
    algorithm = make_algorithm(SequencePPO, two_terms, normalise_terms=True)
    algorithm.save(tmp_path / "new")
    assert SequencePPO.load(tmp_path / "new", env=two_terms).normalise_terms
    algorithm.save(tmp_path / "old", exclude=["normalise_terms"])
    assert not SequencePPO.load(tmp_path / "old", env=two_terms).normalise_terms


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SequencePPO, {"credit": "chunk"}, "`credit` must be 'terminal' with `normalise_terms`"),
        (SequencePPO, {"stream_advantages": True}, "`stream_advantages` must be False with"),
        (SequencePPO, {"spread_coef": 0.5}, "`spread_coef` must be 0 with `normalise_terms`"),
        (
            SequencePPO,
            {"samples_per_utterance": 1},
            "`samples_per_utterance` must be at least 2 with `normalise_terms`, got 1",
        ),
        *(
            (
                SequenceReinforce,
                {"baseline": name},
                "`baseline` must be leave_one_out, mean or none with `normalise_terms`, got "
                f"{name!r}",
            )
            for name in ("moving_mean", "greedy")
        ),
    ],
)
def test_what_it_does_not_go_with_is_refused(
    two_terms: Env, make_algorithm: Make, kind: type[SequenceAlgorithm], settings: Any, message: str
) -> None:
    """Parts of a score by chunk or stream do not tell its terms."""
    with pytest.raises(ValueError, match=re.escape(message)):
        make_algorithm(kind, two_terms, normalise_terms=True, **settings)


class Doubled(gymnasium.Wrapper):  # type: ignore[type-arg]
    """Knows the score, and nothing of its terms."""

    def score_tokens(self, *args: Any) -> np.ndarray:
        return 2 * self.env.get_wrapper_attr("score_tokens")(*args)  # type: ignore[no-any-return]


class Negated(gymnasium.RewardWrapper):  # type: ignore[type-arg]
    """Changes the score in `step`."""

    def reward(self, reward: Any) -> Any:
        return -reward


def test_environments_and_wrappers_that_know_no_terms_are_refused(
    two_terms: Env, make_algorithm: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy would learn from another score than the one that is paid."""
    rule = "`normalise_terms` must be False where "
    for wrap, reason in (
        (Doubled, "a wrapper has `score_tokens` and no `score_terms` of its own, got True and"),
        (Negated, "wrappers may change the score, of which they know no terms, got True and"),
    ):
        with pytest.raises(InputError, match=re.escape(f"{rule}{reason} `{wrap.__name__}`")):
            make_algorithm(SequencePPO, wrap(two_terms), normalise_terms=True)
    monkeypatch.delattr(type(two_terms.unwrapped), "reward_weights")
    with pytest.raises(InputError, match=re.escape(f"{rule}the environment has no `score_terms`")):
        make_algorithm(SequencePPO, two_terms, normalise_terms=True)
