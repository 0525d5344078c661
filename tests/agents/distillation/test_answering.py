"""Answers of recordings: what the clone is taught first, and what then teaches."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.distillation import SequenceDistillation
from agents.distillation.answering import answers_loss, coarse_slots
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask
from agents.rollout.buffer import EpisodeBatch
from esarm_env.core.errors import InputError

MakeAlgorithm = Callable[..., SequenceAlgorithm]
_STREAMS = ("mouth", "mouth", "upper")


def test_the_finest_codes_of_a_stream_are_not_asked_for() -> None:
    """They mend what coarser ones missed; far off, their answers are noise."""
    assert coarse_slots(("mouth", "mouth", "upper", "upper")).tolist() == [1, 0, 1, 0]
    assert coarse_slots(("mouth", "mouth", "mouth", "upper")).tolist() == [1, 1, 0, 1]


class Answering:
    """A task whose recordings answer 2 to everything."""

    token_streams = _STREAMS

    def answers(self, utterances: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return np.where(tokens >= 0, 2, -1)


def test_the_loss_is_that_of_the_answers_and_not_of_what_was_written() -> None:
    """By hand: log(4) where all tokens are alike, and nothing of padding or finest slots."""
    logits = torch.zeros(2, 6, 4)
    logits[:, 1] = 50.0 * torch.tensor([1.0, 0, 0, 0])  # a finest slot, sure of another token
    logits[1, 3:] = torch.nan  # padding
    tokens = np.array([[0, 1, 3, 0, 1, 3], [0, 1, 3, -1, -1, -1]])
    zeros = np.zeros((2, 6), dtype=np.float32)
    batch = EpisodeBatch(
        utterances=np.arange(2), condition=np.zeros((2, 1), np.float32), tokens=tokens,
        lengths=np.array([6, 3]), log_probs=zeros, values=zeros, advantages=zeros, returns=zeros,
        scores=np.zeros(2, np.float32), stream_scores={},
    )  # fmt: skip
    found = answers_loss(logits, batch, Answering())  # type: ignore[arg-type]  # all that is asked
    assert float(found) == pytest.approx(np.log(4), rel=1e-6)


@pytest.fixture
def asked(
    make_algorithm: MakeAlgorithm,
    env: Any,
    task: SequenceTask,
    make_model: Callable[..., MotionTransformer],
    network: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> MakeAlgorithm:
    """Return a maker of distillations on a task that answers 0 to everything."""
    clone = make_model(task, seed=5, **network["network"])
    line = np.abs(np.arange(4)[:, None] - np.arange(4)).astype(np.float32)
    clone.set_code_distances(np.stack([line, line]))
    kind = type(task)
    monkeypatch.setattr(kind, "token_streams", ("mouth", "upper"), raising=False)
    nothing = staticmethod(lambda utterances, tokens: np.where(tokens >= 0, 0, -1))
    monkeypatch.setattr(kind, "answers", nothing, raising=False)

    def make(**settings: Any) -> SequenceAlgorithm:
        given = {"n_episodes": 12, "n_epochs": 8, "learning_rate": 1e-2, "samples_coef": 0.0}
        made = make_algorithm(SequenceDistillation, env, **(given | settings))
        made.warm_start(clone)
        return made

    return make


def test_a_policy_learns_the_answers_and_then_teaches_itself(asked: MakeAlgorithm) -> None:
    """Measured from the old clone, the divergence would pull it back to what it has unlearned."""
    made = asked(answers_iterations=2, kl_coef=0.01)
    before = {name: part.clone() for name, part in made.reference.state_dict().items()}
    made.learn(1)
    first = made.logger.name_to_value
    assert "train/policy_loss" not in first
    assert all(torch.equal(made.reference.state_dict()[name], before[name]) for name in before)
    made.learn(1, reset_num_timesteps=False)
    own = made.model.state_dict()
    assert all(torch.equal(made.reference.state_dict()[name], own[name]) for name in own)
    batch = made.rollout_buffer.episodes()  # type: ignore[union-attr]  # it has learned
    assert np.mean(batch.tokens[batch.inside] == 0) > 0.5, "a random policy writes a quarter"
    made.learn(1, reset_num_timesteps=False)
    moved = made.model.state_dict()
    assert any(not torch.equal(made.reference.state_dict()[name], moved[name]) for name in own)


def test_the_new_teacher_survives_an_interruption(asked: MakeAlgorithm) -> None:
    """Gone on with the clone's own weights, the rest of the run would teach something else."""
    made = asked(answers_iterations=1)
    made.learn(1)
    other = asked(answers_iterations=1)
    other.load_further_state(made.further_state())
    for name, part in made.reference.state_dict().items():
        torch.testing.assert_close(other.reference.state_dict()[name], part, rtol=0, atol=0)
    assert asked().further_state() == {}


def test_a_task_without_recordings_is_refused(
    make_algorithm: MakeAlgorithm, env: Any, task: SequenceTask
) -> None:
    """Found in the first update, the roll-out would have been in vain."""
    if hasattr(task, "answers"):
        pytest.fail("the tests' own task must not answer")
    with pytest.raises(InputError, match=re.escape("`answers_iterations` must be 0 where the")):
        make_algorithm(SequenceDistillation, env, n_episodes=12, answers_iterations=1)
