"""The loop of the rivals: same minibatches for all, stages, early stopping, resuming."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents.baselines.rivals import (
    Couple,
    Rival,
    RivalBatch,
    RivalData,
    RivalSettings,
    RivalTrainer,
    rival_class,
)
from agents.baselines.rivals.base import EMOTION, INTENSITY, PARTS, SPEAKER
from esarm_env.core.errors import InputError

MakeRival = Callable[..., Rival]
SETTINGS = RivalSettings(epochs=2, width=16, batch_utterances=4)


@pytest.fixture
def make_trainer(rival_data: RivalData, make_rival: MakeRival) -> Callable[..., RivalTrainer]:
    """Return a function that makes a trainer of a rival by name, with its own conditions."""

    def make(name: str = "faceformer", settings: RivalSettings = SETTINGS) -> RivalTrainer:
        parts = rival_class(name).sees
        widths = {EMOTION: 3, INTENSITY: 2, SPEAKER: 2}
        dim = sum(widths[part] for part in parts)
        return RivalTrainer(
            lambda: make_rival(name, condition_dim=dim),
            rival_data,
            parts=parts,
            settings=settings,
            seed=0,
        )

    return make


class _Staged(Rival):
    """Two stages: the first fits `early`, the second `late`, which alone is animated."""

    paper: ClassVar[str] = ""
    sees: ClassVar[tuple[str, ...]] = ()
    stages: ClassVar[int] = 2

    def __init__(self, sizes: object, loss: Callable[..., Tensor]) -> None:
        nn.Module.__init__(self)
        self.curve_loss = loss
        self.early, self.late = nn.Parameter(torch.zeros(52)), nn.Parameter(torch.zeros(52))

    def begin_stage(self, stage: int) -> list[nn.Parameter]:
        return [self.late if stage else self.early]

    def losses(self, batch: RivalBatch, stage: int) -> dict[str, Tensor]:
        pose = self.late if stage else self.early
        return {"fit": (batch.curves - pose).square()[batch.inside].mean()}

    def generate(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        return self.late.expand(*inside.shape, -1)


def _staged(data: RivalData, **settings: float) -> RivalTrainer:
    kind = dataclasses.replace(RivalSettings(batch_utterances=4, weight_decay=0.0), **settings)  # type: ignore[arg-type]
    return RivalTrainer(lambda: _Staged(None, data.loss), data, parts=(), settings=kind, seed=0)


def test_stages_follow_one_another_and_leave_the_weights_of_the_others_alone(
    rival_data: RivalData,
) -> None:
    """A first stage that goes on learning in the second is another model than the paper's."""
    trainer = _staged(rival_data, epochs=3, learning_rate=0.05)
    assert trainer.n_total == 6
    rows = []
    early = None
    while trainer.n_done < trainer.n_total:
        rows.append(trainer.advance())
        if trainer.stage == 0:
            early = trainer.rival.get_parameter("early").detach().clone()
            assert not trainer.rival.get_parameter("late").any()
    assert [row["stage"] for row in rows] == [0, 0, 0, 1, 1, 1]
    rival = trainer.finish()
    assert early is not None and early.any()
    assert torch.equal(rival.get_parameter("early"), early)
    assert rival.get_parameter("late").any()
    # Of the last stage the loss is that of what is animated, not the stage's own.
    batch = rival_data.batch([10, 11], ())
    curves = rival.generate(batch.features, batch.condition, batch.inside)
    own = rival_data.loss(curves, batch.curves, batch.inside).item()
    assert min(row["validation_loss"] for row in rows[3:]) == pytest.approx(own, rel=1e-5)


def test_a_stage_whose_patience_is_spent_gives_way_to_the_next(rival_data: RivalData) -> None:
    """At a rate that overshoots, epochs are wasted; the next stage still gets all of its own."""
    trainer = _staged(rival_data, epochs=8, patience=1, learning_rate=3.0)
    rows = []
    while trainer.n_done < trainer.n_total:
        rows.append(trainer.advance())
    counts = [sum(row["stage"] == stage for row in rows) for stage in (0, 1)]
    assert 2 <= counts[0] < 8 and 2 <= counts[1] < 8


@pytest.mark.parametrize("name", ["faceformer", "emotalk"])
def test_an_interrupted_training_goes_on_bit_for_bit(
    name: str, make_trainer: Callable[..., RivalTrainer]
) -> None:
    """Else a training that was killed once is another training."""
    whole, first, second = (make_trainer(name) for _ in range(3))
    rows = [whole.advance(), whole.advance()]
    assert first.advance() == rows[0]
    second.load_state_dict(first.state_dict())
    assert second.n_done == 1 and second.advance() == rows[1]
    again, wanted = second.finish().state_dict(), whole.finish().state_dict()
    assert all(torch.equal(again[key], wanted[key]) for key in wanted)


def test_an_interruption_between_two_stages_changes_nothing(rival_data: RivalData) -> None:
    """The second stage starts from the best weights of the first, also after a pause."""
    whole, first, second = (_staged(rival_data, epochs=2) for _ in range(3))
    rows = [whole.advance() for _ in range(4)]
    for _ in range(3):
        first.advance()
    second.load_state_dict(first.state_dict())
    assert (second.stage, second.n_total) == (1, 4)
    assert second.advance() == rows[3] and second.n_done == second.n_total


def test_a_state_of_no_such_stage_is_refused(rival_data: RivalData) -> None:
    """It would train what the rival has not."""
    trainer = _staged(rival_data, epochs=2)
    trainer.advance()
    state = trainer.state_dict() | {"stage": 2}
    with pytest.raises(ValueError, match=re.escape("`stage` and `begun` must be counts, got 2")):
        trainer.load_state_dict(state)


def test_a_rival_sees_the_conditions_of_its_paper_alone(
    rival_data: RivalData, make_rival: MakeRival
) -> None:
    """A margin over one that knew the emotion must not be told as one over one that did not."""
    assert rival_class("faceformer").sees == (SPEAKER,)
    assert rival_class("emotalk").sees == (INTENSITY, SPEAKER)
    told = rival_data.conditions.copy()
    told[:, :3] = np.roll(told[:, :3], 1, axis=1)
    other = dataclasses.replace(rival_data, conditions=told)
    for name, dim in (("faceformer", 2), ("emotalk", 4)):
        rival, parts = make_rival(name, condition_dim=dim), rival_class(name).sees
        shown = [data.batch([0, 1], parts) for data in (rival_data, other)]
        assert shown[0].condition.shape == (2, dim)
        a, b = (rival.generate(each.features, each.condition, each.inside) for each in shown)
        assert torch.equal(a, b)
        rival = make_rival(name, condition_dim=7)
        shown = [data.batch([0, 1], PARTS) for data in (rival_data, other)]
        a, b = (rival.generate(each.features, each.condition, each.inside) for each in shown)
        assert not torch.allclose(a, b)


def test_speakers_are_hidden_as_often_as_set_and_the_recorded_conditions_stay(
    rival_data: RivalData,
) -> None:
    """Test speakers are unknown: who never trained without one animates noise."""
    before = rival_data.conditions.copy()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shown = rival_data.batch([0] * 400, (SPEAKER,), speaker_dropout=0.25).condition
    assert shown.shape == (400, 2)
    assert 70 < (shown.sum(1) == 0).sum() < 130
    assert np.array_equal(rival_data.conditions, before)


def test_parallel_rows_stand_side_by_side_and_say_where_the_same_is_said(
    rival_data: RivalData,
) -> None:
    """Rows that are off by one would be crossed with a stranger."""
    couples = [Couple(2, 3, parallel=False), Couple(0, 1, parallel=True)]
    found = rival_data.parallel(couples, 20)
    assert found is not None
    assert (found.sources.tolist(), found.targets.tolist()) == ([2], [3])
    assert found.places[0].tolist() == [k * 2 // 3 for k in range(18)] + [0, 0]
    assert rival_data.parallel(couples[:1], 20) is None


def test_settings_out_of_range_and_unknown_names_are_refused(rival_data: RivalData) -> None:
    """An odd minibatch would lose half a pair without a word."""
    for settings, message in (
        ({"batch_utterances": 5}, "`batch_utterances` must be even (pairs), got 5"),
        ({"width": 40}, "`width` must be a multiple of 16, got 40"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0 and finite, got 0.0"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            _staged(rival_data, **settings)
    message = "must be one of meshtalk, faceformer, emotalk, codetalker, got 'facefromer'"
    with pytest.raises(InputError, match=re.escape(message)):
        rival_class("facefromer")
    empty = dataclasses.replace(rival_data, validation=np.array([], dtype=np.int64))
    with pytest.raises(InputError, match="`validation` must hold at least one utterance, got none"):
        _staged(empty)
