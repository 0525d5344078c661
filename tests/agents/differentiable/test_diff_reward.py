"""Climbing a reward by its own slope: the gradient, what guards it, and what is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger
from torch import Tensor
from torch.nn import functional

from agents.common.update import token_terms
from agents.differentiable import SequenceDiffReward
from agents.faults import TrainingFault
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask
from agents.rollout.buffer import EpisodeBatch
from esarm_env.core.errors import InputError
from esarm_env.core.types import DifferentiableScores, Trajectories

Env = gymnasium.Env[Any, Any]
MakeTask = Callable[..., SequenceTask]
MakeModel = Callable[..., MotionTransformer]
MakeAlgorithm = Callable[..., SequenceDiffReward]
Learn = Callable[..., dict[str, float]]


class Terms(NamedTuple):
    """Scores as a `CombinedReward` gives them."""

    total: np.ndarray
    terms: dict[str, np.ndarray]


class SlopedReward:
    """Pays the share of right tokens, and `hole` times the share of token 0; terms by name.

    `right` counts the first alone, for a guard to watch. Two members disagree about token 0.
    """

    needs_ground_truth = False
    without_gradient: tuple[str, ...] = ()
    terms = ("learned", "right")

    def __init__(self, task: Any, *, hole: float = 0.0, lie: float = 0.0) -> None:
        self._task, self._hole, self._lie = task, hole, lie

    def _shares(
        self, choices: Tensor, utterances: np.ndarray, lengths: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        task, width = self._task, choices.shape[1]
        right = torch.from_numpy(task.right_tokens(task.classes[utterances], width))
        inside = torch.arange(width) < torch.from_numpy(lengths)[:, None]
        paid = choices.gather(2, right[..., None])[..., 0]
        n = torch.from_numpy(lengths)
        return (paid * inside).sum(1) / n, (choices[..., 0] * inside).sum(1) / n

    def differentiable_score(
        self, choices: Tensor, utterances: np.ndarray, lengths: np.ndarray, condition: np.ndarray
    ) -> DifferentiableScores:
        right, zeros = self._shares(choices, utterances, lengths)
        return DifferentiableScores(right + self._hole * zeros + self._lie, zeros)

    def score_terms(self, written: Trajectories) -> Terms:
        choices = functional.one_hot(torch.from_numpy(written.tokens.clip(0)), self._task.n_tokens)
        right, zeros = self._shares(choices.float(), written.utterance, written.lengths)
        total = (right + self._hole * zeros).numpy()
        return Terms(total, {"learned": total, "right": right.numpy()})


@pytest.fixture
def make_sloped(make_env: Callable[..., Env]) -> Callable[..., Env]:
    """Return a maker of toy environments whose reward has a slope."""

    def make(task: SequenceTask, **reward: float) -> Env:
        env: Any = make_env(task)
        env.reward_function = SlopedReward(task, **{k: v for k, v in reward.items() if k != "off"})

        def score_tokens(
            utterances: np.ndarray, tokens: np.ndarray, lengths: np.ndarray, condition: np.ndarray
        ) -> np.ndarray:
            written = Trajectories(utterances, tokens, lengths, condition)
            return np.float32(env.reward_function.score_terms(written).total)

        env.score_tokens = score_tokens
        return env  # type: ignore[no-any-return]

    return make


@pytest.fixture
def start(make_algorithm: MakeAlgorithm) -> MakeAlgorithm:
    """Return a maker of algorithms without a guard: `start(env, **settings)`."""

    def make(env: Env, **settings: Any) -> SequenceDiffReward:
        return make_algorithm(
            SequenceDiffReward, env, **{"guard": None, "caution": 0.0, **settings}
        )

    return make


def _batch(task: SequenceTask, utterance: int, tokens: list[int], score: float) -> EpisodeBatch:
    utterances, empty = np.array([utterance]), np.zeros((1, len(tokens)), dtype=np.float32)
    return EpisodeBatch(
        utterances=utterances,
        condition=task.condition_of(utterances),
        tokens=np.array([tokens]),
        lengths=np.array([len(tokens)]),
        log_probs=empty,
        values=empty,
        scores=np.array([score], dtype=np.float32),
        advantages=empty,
        returns=empty,
    )


def _gradient(value: Tensor, model: MotionTransformer) -> Tensor:
    found = torch.autograd.grad(
        value, list(model.parameters()), retain_graph=True, allow_unused=True
    )
    pairs = zip(found, model.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


@pytest.mark.parametrize("remembers", [False, True])
def test_the_gradient_is_the_exact_one_by_enumeration(
    make_task: MakeTask, make_sloped: Callable[..., Env], start: MakeAlgorithm, remembers: bool
) -> None:
    """All sequences of two tokens, each weighed by its probability, through the whole network.

    The score is linear in every row, so straight-through has no bias of its own. What is left out
    is what a token does to the ones after it: nothing where the network does not read its history,
    and that is the whole of the difference where it does.
    """
    task = make_task(4, tokens_per_chunk=2, max_chunks=1)
    env: Any = make_sloped(task, hole=0.3)
    algorithm = start(env, estimator="straight-through")
    model = algorithm.model.eval()  # a dropout would be part of the difference
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator()))
        if not remembers:
            model.to_token_input.weight.zero_()
    exact, ours = torch.zeros(()), torch.zeros(sum(p.numel() for p in model.parameters()))
    for tokens in itertools.product(range(task.n_tokens), repeat=2):
        batch = _batch(task, 1, list(tokens), 0.0)
        written = Trajectories(batch.utterances, batch.tokens, batch.lengths, batch.condition)
        score = env.reward_function.score_terms(written).total
        batch.scores[:] = score
        heard: list[Tensor] = []

        def forward(*given: Tensor) -> tuple[Tensor, Tensor]:
            logits, values = model(*given)
            heard.append(logits)  # noqa: B023
            return logits, values

        terms = token_terms(forward, None, task, batch)
        probability = terms.log_probs.sum().exp()
        exact = exact + probability * float(score[0])
        loss, _ = algorithm.choice_loss(batch, algorithm._choices(heard[0], batch))
        ours -= probability.item() * _gradient(loss.sum(), model)
    wanted = _gradient(exact, model)
    off = (ours - wanted).norm() / wanted.norm()
    assert off < 1e-4 if not remembers else 1e-3 < off < 0.6


@pytest.mark.parametrize("estimator", ["gumbel", "straight-through", "reinmax"])
def test_it_reaches_the_optimum_of_the_toy_task(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm, learn: Learn,
    estimator: str,
) -> None:  # fmt: skip
    """In a dozen iterations: every token hears of itself, and a policy gradient takes thirty."""
    algorithm = start(make_sloped(task), estimator=estimator, learning_rate=1e-2)
    first = learn(algorithm)["rollout/score"]
    assert first < 0.5
    assert learn(algorithm, n_iterations=14)["rollout/score"] > 0.9


def test_caution_keeps_to_where_the_members_agree(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm, learn: Learn
) -> None:
    """They disagree about token 0, which the hole pays best."""
    zeros = {}
    for caution in (0.0, 3.0):
        algorithm = start(make_sloped(task, hole=2.0), caution=caution, learning_rate=1e-2)
        figures = learn(algorithm, n_iterations=15)
        zeros[caution] = figures["train/spread"]
        bound = figures["rollout/score"] - caution * zeros[caution]
        assert figures["train/lower_bound"] == pytest.approx(bound, abs=1e-5)
    assert zeros[0.0] > 0.6 > 0.3 > zeros[3.0]


def test_the_guard_stops_a_hack_and_puts_good_weights_back(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm, learn: Learn
) -> None:
    """The reward pays for token 0, and what is right falls: nobody else would notice."""
    good = start(make_sloped(task), learning_rate=1e-2)
    learn(good, n_iterations=12)
    env = make_sloped(task, hole=2.0)
    algorithm = start(env, guard="right", guard_every=1, guard_utterances=12, learning_rate=1e-2)
    algorithm.warm_start(good.model)
    algorithm.set_logger(Logger(folder=None, output_formats=[]))
    with pytest.warns(UserWarning, match="the guard `right` changed by"):
        algorithm.learn(64 * 40)
    assert algorithm.stopped and algorithm.looks[-1].says_stop
    assert not any(look.says_stop for look in algorithm.looks[:-1])
    assert algorithm.n_iterations == len(algorithm.looks) < 40
    for name, weight in algorithm.model.state_dict().items():
        assert torch.equal(weight, algorithm.kept.state_dict()[name]), name
    before = algorithm.num_timesteps
    with pytest.warns(UserWarning, match="set `stopped` to False to go on all the same"):
        algorithm.learn(1, reset_num_timesteps=False)
    assert algorithm.num_timesteps == before
    algorithm.stopped, algorithm.guard = False, None
    learn(algorithm)
    assert algorithm.num_timesteps > before


def test_a_guard_that_sees_nothing_is_said(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm, learn: Learn
) -> None:
    """An ensemble of one never disagrees; a run would look guarded and is not."""
    env: Any = make_sloped(task)
    plain = env.reward_function.differentiable_score

    def agreed(*given: Any) -> DifferentiableScores:
        score = plain(*given).score
        return DifferentiableScores(score, torch.zeros_like(score))

    env.reward_function.differentiable_score = agreed
    with pytest.warns(UserWarning, match="`guard` is 'auto', and the guard `disagreement` sees"):
        learn(start(env, guard="auto", guard_every=1))
    with pytest.raises(InputError, match="the reward is an ensemble of one; train one of several"):
        learn(start(env, guard="disagreement", guard_every=1))
    env.reward_function.needs_ground_truth = True
    learn(start(env, guard="auto", guard_every=1))  # true errors cannot be hacked


def test_a_resumed_run_ends_in_the_same_weights(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm, tmp_path: Path
) -> None:
    """Noise, guard and kept weights go on where they were."""
    how: dict[str, Any] = {"guard": "right", "guard_every": 2, "batch_tokens": 32, "kl_coef": 0.1}
    env, total = make_sloped(task), 4 * 64
    whole = start(env, **how).learn(total)
    cut = start(env, **how).learn(total // 2)
    cut.save(tmp_path / "cut")
    again = SequenceDiffReward.load(tmp_path / "cut", env=env)
    again.learn(total - again.num_timesteps, reset_num_timesteps=False)
    assert again.n_iterations == whole.n_iterations > cut.n_iterations
    for one, two in ((whole.model, again.model), (whole.kept, again.kept)):
        for name, weight in one.state_dict().items():
            assert torch.equal(weight, two.state_dict()[name]), name
    fresh = start(env, **how)
    fresh.load_further_state(cut.further_state())
    assert not fresh.stopped
    assert torch.equal(fresh.kept.to_logits, cut.kept.to_logits)


def test_a_clone_is_what_the_guard_compares_with(
    task: SequenceTask, make_sloped: Callable[..., Env], make_model: MakeModel
) -> None:
    """`from_clone` and `warm_start` set the kept weights, too."""
    clone = make_model(task, n_layers=1, width=32)
    algorithm = SequenceDiffReward.from_clone(
        clone, make_sloped(task), n_episodes=12, guard=None, seed=0
    )
    assert torch.equal(algorithm.kept.to_logits, clone.to_logits)
    algorithm.stopped = True
    algorithm.warm_start(clone)
    assert not algorithm.stopped


def test_another_score_than_the_environments_is_refused(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm, learn: Learn
) -> None:
    """A policy would climb what the log does not show."""
    algorithm = start(make_sloped(task, lie=0.5))
    with pytest.raises(TrainingFault, match="must give the same tokens the same score as"):
        learn(algorithm)


def test_rewards_without_a_slope_are_refused_by_name(
    task: SequenceTask, env: Any, make_sloped: Callable[..., Env], start: MakeAlgorithm
) -> None:
    """Said before anything is trained, with what to do."""
    with pytest.raises(ValueError, match="`env` must offer `reward_function`"):
        start(env)
    sloped: Any = make_sloped(task)
    sloped.reward_function.without_gradient = ("jerk", "closure")
    message = "got jerk, closure without `differentiable_score`; take `learned`"
    with pytest.raises(InputError, match=re.escape(message)):
        start(sloped)


class Halved(gymnasium.RewardWrapper[Any, Any]):
    """Pays half."""

    def reward(self, reward: Any) -> float:
        return float(reward) / 2


def test_wrappers_that_change_the_score_are_refused(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm
) -> None:
    """Their slope is not known, and leaving it out would be silent."""
    with pytest.raises(InputError, match="must have no wrappers that may change the score"):
        start(Halved(make_sloped(task)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimator": "soft"}, "`estimator` must be one of gumbel, straight-through, reinmax"),
        ({"relaxation": 0.0}, "`relaxation` must be above 0, got 0.0"),
        ({"caution": -1.0}, "`caution` must be at least 0, got -1.0"),
        ({"guard_tolerance": -0.1}, "`guard_tolerance` must be at least 0, got -0.1"),
        ({"guard_every": 0}, "`guard_every` must be at least 1, got 0"),
        ({"guard_utterances": 1}, "`guard_utterances` must be at least 2, got 1"),
        ({"guard": "wrong"}, "or a term (learned, right), got 'wrong'"),
        ({"guard": "recorded"}, "got 'recorded'; a term of weight 0 is watched alone"),
    ],
)
def test_settings_out_of_range_are_refused(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm,
    settings: dict[str, Any], message: str,
) -> None:  # fmt: skip
    """A guard that does not exist must not pass for one that is content."""
    with pytest.raises(ValueError, match=re.escape(message)):
        start(make_sloped(task), **settings)


def test_it_has_no_loss_from_log_probabilities(
    task: SequenceTask, make_sloped: Callable[..., Env], start: MakeAlgorithm
) -> None:
    """An override of `policy_loss` would never be called."""
    with pytest.raises(TypeError, match="has `choice_loss` in place of `policy_loss`"):
        start(make_sloped(task)).policy_loss(_batch(task, 0, [0, 1], 0.0), torch.zeros(1, 2))
