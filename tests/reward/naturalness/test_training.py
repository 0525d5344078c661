"""Training of naturalness: recordings rise, held-out utterances stop it, and it resumes exactly."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from reward.naturalness import collect_naturalness, recordings_above, with_animations


def test_recordings_are_told_from_random_tokens(trained, naturalness_data, tiny_task):
    """The least that can be asked of it, on utterances that it did not learn from."""
    trainer, rows = trained
    assert rows[-1]["loss"] < rows[0]["loss"]
    model = trainer.finish()
    unseen = naturalness_data(tiny_task.corpus.split("test"), seed=9)
    above = recordings_above(model, unseen)
    assert above == {"above_greedy": 1.0, "above_sampled": 1.0}


def test_recordings_go_through_the_tokenizer(naturalness_data, tiny_task):
    """Raw ones would be known by detail that no policy can write."""
    utterances = tiny_task.corpus.split("train")
    data = naturalness_data(utterances)
    decoded = tiny_task.decode(tiny_task.recorded(utterances))
    first = data.recorded[0].float().reshape(-1, 52)[: tiny_task.n_frames[utterances[0]]]
    np.testing.assert_allclose(first, decoded[0, : len(first)], atol=1e-3)
    raw = tiny_task.target_motion(utterances)[0, : len(first)]
    assert np.abs(first.numpy() - raw).max() > 0.01


def test_the_best_epoch_on_held_out_utterances_is_taken(make_trainer):
    """What is learned by heart afterwards would be paid for being one of the recordings."""
    trainer = make_trainer()
    first = trainer.advance()
    kept = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer._least_loss = first["validation_loss"] - 100  # no later epoch is better
    trainer.advance()
    assert trainer.best_epoch == 1
    model = trainer.finish()
    torch.testing.assert_close(model.state_dict()["streams.mouth.to_log_odds.weight"],
                               kept["streams.mouth.to_log_odds.weight"])  # fmt: skip


def test_a_resumed_training_is_the_uninterrupted_one(make_trainer):
    """Also the best weights so far, which may be those of an epoch before the interruption."""
    whole, first = make_trainer(), make_trainer()
    rows = [whole.advance() for _ in range(3)]
    first.advance()
    second = make_trainer()
    second.load_state_dict(first.state_dict())
    assert [second.advance() for _ in range(2)] == rows[1:]
    assert second.best_epoch == whole.best_epoch
    for name, value in whole.finish().state_dict().items():
        assert torch.equal(value, second.finish().state_dict()[name]), name


def test_absent_animations_count_nowhere(naturalness_data, make_trainer, tiny_task):
    """Half of the utterances have none without chance: zeros in their place are no faces."""
    utterances = tiny_task.corpus.split("train")
    data = naturalness_data(utterances)
    noisy = [torch.full_like(part, 7.0) for part in data.written["greedy"]]
    there = data.present["greedy"][0][:, None, None]
    other = dataclasses.replace(
        data,
        written={
            **data.written,
            "greedy": (torch.where(there, data.written["greedy"][0], noisy[0]),),
        },
    )
    trainers = [make_trainer(), make_trainer()]
    trainers[1]._train = other
    assert not there.all()
    assert trainers[0].advance() == trainers[1].advance()


def test_decoded_samples_are_added_as_another_way(naturalness_data, tiny_task):
    """The consensus model's samples are decoded already."""
    data = naturalness_data(tiny_task.corpus.split("train"))
    motion = torch.stack([data.recorded, data.recorded], dim=1)
    present = torch.ones(len(data), 2, dtype=torch.bool)
    more = with_animations(data, "copies", motion, present)
    assert list(more.written) == ["greedy", "sampled", "copies"]
    drawn = more.draw(np.arange(2), np.random.default_rng(0))
    assert drawn.motion.shape[1] == 4
    torch.testing.assert_close(drawn.motion[:, 0], drawn.motion[:, 3])


def test_animations_of_other_utterances_are_refused(tiny_task):
    """They would be told apart by what was said."""
    train = tiny_task.corpus.split("train")
    with pytest.raises(InputError, match=re.escape("`written` must hold animations to tell")):
        collect_naturalness(tiny_task, train, {"greedy": []})
    message = "`written['greedy']` must hold each of `utterances` at most once and no other, got "
    with pytest.raises(InputError, match=re.escape(message + "3 animations of 3 utterances, 1 of")):
        collect_naturalness(tiny_task, train[:2], {"greedy": [tiny_task.recorded(train[:3])]})
    with pytest.raises(InputError, match=re.escape(message + "2 animations of 1 utterances")):
        twice = tiny_task.recorded(train[[0, 0]])
        collect_naturalness(tiny_task, train, {"greedy": [twice]})
