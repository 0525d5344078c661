"""Distillation as a trainer: it learns, keeps what it is told to keep, and goes on exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.distillation import SequenceDistillation
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask
from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeModel = Callable[..., MotionTransformer]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
Learn = Callable[..., dict[str, float]]

ALL = np.arange(12)
BY_DISTANCE = Decoding(expected_distance=True)


@pytest.fixture
def clone(task: SequenceTask, make_model: MakeModel, network: dict[str, Any]) -> MotionTransformer:
    """Return far-off weights that know distances: codes on a line, so that medians are written."""
    made = make_model(task, seed=5, **network["network"])
    line = np.abs(np.arange(4)[:, None] - np.arange(4)).astype(np.float32)
    made.set_code_distances(np.stack([line, line]))
    return made


@pytest.fixture
def start(make_algorithm: MakeAlgorithm, env: Env, clone: MotionTransformer) -> MakeAlgorithm:
    """Return a maker of distillations from the clone: `start(**settings)`."""

    def make(on: Env = env, **settings: Any) -> SequenceAlgorithm:
        plain = {"fit_temperature": 1.0, "samples_coef": 0.0}
        given = {"n_episodes": 12, "n_epochs": 12, "learning_rate": 1e-2, **plain} | settings
        made = make_algorithm(SequenceDistillation, on, **given)
        made.warm_start(clone)
        return made

    return make


def tokens_of(model: MotionTransformer, task: SequenceTask, decoding: Decoding) -> np.ndarray:
    return animate_utterances(model, task, ALL, decoding=decoding, seed=0).tokens


def agreement(
    model: MotionTransformer, clone: MotionTransformer, task: SequenceTask, how: Decoding
) -> float:
    """Return the share of tokens, greedy by `model` and `how` by `clone`, that are the same."""
    ours, theirs = tokens_of(model, task, Decoding()), tokens_of(clone, task, how)
    inside = theirs >= 0
    return float((ours == theirs)[inside].mean())


def test_greedy_reaches_the_clones_decoding_by_expected_distance(
    start: MakeAlgorithm, learn: Learn, task: SequenceTask, clone: MotionTransformer
) -> None:
    """That is what it is for: what the decoding gains, an argmax gains without it."""
    before = agreement(clone, clone, task, BY_DISTANCE)
    algorithm = start()
    assert before < 0.9
    learn(algorithm, n_iterations=4)
    assert agreement(algorithm.model, clone, task, BY_DISTANCE) > 0.95
    assert torch.equal(algorithm.reference.to_logits, clone.to_logits), "the teacher stays"


def test_a_fit_at_low_temperature_keeps_the_spread_of_the_samples(
    start: MakeAlgorithm, learn: Learn, task: SequenceTask, clone: MotionTransformer
) -> None:
    """One policy for both uses: plain cross-entropy is greedy when it samples, too."""
    plain, kept = start(), start(fit_temperature=0.2, samples_coef=1.0)
    entropies = [learn(each, n_iterations=4)["train/entropy"] for each in (plain, kept)]
    assert agreement(kept.model, clone, task, BY_DISTANCE) > 0.95
    assert entropies[0] < 0.5 < 0.8 < entropies[1]


def test_risk_alone_teaches_the_decoding_by_expected_distance(
    start: MakeAlgorithm, learn: Learn, task: SequenceTask, clone: MotionTransformer
) -> None:
    """No token is its target: it falls by whatever the teacher finds nearer."""
    settings = {"fit_temperature": 0.2, "target_coef": 0.0, "risk_coef": 5.0}
    as_it_was = learn(start(learning_rate=1e-9, **settings))["train/risk"]
    by_risk = start(**settings)
    now = learn(by_risk, n_iterations=6)["train/risk"]
    assert now < 0.2 * as_it_was, (now, as_it_was)  # mm; neighbouring codes are 1 mm apart
    before = agreement(clone, clone, task, BY_DISTANCE)
    assert agreement(by_risk.model, clone, task, BY_DISTANCE) > before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"own_share": 1.5}, "`own_share` must be"),
        ({"risk_coef": 1.0, "teacher": "best-of-n"}, "`risk_coef` must be 0 where `teacher` is"),
        ({"own_share": 0.5, "teacher": "best-of-n"}, "`own_share` must be 0 where `teacher` is"),
        ({"own_share": 0.5, "distance_scale_mm": 0.1}, "must be 0 beside `own_share` 0.5, got 0.1"),
        ({"target_coef": 0.0}, "`target_coef` and `risk_coef` must not both be 0"),
    ],
)
def test_settings_that_teach_nothing_or_another_teacher_are_refused(
    start: MakeAlgorithm, settings: dict[str, Any], message: str
) -> None:
    """Ignored, they would be a result under a wrong name."""
    with pytest.raises(InputError, match=re.escape(message)):
        start(**settings)


def test_the_policy_is_corrected_on_what_it_writes_itself(
    start: MakeAlgorithm, learn: Learn, task: SequenceTask, clone: MotionTransformer
) -> None:
    """Taught only what follows the teacher's tokens, it is lost after the first of its own."""
    algorithm = start(own_share=1.0)
    algorithm.model.eval()
    written = algorithm._write_episodes()  # type: ignore[attr-defined]
    rows = {int(u): row for u, row in zip(written.utterances, written.tokens, strict=True)}
    greedy = tokens_of(clone, task, Decoding())
    assert all((rows[u][: (greedy[u] >= 0).sum()] == greedy[u][greedy[u] >= 0]).all() for u in rows)
    assert written.advantages[written.inside].all(), "all of it is corrected"
    learn(algorithm, n_iterations=6)
    assert agreement(algorithm.model, clone, task, BY_DISTANCE) > 0.95


def test_an_entropy_floor_holds(start: MakeAlgorithm, learn: Learn) -> None:
    """A share of the clone's entropy, so that it means the same with every tokenizer."""
    free = learn(start(), n_iterations=2)
    held = learn(start(entropy_floor=0.9), n_iterations=2)
    assert held["train/entropy"] > 1.5 * free["train/entropy"]
    assert held["train/missing_entropy"] < 0.3
    assert "train/missing_entropy" not in free


def test_recordings_are_learnt_beside_the_targets(start: MakeAlgorithm, learn: Learn) -> None:
    """The old corpus must not be forgotten over what the policy tells itself."""
    losses = [
        learn(start(recordings_coef=share), n_iterations=2).get("train/recordings_loss")
        for share in (0.0, 4.0)
    ]
    assert losses[0] is None
    first = learn(start(recordings_coef=4.0))["train/recordings_loss"]
    assert losses[1] is not None
    assert losses[1] < 0.5 * first


def test_the_policy_as_its_own_teacher_goes_beyond_the_clone(
    start: MakeAlgorithm, learn: Learn
) -> None:
    """Best of n by the clone is learnt once; by the policy itself it is a climb."""
    settings = {"teacher": "best-of-n", "samples_per_utterance": 4, "n_episodes": 48}
    scores = [
        learn(start(teacher_policy=who, **settings), n_iterations=4)["rollout/score"]
        for who in ("clone", "self")
    ]
    assert abs(scores[0] - 0.25) < 0.1, "the frozen clone's samples are what they were"
    assert scores[1] > 0.6


@pytest.mark.parametrize("scale", [0.0, 0.1])
def test_soft_targets_are_those_of_the_network_that_teaches(
    start: MakeAlgorithm, learn: Learn, task: SequenceTask, clone: MotionTransformer, scale: float
) -> None:
    """Soft or hard, the likeliest token of the target is the one of least expected distance."""
    algorithm = start(distance_scale_mm=scale)
    learn(algorithm, n_iterations=4)
    assert agreement(algorithm.model, clone, task, BY_DISTANCE) > 0.95


class Chunked:
    """Pays each right token of the toy task its share, by chunk and stream."""

    def __init__(self, env: Any, columns: tuple[str, ...] = ("mouth", "upper")) -> None:
        self._env, self.chunk_streams = env, columns

    def score_chunks(self, trajectories: Trajectories) -> np.ndarray:
        tokens, lengths = trajectories.tokens, trajectories.lengths
        right = self._env._right(trajectories.utterance, tokens, lengths) / lengths[:, None]
        return right.reshape(len(tokens), -1, 2).astype(np.float32)


def test_chunks_teach_more_than_whole_sequences(
    start: MakeAlgorithm, learn: Learn, make_env: MakeEnv, task: SequenceTask
) -> None:
    """Of four samples of four tokens some are right at each place, and seldom one at all."""
    scores = {}
    for teacher in ("best-of-n", "chunk-best"):
        on: Any = make_env(task)
        on.reward_function = Chunked(on)
        algorithm = start(on, teacher=teacher, samples_per_utterance=4, n_episodes=48)
        learn(algorithm)
        batch = algorithm.batch
        assert batch is not None
        targets = batch.advantages[:, 0] > 0
        assert targets.sum() == 12
        scores[teacher] = float(batch.scores[targets].mean())
    assert scores["chunk-best"] > scores["best-of-n"] + 0.1


def test_chunks_need_a_reward_that_tells_them(start: MakeAlgorithm) -> None:
    """Found in the middle of a night, after the roll-out."""
    with pytest.raises(InputError, match="`teacher` must not be 'chunk-best' where the reward can"):
        start(teacher="chunk-best", samples_per_utterance=4)


def test_chunks_need_a_score_that_wrappers_leave_alone(
    start: MakeAlgorithm, make_env: MakeEnv, task: SequenceTask
) -> None:
    """What a wrapper makes of the score, the chunks know nothing of."""
    on: Any = make_env(task)
    on.reward_function = Chunked(on)
    wrapped = gymnasium.wrappers.TransformReward(on, lambda reward: -reward)
    with pytest.raises(InputError, match=re.escape("they know no chunks, got `TransformReward`")):
        start(wrapped, teacher="chunk-best", samples_per_utterance=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher": "best"}, "`teacher` must be one of expected-distance, best-of-n, chunk-best"),
        ({"teacher_policy": "me"}, "`teacher_policy` must be one of clone, self, got 'me'"),
        (
            {"teacher": "best-of-n", "samples_per_utterance": 1},
            "`samples_per_utterance` must be at least 2 where `teacher` is 'best-of-n', got 1",
        ),
        (
            {"teacher": "best-of-n", "samples_per_utterance": 4, "distance_scale_mm": 0.1},
            "`distance_scale_mm` must be 0 where `teacher` is 'best-of-n', got 0.1",
        ),
        ({"credit": "chunk"}, "`credit` must be left out of distillation"),
        ({"stream_advantages": True}, "`stream_advantages` must be left out of distillation"),
        ({"fit_temperature": -0.5}, "`fit_temperature` must be at least 0 and finite, got -0.5"),
        ({"samples_coef": -1.0}, "`samples_coef` must be at least 0 and finite, got -1"),
        ({"entropy_floor": 1.5}, "`entropy_floor` must be at least 0 and at most 1, got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    start: MakeAlgorithm, settings: dict[str, Any], message: str
) -> None:
    """A teacher that is misspelt must not be another one."""
    with pytest.raises(ValueError, match=re.escape(message)):
        start(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"samples_coef": 0.5, "fit_temperature": 0.5, "entropy_floor": 0.5, "kl_coef": 0.1},
        {
            "teacher": "best-of-n",
            "teacher_policy": "self",
            "samples_per_utterance": 4,
            "recordings_coef": 0.5,
        },
    ],
)
def test_four_iterations_are_two_saved_loaded_and_two(
    start: MakeAlgorithm, learn: Learn, env: Env, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """A resumed run that drifts makes two results of one seed."""
    straight = start(batch_tokens=24, n_epochs=2, **settings)
    expected = learn(straight, n_iterations=4)
    first = start(batch_tokens=24, n_epochs=2, **settings)
    learn(first, n_iterations=2)
    first.save(tmp_path / "agent")
    torch.manual_seed(99)
    resumed = SequenceDistillation.load(tmp_path / "agent", env=env)
    logged = learn(resumed, n_iterations=2)
    same = ("policy_loss", "entropy", "ratio_error", "approx_kl")
    assert [logged[f"train/{n}"] for n in same] == [expected[f"train/{n}"] for n in same]
    for name, weight in straight.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_a_network_without_distances_is_told_so(
    make_algorithm: MakeAlgorithm, env: Env, learn: Learn
) -> None:
    """Least expected distance to nothing is the first token, everywhere."""
    with pytest.raises(InputError, match="knows no distances of codes"):
        learn(make_algorithm(SequenceDistillation, env))


@pytest.mark.parametrize(
    ("teacher", "expected"), [("expected-distance", (0.2, 1)), ("best-of-n", (1.0, 8))]
)
def test_defaults_follow_the_teacher(
    make_algorithm: MakeAlgorithm, env: Env, teacher: str, expected: tuple[float, int]
) -> None:
    """Sampled targets fitted at a low temperature flatten the policy, up to chance."""
    made: Any = make_algorithm(SequenceDistillation, env, teacher=teacher)
    assert (made.fit_temperature, made.samples_per_utterance) == expected
