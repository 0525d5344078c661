"""Credit by chunk: the terminal gradient in expectation, the terminal estimator on one chunk."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.common.credit import ChunkCredit, filled_by_chunk, rewards_to_go
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
Make = Callable[..., Any]
Learn = Callable[..., dict[str, float]]

VARIANTS: list[tuple[type[SequenceAlgorithm], dict[str, Any]]] = [
    (SequencePPO, {}),
    (SequencePPO, {"samples_per_utterance": 1, "gae_lambda": 0.9, "gamma": 0.9}),
    (SequenceGRPO, {}),
    *((SequenceReinforce, {"baseline": name}) for name in ("leave_one_out", "mean", "none")),
]
variants = pytest.mark.parametrize(("kind", "settings"), VARIANTS)


@pytest.mark.parametrize(("look_ahead", "expected"), [(0, [1.75, 1.5, 3]), (1, [1.75, 2.5, 3])])
def test_the_worked_example(look_ahead: int, expected: list[float]) -> None:
    """Rewards 1, 0, 3 at a discount of a half: an index off by one pays a token's neighbour."""
    rewards = np.array([[1, 0, 3]], np.float32)
    to_go = rewards_to_go(rewards, discount=0.5, look_ahead=look_ahead)
    np.testing.assert_array_equal(to_go, [expected])


@pytest.mark.parametrize("look_ahead", [0, 1, 2, 9])
@pytest.mark.parametrize("discount", [0.0, 0.7, 1.0])
def test_rewards_to_go_are_the_definition(
    rng: np.random.Generator, discount: float, look_ahead: int
) -> None:
    """Also with more look-ahead than chunks."""
    rewards = rng.normal(size=(3, 5)).astype(np.float32)
    expected = [
        [
            sum(discount ** max(0, k - c) * row[k] for k in range(max(0, c - look_ahead), 5))
            for c in range(5)
        ]
        for row in rewards.astype(np.float64)
    ]
    to_go = rewards_to_go(rewards, discount=discount, look_ahead=look_ahead)
    np.testing.assert_allclose(to_go, expected, atol=1e-12)


class Enumerated:
    """Every pair of the 16 sequences of four binary tokens under a policy given by a table.

    A chunk is a token, and what a chunk earns depends on its neighbours: as in a decoder that sees
    one chunk to each side.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        logits = rng.normal(size=(4, 3, 2))  # by place, token before (2: none), token
        self.policy = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        self.sequences = np.array(list(itertools.product((0, 1), repeat=4)))
        before = np.pad(self.sequences, ((0, 0), (1, 0)), constant_values=2)[:, :4]
        after = np.pad(self.sequences, ((0, 0), (0, 1)), constant_values=2)[:, 1:]
        self.earned = rng.normal(size=(4, 3, 2, 3))[range(4), before, self.sequences, after]
        chosen = self.policy[range(4), before, self.sequences]  # (16, 4)
        self.probability = chosen.prod(1)
        # Gradient of the log-probability of each token by the logits: (16, 4, 3, 2).
        place = np.arange(4)
        self.score_function = np.zeros((16, 4, 3, 2))
        for row, sequence in enumerate(self.sequences):
            own = np.eye(2)[sequence] - self.policy[place, before[row]]
            self.score_function[row, place, before[row]] = own
        self.pairs = np.array(list(itertools.product(range(16), repeat=2)))

    def batch(self, make_batch: Make) -> EpisodeBatch:
        """Return all pairs as episodes, each pair of an utterance of its own."""
        rows = self.pairs.ravel()
        chunks = self.earned[rows].astype(np.float32)[:, :, None]
        return make_batch(  # type: ignore[no-any-return]
            *[4] * len(rows),
            utterances=np.repeat(np.arange(len(self.pairs)), 2),
            tokens=self.sequences[rows],
            scores=chunks.sum((1, 2)),
            chunk_scores=chunks,
            chunk_streams=("whole",),
        )

    def expected_gradient(self, advantages: np.ndarray) -> np.ndarray:
        """Return the mean of the estimator with these advantages (512, 4) over all pairs."""
        weights = self.probability[self.pairs].prod(1).repeat(2) / 2
        rows = self.pairs.ravel()
        place = np.arange(4)
        return np.einsum("n,nt,ntpk->tpk", weights, advantages, self.score_function[rows][:, place])

    def true_gradient(self) -> np.ndarray:
        """Return the gradient of the expected score."""
        weights = self.probability * self.earned.sum(1)
        return np.einsum("n,ntpk->tpk", weights, self.score_function)


@pytest.fixture
def enumerated(rng: np.random.Generator) -> Enumerated:
    """Return a task small enough to be exact on."""
    return Enumerated(rng)


@pytest.fixture
def short_env(make_task: Make, make_env: Make) -> Env:
    """Return an environment whose utterances are one chunk each."""
    return make_env(make_task(6, max_chunks=1))  # type: ignore[no-any-return]


@pytest.fixture
def single_env(make_task: Make, make_env: Make) -> Env:
    """Return an environment with chunks of one token."""
    return make_env(make_task(6, tokens_per_chunk=1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("baseline", ["leave_one_out", "none"])
def test_at_discount_1_the_expected_gradient_is_that_of_the_terminal_reward(
    enumerated: Enumerated, single_env: Env, make_algorithm: Make, make_batch: Make, baseline: str
) -> None:
    """Whatever is left out or taken off must be noise, and nothing else.

    Without the look-ahead a token does not answer for the chunk before it, which it changes; with
    a discount not for all it leads to: both are shown to be seen by this test.
    """
    batch, true = enumerated.batch(make_batch), enumerated.true_gradient()
    found = {}
    for discount, look_ahead in ((1.0, 1), (1.0, 3), (1.0, 0), (0.7, 1)):
        algorithm = make_algorithm(
            SequenceReinforce,
            single_env,
            baseline=baseline,
            samples_per_utterance=2,
            credit="chunk",
            chunk_discount=discount,
            look_ahead_chunks=look_ahead,
        )
        filled = algorithm._filled(batch)
        found[discount, look_ahead] = enumerated.expected_gradient(filled.advantages)
    np.testing.assert_allclose(found[1.0, 1], true, atol=1e-6)
    np.testing.assert_allclose(found[1.0, 3], true, atol=1e-6)
    for biased in ((1.0, 0), (0.7, 1)):
        assert np.abs(found[biased] - true).max() > 0.01, biased


def test_credit_by_chunk_has_less_variance(
    enumerated: Enumerated, single_env: Env, make_algorithm: Make, make_batch: Make
) -> None:
    """Or there would be no use for it."""
    batch = enumerated.batch(make_batch)
    weights = enumerated.probability[enumerated.pairs].prod(1).repeat(2) / 2
    spread = {}
    for credit in ("terminal", "chunk"):
        algorithm = make_algorithm(
            SequencePPO, single_env, samples_per_utterance=2, credit=credit, chunk_discount=1.0
        )
        advantages = algorithm._filled(replace(batch, values=0 * batch.values)).advantages
        spread[credit] = weights @ (advantages**2).mean(1)
    assert spread["chunk"] < 0.9 * spread["terminal"]


@variants
@pytest.mark.parametrize("by_stream", [False, True])
def test_one_chunk_is_the_terminal_estimator(
    short_env: Env,
    make_algorithm: Make,
    kind: type[SequenceAlgorithm],
    settings: dict[str, Any],
    by_stream: bool,
) -> None:
    """Exactly: there is nothing to share out."""
    made = {
        credit: make_algorithm(
            kind, short_env, credit=credit, stream_advantages=by_stream, n_episodes=24, **settings
        )
        for credit in ("terminal", "chunk")
    }
    batch = {credit: each._write_episodes() for credit, each in made.items()}
    assert batch["chunk"].chunk_scores.shape == (24, 1, 2)
    np.testing.assert_array_equal(batch["chunk"].scores, batch["terminal"].scores)
    filled = {credit: each._filled(batch[credit]) for credit, each in made.items()}
    for name in ("advantages", "returns"):
        one, other = (getattr(filled[credit], name) for credit in ("terminal", "chunk"))
        np.testing.assert_array_equal(one, other)
        assert np.abs(one).max() > 0


@variants
def test_a_chunk_is_filled_as_an_episode_of_its_own(
    env: Env, make_algorithm: Make, kind: type[SequenceAlgorithm], settings: dict[str, Any]
) -> None:
    """Baselines and scales are those of the same chunk, stream and utterance.

    Utterances have one, two and three chunks: an episode that has no third one must not be
    compared with those that have.
    """
    algorithm = make_algorithm(
        kind, env, credit="chunk", stream_advantages=True, n_episodes=48, **settings
    )
    batch = algorithm._write_episodes()
    filled = algorithm._filled(batch)
    plain = make_algorithm(kind, env, n_episodes=24, **settings)
    n_chunks = batch.lengths // 2
    assert set(n_chunks.tolist()) == {1, 2, 3}
    for chunk, (place, stream) in itertools.product(range(3), enumerate(("mouth", "upper"))):
        rows, column = np.flatnonzero(n_chunks > chunk), 2 * chunk + place
        assert batch.chunk_streams[place] == stream
        to_go = rewards_to_go(batch.chunk_scores[:, :, place], discount=0.7, look_ahead=1)
        alone = EpisodeBatch(
            utterances=batch.utterances[rows],
            condition=batch.condition[rows],
            tokens=batch.tokens[rows, column, None],
            lengths=np.ones(len(rows), np.int64),
            log_probs=batch.log_probs[rows, column, None],
            values=batch.values[rows, column, None],
            scores=to_go[rows, chunk].astype(np.float32),
            advantages=np.zeros((len(rows), 1), np.float32),
            returns=np.zeros((len(rows), 1), np.float32),
        )
        expected = plain.compute_advantages(alone)
        np.testing.assert_array_equal(filled.advantages[rows, column], expected.advantages[:, 0])
        np.testing.assert_array_equal(filled.returns[rows, column], expected.returns[:, 0])
    assert (filled.advantages[~batch.inside] == 0).all()


def test_a_stream_hears_of_itself_and_of_the_whole_face_alone(make_batch: Make) -> None:
    """Slots mouth, mouth, upper. Without `by_stream` every token hears of all columns."""
    columns = ("upper", "whole", "mouth")
    chunks = np.array([[[1, 10, 100], [2, 20, 200]]], np.float32)  # one episode of two chunks
    batch = make_batch(6, chunk_scores=chunks, chunk_streams=columns)
    seen: list[tuple[str | None, int | None, float]] = []

    def fill(part: EpisodeBatch) -> EpisodeBatch:
        seen.append((part.stream, part.chunk, float(part.scores[0])))
        same = np.broadcast_to(part.scores[:, None], part.tokens.shape)
        return replace(part, advantages=same, returns=2 * same)

    streams = ("mouth", "mouth", "upper")
    filled = filled_by_chunk(batch, streams, ChunkCredit(1.0, 0, by_stream=True), fill)
    assert seen == [("mouth", 0, 330), ("mouth", 1, 220), ("upper", 0, 33), ("upper", 1, 22)]
    np.testing.assert_array_equal(filled.advantages, [[330, 330, 33, 220, 220, 22]])
    np.testing.assert_array_equal(filled.returns, 2 * filled.advantages)
    assert (filled.stream, filled.chunk) == (None, None)
    filled = filled_by_chunk(batch, streams, ChunkCredit(1.0, 0, by_stream=False), fill)
    assert seen[4:] == [(None, 0, 333), (None, 1, 222)]
    np.testing.assert_array_equal(filled.advantages, [[333] * 3 + [222] * 3])


def test_scores_by_chunk_are_kept_with_their_episodes(
    env: Env, make_algorithm: Make, learn: Learn
) -> None:
    """Minibatches choose episodes, and a callback reads what was earned where."""
    algorithm = make_algorithm(SequencePPO, env, credit="chunk")
    logged = learn(algorithm)
    buffer = algorithm.rollout_buffer
    assert isinstance(buffer, EpisodeBuffer)
    assert buffer.chunk_streams == ("mouth", "upper")
    chosen = buffer.episodes(np.array([3, 1]))
    np.testing.assert_array_equal(chosen.chunk_scores, buffer.chunk_scores[[3, 1]])
    np.testing.assert_allclose(buffer.chunk_scores.sum((1, 2)), buffer.scores, rtol=1e-6)
    assert logged["rollout/score_mouth"] == pytest.approx(buffer.chunk_scores[:, :, 0].sum() / 16)
    terminal = make_algorithm(SequencePPO, env)
    learn(terminal)
    assert buffer.nbytes == terminal.rollout_buffer.nbytes + buffer.chunk_scores.nbytes + 16 * 8
    with pytest.raises(ValueError, match=re.escape("`chunk_scores` must have 2 rows, got 3")):
        replace(chosen, chunk_scores=np.zeros((3, 1, 2), np.float32))


def test_settings_are_saved_and_older_files_load_as_terminal(
    env: Env, make_algorithm: Make, tmp_path: Path
) -> None:
    """A run that is resumed with another credit is another run."""
    given = {"credit": "chunk", "chunk_discount": 0.5, "look_ahead_chunks": 2}
    algorithm = make_algorithm(SequencePPO, env, **given)
    algorithm.save(tmp_path / "chunk")
    loaded = SequencePPO.load(tmp_path / "chunk", env=env)
    assert {name: getattr(loaded, name) for name in given} == given
    algorithm.save(tmp_path / "old", exclude=list(given))
    older = SequencePPO.load(tmp_path / "old", env=env)
    assert (older.credit, older.chunk_discount, older.look_ahead_chunks) == ("terminal", 0.7, 1)
    with pytest.raises(InputError, match=re.escape("`credit` must be one of terminal, chunk")):
        SequencePPO.load(tmp_path / "chunk", credit="turn")


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SequencePPO, {"credit": "token"}, "`credit` must be one of terminal, chunk, got 'token'"),
        (SequencePPO, {"chunk_discount": 1.1}, "`chunk_discount` must be in [0, 1], got 1.1"),
        (SequenceGRPO, {"chunk_discount": float("nan")}, "`chunk_discount` must be in [0, 1]"),
        (
            SequencePPO,
            {"look_ahead_chunks": -1},
            "`look_ahead_chunks` must be a whole number of at least 0, got -1",
        ),
        (
            SequencePPO,
            {"look_ahead_chunks": 0.5},
            "`look_ahead_chunks` must be a whole number of at least 0, got 0.5",
        ),
        *(
            (
                SequenceReinforce,
                {"credit": "chunk", "baseline": name},
                "`baseline` must be leave_one_out, mean or none with `credit='chunk'`, got "
                f"{name!r}, which knows the scores of whole episodes alone",
            )
            for name in ("moving_mean", "greedy")
        ),
    ],
)
def test_settings_out_of_range_are_refused(
    env: Env, make_algorithm: Make, kind: type[SequenceAlgorithm], settings: Any, message: str
) -> None:
    """At once, before anything is written."""
    with pytest.raises(ValueError, match=re.escape(message)):
        make_algorithm(kind, env, **settings)


@pytest.mark.parametrize("columns", [None, ()])
def test_a_reward_that_cannot_tell_chunks_is_refused_at_once(
    env: Env, make_algorithm: Make, monkeypatch: pytest.MonkeyPatch, columns: Any
) -> None:
    """Paid with the last chunk, all others would learn nothing in particular."""
    if columns is None:
        monkeypatch.delattr(type(env.unwrapped), "reward_chunk_streams")
    else:
        monkeypatch.setattr(type(env.unwrapped), "reward_chunk_streams", columns)
    rule = "`credit` must be 'terminal' where the reward cannot tell chunks apart"
    with pytest.raises(InputError, match=re.escape(rule) + ".*such as `learned` or `accuracy`"):
        make_algorithm(SequencePPO, env, credit="chunk")


@pytest.mark.parametrize("columns", [("whole",), ("mouth", "brows")])
def test_chunks_that_do_not_tell_streams_are_refused_where_these_are_asked_for(
    env: Env, make_algorithm: Make, monkeypatch: pytest.MonkeyPatch, columns: tuple[str, ...]
) -> None:
    """What the brows earned would be paid to nobody, and credit by stream be none."""
    monkeypatch.setattr(type(env.unwrapped), "reward_chunk_streams", columns)
    rule = "do not tell the streams of the task apart, ['mouth', 'upper'], got True and "
    with pytest.raises(InputError, match=re.escape(f"{rule}{columns}")):
        make_algorithm(SequencePPO, env, credit="chunk", stream_advantages=True)
    make_algorithm(SequencePPO, env, credit="chunk")


def test_chunks_of_another_number_are_refused(
    env: Env, make_algorithm: Make, learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be paid to other tokens."""
    algorithm = make_algorithm(SequencePPO, env, credit="chunk")
    kind = type(env.unwrapped)
    right = kind.score_chunks  # type: ignore[attr-defined]
    monkeypatch.setattr(kind, "score_chunks", lambda *args: right(*args)[:, 1:])
    with pytest.raises(InputError, match=re.escape("must return shape (16, 2, 2), a row for")):
        learn(algorithm)


class Negated(gymnasium.RewardWrapper):  # type: ignore[type-arg]
    """Changes the score in `step`."""

    def reward(self, reward: Any) -> Any:
        return -reward


class Doubled(gymnasium.Wrapper):  # type: ignore[type-arg]
    """Says so in `score_tokens`, and knows nothing of parts."""

    def score_tokens(self, *args: Any) -> np.ndarray:
        return 2 * self.env.get_wrapper_attr("score_tokens")(*args)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("wrap", "settings", "message"),
    [
        (
            Negated,
            {"credit": "chunk"},
            "`credit` must be 'terminal' where wrappers may change the score, of which they know "
            "no chunks, got 'chunk' and `Negated`",
        ),
        (
            Doubled,
            {"credit": "chunk"},
            "`credit` must be 'terminal' where a wrapper has `score_tokens` and no `score_chunks` "
            "of its own, got 'chunk' and `Doubled`",
        ),
        (
            Doubled,
            {"stream_advantages": True},
            "`stream_advantages` must be False where a wrapper has `score_tokens` and no "
            "`score_streams` of its own, got True and `Doubled`",
        ),
    ],
)
def test_wrappers_that_may_change_the_score_are_refused(
    env: Env, make_algorithm: Make, wrap: Any, settings: dict[str, Any], message: str
) -> None:
    """The policy would learn from the score within."""
    with pytest.raises(InputError, match=re.escape(message)):
        make_algorithm(SequencePPO, wrap(env), **settings)
    make_algorithm(SequencePPO, wrap(env))
