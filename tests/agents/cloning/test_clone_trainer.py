"""Cloning: it reproduces what it was shown, stops in time, and resumes bit for bit."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.cloning import CloneConfig, CloneTrainer, Demonstrations
from agents.network.transformer import MotionTransformer
from agents.protocols import FloatArray, IntArray, SequenceTask
from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env.core.seeds import sequence_seeds

MakeTask = Callable[..., SequenceTask]
Weights = dict[str, Tensor]

_CONFIG = CloneConfig(
    n_layers=1, n_heads=2, width=32, epochs=15, batch_sequences=8, learning_rate=5e-3, patience=15
)
# Nothing random is left, so that losses can be computed again by hand.
_BARE = replace(
    _CONFIG,
    dropout=0.0,
    label_smoothing=0.0,
    speaker_dropout=0.0,
    feature_noise=0.0,
    token_noise=0.0,
)
_ALL = np.arange(24)


@pytest.fixture
def task(make_task: MakeTask) -> SequenceTask:
    """Return 24 utterances of 2 to 8 tokens, 4 tokens to choose from."""
    return make_task(24)


def _cloning(
    task: SequenceTask,
    config: CloneConfig = _CONFIG,
    *,
    train: IntArray | Demonstrations = _ALL[:16],
    validation: IntArray | Demonstrations = _ALL[16:],
    speaker_start: int = 3,
    seed: int = 0,
) -> CloneTrainer:
    return CloneTrainer(
        task,
        train=train,
        validation=validation,
        config=config,
        speaker_start=speaker_start,
        seed=seed,
    )


def _assert_equal(one: Weights, two: Weights) -> None:
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), f"{name} differs"


def _differ(one: Weights, two: Weights) -> bool:
    return any(not torch.equal(one[name], two[name]) for name in one)


def _losses(
    model: MotionTransformer, task: SequenceTask, utterances: IntArray, *, smoothing: float = 0.0
) -> tuple[list[float], list[bool]]:
    """Return loss and hit of every token, one utterance at a time, so that nothing is padded."""
    losses, hits = [], []
    model.eval()
    for utterance in utterances:
        row = np.array([utterance])
        (tokens,) = task.demonstrations(row)
        with torch.no_grad():
            logits, _ = model(
                torch.from_numpy(task.audio_windows(row)),
                torch.from_numpy(task.condition_of(row)),
                torch.from_numpy(tokens[None]),
            )
        for scores, token in zip(logits[0].double().log_softmax(-1), tokens, strict=True):
            losses.append(-float((1 - smoothing) * scores[token] + smoothing * scores.mean()))
            hits.append(int(scores.argmax()) == token)
    return losses, hits


def test_a_clone_reproduces_the_demonstrations(task: SequenceTask) -> None:
    """Held-out utterances, greedy, token for token: a low loss alone may come from peeking."""
    cloning = _cloning(task)
    model = cloning.learn()
    held_out = _ALL[16:]
    losses, _ = _losses(model, task, held_out)
    assert np.mean(losses) < 0.2 * np.log(task.n_tokens)
    assert not model.training
    zeros = np.zeros_like(held_out)
    written = generate(
        model,
        task,
        held_out,
        condition=task.condition_of(held_out),
        decoding=Decoding(),
        seeds=sequence_seeds(run_seed=0, iteration=0, utterances=held_out, samples=zeros),
    )
    np.testing.assert_array_equal(written.tokens, task.demonstrations(held_out))


def test_the_validation_loss_is_the_mean_over_all_tokens(task: SequenceTask) -> None:
    """Padded labels, or batches of unequal size weighted alike, would choose other weights.

    Lengths of 2 to 8 in batches of 3 and 2: a mean of batch means is another number.
    """
    validation = np.array([20, 3, 9, 14, 1])
    cloning = _cloning(task, replace(_CONFIG, batch_sequences=3), validation=validation)
    for _ in range(2):
        row = cloning.advance()
        losses, hits = _losses(cloning.model, task, validation)
        assert row["validation_loss"] == pytest.approx(np.mean(losses), abs=1e-5)
        assert row["validation_accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_training_loss_is_the_one_computed_by_hand(
    task: SequenceTask, smoothing: float
) -> None:
    """One batch of all lengths, nothing random: padding must add neither loss nor tokens."""
    config = replace(_BARE, batch_sequences=16, label_smoothing=smoothing)
    cloning = _cloning(task, config)
    losses, _ = _losses(cloning.model, task, _ALL[:16], smoothing=smoothing)
    assert cloning.advance()["train_loss"] == pytest.approx(np.mean(losses), abs=1e-5)


def test_padding_adds_nothing_to_the_gradient(task: SequenceTask) -> None:
    """The short utterance beside a long one, against the two alone, weighted by their tokens."""
    pair, weights = np.array([0, 12]), []
    for _ in range(2):
        model = _cloning(task, _BARE).model
        if not weights:
            _sum_of_losses(model, task, pair).backward()
        else:
            for utterance in pair:
                _sum_of_losses(model, task, np.array([utterance])).backward()
        weights.append([p.grad for p in model.parameters() if p.grad is not None])
    together, alone = weights
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def _sum_of_losses(model: MotionTransformer, task: SequenceTask, utterances: IntArray) -> Tensor:
    tokens = torch.from_numpy(task.demonstrations(utterances))
    logits, _ = model(
        torch.from_numpy(task.audio_windows(utterances)),
        torch.from_numpy(task.condition_of(utterances)),
        tokens,
    )
    scores = logits.log_softmax(-1).gather(2, tokens.clamp(min=0)[..., None])[..., 0]
    return -(scores * (tokens >= 0)).sum()


def test_training_stops_when_patience_is_spent(task: SequenceTask) -> None:
    """At a rate of 0 the first epoch stays the best: 3 more are allowed, then it is over."""
    cloning = _cloning(task, replace(_CONFIG, learning_rate=1e-30, patience=3, epochs=40))
    cloning.learn()
    assert cloning.n_done == cloning.n_total == 4


def test_patience_starts_again_with_every_better_epoch(task: SequenceTask) -> None:
    """A count that is never set back would end training after the first few slow epochs."""
    cloning = _cloning(task, replace(_CONFIG, patience=2, epochs=12, learning_rate=1e-3))
    losses = [cloning.advance()["validation_loss"] for _ in range(3)]
    assert losses == sorted(losses, reverse=True), "the start must be all progress"
    assert cloning.n_total == 12


def test_training_stops_after_all_epochs(task: SequenceTask) -> None:
    """The last epoch must be run, and no other after it."""
    cloning = _cloning(task, replace(_CONFIG, epochs=2))
    cloning.learn()
    assert cloning.n_done == cloning.n_total == 2


def test_the_best_weights_are_returned_not_the_last(make_task: MakeTask) -> None:
    """The demonstrations held out are of other classes: the better the fit, the worse the loss."""
    task = make_task(24, liars=range(16, 24))
    config = replace(_CONFIG, epochs=40, patience=4, learning_rate=1e-2)
    watched = _cloning(task, config)
    losses, weights = [], []
    while watched.n_done < watched.n_total:
        losses.append(watched.advance()["validation_loss"])
        weights.append(copy.deepcopy(watched.model.state_dict()))
    best = int(np.argmin(losses))
    assert losses[-1] > losses[best] + 0.1, "this fit was meant to go wrong"
    assert len(losses) == best + 1 + 4 < 40
    _assert_equal(watched.best_weights, weights[best])
    model = _cloning(task, config).learn()
    _assert_equal(model.state_dict(), weights[best])


def test_scheduled_sampling_of_zero_changes_nothing(
    task: SequenceTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off, it must neither cost a pass nor draw a number: old runs must come out again."""
    plain = _cloning(task)
    rows = [plain.advance() for _ in range(2)]

    def fail(*_: Any) -> None:
        raise AssertionError("a first pass was made")

    monkeypatch.setattr("agents.cloning.trainer.own_tokens", fail)
    off = _cloning(task, replace(_CONFIG, scheduled_sampling=0.0))
    assert [off.advance() for _ in range(2)] == rows
    assert "own_tokens" not in rows[0]
    _assert_equal(plain.model.state_dict(), off.model.state_dict())


def test_the_share_of_own_tokens_rises_in_a_straight_line(make_task: MakeTask) -> None:
    """Two batches an epoch, four epochs, up to 0.8: 0.1 and 0.2, then 0.3 and 0.4, and so on."""
    task = make_task(800)
    every = np.arange(800)
    config = replace(
        _BARE, scheduled_sampling=0.8, epochs=4, batch_sequences=399, learning_rate=1e-30
    )
    cloning = _cloning(task, config, train=every[:798], validation=every[798:])
    shares = [cloning.advance()["own_tokens"] for _ in range(4)]
    np.testing.assert_allclose(shares, [0.15, 0.35, 0.55, 0.75], atol=0.03)


def test_own_tokens_are_shown_and_recorded_ones_are_asked_for(
    task: SequenceTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own tokens in the labels would teach the model to repeat itself."""
    shown, said = [], torch.full((1,), 3)

    def speak(*batch: Any) -> Tensor:
        return said.expand(batch[-1].shape)

    monkeypatch.setattr("agents.cloning.trainer.own_tokens", speak)
    config = replace(_BARE, scheduled_sampling=1.0, epochs=1, batch_sequences=16)
    cloning = _cloning(task, config)
    model = copy.deepcopy(cloning.model)
    cloning.model.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[2]))
    row = cloning.advance()
    assert row["own_tokens"] == 1.0
    seen = shown[0]
    assert set(seen.unique().tolist()) == {-1, 3}
    lengths = (seen >= 0).sum(1)
    assert sorted(lengths.tolist()) == sorted(task.lengths[:16].tolist())
    losses = []
    for utterance in _ALL[:16]:
        row_of = np.array([utterance])
        tokens = torch.from_numpy(task.demonstrations(row_of))
        logits, _ = model(
            torch.from_numpy(task.audio_windows(row_of)),
            torch.from_numpy(task.condition_of(row_of)),
            torch.full_like(tokens, 3),
        )
        scores = logits.log_softmax(-1).gather(2, tokens[..., None])
        losses += (-scores.flatten()).tolist()
    assert row["train_loss"] == pytest.approx(np.mean(losses), abs=1e-5)


def test_the_global_random_numbers_are_left_alone(task: SequenceTask) -> None:
    """Neither may training move them, nor a callback that draws some change the training."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    cloning = _cloning(task)
    rows = [cloning.advance() for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    disturbed = _cloning(task)
    first = disturbed.advance()
    torch.rand(7)
    assert [first, disturbed.advance()] == rows


def test_demonstrations_of_ones_own_are_cloned(make_task: MakeTask) -> None:
    """Any arrays, not the corpus' own: the recordings here are of other classes."""
    honest, task = make_task(24), make_task(24, liars=range(24))
    cloning = _cloning(
        task,
        train=Demonstrations.recorded(honest, _ALL[:16]),
        validation=Demonstrations.recorded(honest, _ALL[16:]),
    )
    expected = _cloning(honest)
    assert [cloning.advance() for _ in range(2)] == [expected.advance() for _ in range(2)]
    _assert_equal(cloning.model.state_dict(), expected.model.state_dict())


def test_conditions_of_demonstrations_survive_a_hidden_speaker(task: SequenceTask) -> None:
    """Hidden in place, a speaker would be gone for all epochs after the first."""
    made = Demonstrations.recorded(task, _ALL[:16])
    condition = made.condition.copy()
    _cloning(task, replace(_CONFIG, speaker_dropout=1.0), train=made).advance()
    np.testing.assert_array_equal(made.condition, condition)


def _resumed(
    cloning: CloneTrainer, task: SequenceTask, config: CloneConfig = _CONFIG
) -> CloneTrainer:
    """Return another clone, far off, that goes on from what a file of `cloning` would hold."""
    file = io.BytesIO()
    torch.save(cloning.state_dict(), file)
    file.seek(0)
    other = _cloning(task, config, seed=77)
    other.advance()
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
@pytest.mark.parametrize("scheduled_sampling", [0.0, 0.9])
def test_resuming_is_bit_for_bit_the_uninterrupted_run(
    task: SequenceTask, stop: int, scheduled_sampling: float
) -> None:
    """Order, noise, dropout, rate and optimiser: leave one out and no run can be repeated.

    The state goes through a file, as a checkpoint would.
    """
    config = replace(_CONFIG, scheduled_sampling=scheduled_sampling)
    straight = _cloning(task, config)
    rows = [straight.advance() for _ in range(4)]
    interrupted = _cloning(task, config)
    assert [interrupted.advance() for _ in range(stop)] == rows[:stop]
    resumed = _resumed(interrupted, task, config)
    assert resumed.n_done == stop
    assert [resumed.advance() for _ in range(4 - stop)] == rows[stop:]
    _assert_equal(straight.model.state_dict(), resumed.model.state_dict())
    _assert_equal(straight.best_weights, resumed.best_weights)


def test_resuming_keeps_the_best_epoch(make_task: MakeTask) -> None:
    """A best loss forgotten at the restart would let worse weights win, and patience start anew."""
    task = make_task(24, liars=range(16, 24))
    config = replace(_CONFIG, epochs=40, patience=4, learning_rate=1e-2)
    straight = _cloning(task, config)
    expected = straight.learn()
    interrupted = _cloning(task, config)
    while interrupted.n_done < straight.n_done - 2:
        interrupted.advance()
    state = copy.deepcopy(interrupted.state_dict())
    resumed = _cloning(task, config, seed=5)
    resumed.load_state_dict(state)
    _assert_equal(expected.state_dict(), resumed.learn().state_dict())
    assert resumed.n_done == straight.n_done


def test_the_same_seed_clones_the_same_weights(task: SequenceTask) -> None:
    """Seeds are the unit of every confidence interval."""
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(99 + len(models))
        cloning = _cloning(task, seed=seed)
        cloning.advance()
        models.append(cloning.model.state_dict())
    _assert_equal(models[0], models[1])
    assert _differ(models[0], models[2])


class _OtherConditions:
    """Stands in for a task, with some columns of the conditions shifted."""

    def __init__(self, task: SequenceTask, columns: slice) -> None:
        self._task, self._columns = task, columns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def condition_of(self, utterances: IntArray) -> FloatArray:
        condition = self._task.condition_of(utterances)
        condition[:, self._columns] += 1
        return condition


@pytest.mark.parametrize(
    ("columns", "hidden"), [(slice(3, None), True), (slice(0, 3), False), (slice(2, 3), False)]
)
def test_a_hidden_speaker_is_hidden_and_nothing_else(
    task: SequenceTask, columns: slice, hidden: bool
) -> None:
    """Always hidden, the speaker cannot matter; the emotion before it still must."""
    config = replace(_BARE, speaker_dropout=1.0)
    one, other = _cloning(task, config), _cloning(_OtherConditions(task, columns), config)
    one.advance()
    other.advance()
    assert _differ(one.model.state_dict(), other.model.state_dict()) is not hidden


def test_a_speaker_that_is_never_hidden_matters(task: SequenceTask) -> None:
    """Speaker dropout of 0 must leave every speaker in."""
    other_task = _OtherConditions(task, slice(3, None))
    one, other = _cloning(task, _BARE), _cloning(other_task, _BARE)
    one.advance()
    other.advance()
    assert _differ(one.model.state_dict(), other.model.state_dict())


@pytest.mark.parametrize("noise", ["feature_noise", "token_noise", "dropout", "label_smoothing"])
def test_every_noise_reaches_the_training(task: SequenceTask, noise: str) -> None:
    """A setting that is read but not used is a wrong line in every table of ablations."""
    calm, noisy = _cloning(task, _BARE), _cloning(task, replace(_BARE, **{noise: 0.5}))
    calm.advance()
    noisy.advance()
    assert _differ(calm.model.state_dict(), noisy.model.state_dict())


def test_random_past_tokens_leave_the_labels_alone(task: SequenceTask) -> None:
    """The past is replaced, not what is to be said: the audio alone must still be learnt from."""
    cloning = _cloning(task, replace(_BARE, token_noise=1.0))
    for _ in range(12):
        row = cloning.advance()
    assert row["train_loss"] < 0.2 * np.log(task.n_tokens)


def test_the_rate_rises_over_the_first_epoch_then_falls(task: SequenceTask) -> None:
    """One batch an epoch: 0.05 of the rate, then 0.02 + 0.49 (1 + cos(π e / 4)) for e = 1, 2, 3."""
    cloning = _cloning(task, replace(_CONFIG, batch_sequences=16, epochs=4, learning_rate=1e-3))
    rates = []
    for _ in range(4):
        cloning.advance()
        rates.append(cloning.state_dict()["optimizer"]["param_groups"][0]["lr"])
    half = 0.5**0.5
    expected = [0.05, 0.02 + 0.49 * (1 + half), 0.02 + 0.49, 0.02 + 0.49 * (1 - half)]
    np.testing.assert_allclose(rates, np.array(expected) * 1e-3, rtol=1e-6)


class _BrokenFeatures(_OtherConditions):
    """Stands in for a task one of whose utterances has features that are no numbers."""

    def __init__(self, task: SequenceTask, broken: int) -> None:
        super().__init__(task, slice(0, 0))
        self._broken = broken

    def audio_windows(self, utterances: IntArray) -> FloatArray:
        windows = self._task.audio_windows(utterances)
        windows[utterances == self._broken] = np.nan
        return windows


@pytest.mark.parametrize("broken", [5, 20])
def test_a_loss_that_is_no_number_stops_the_training(task: SequenceTask, broken: int) -> None:
    """Neither in training (5) nor in validation (20): nan is never a better loss.

    The clone would be the random weights of the start, and everything would go on from it.
    """
    with pytest.raises(RuntimeError, match=re.escape("loss must be finite, got nan")):
        _cloning(_BrokenFeatures(task, broken), replace(_CONFIG, patience=2)).learn()


def test_a_loss_that_is_no_number_names_epoch_and_utterances(task: SequenceTask) -> None:
    """Among thousands of recordings, the broken one must be found in a batch of eight."""
    rule = r"loss must be finite, got nan in epoch 1 for utterances \[(\d+, )*5(, \d+)*\]"
    with pytest.raises(RuntimeError, match=rule):
        _cloning(_BrokenFeatures(task, 5)).advance()


@pytest.mark.parametrize(("patience", "epochs"), [(0, 9), (-1, 9), (4, 0), (4, -2)])
def test_a_training_of_no_epochs_is_rejected(
    task: SequenceTask, patience: int, epochs: int
) -> None:
    """Nothing would be trained, and the random weights of the start returned as a clone."""
    name, value = ("epochs", epochs) if epochs < 1 else ("patience", patience)
    rule = f"`{name}` must be at least 1, got {value}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        _cloning(task, replace(_CONFIG, patience=patience, epochs=epochs))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("label_smoothing", 1.0, "at least 0 and below 1"),
        ("label_smoothing", -0.1, "at least 0 and below 1"),
        (
            "scheduled_sampling",
            1.5,
            "at least 0 and at most 1",
        ),
        ("token_noise", float("nan"), "at least 0 and at most 1"),
        ("speaker_dropout", -1.0, "at least 0 and at most 1"),
    ],
)
def test_shares_out_of_range_are_rejected(
    task: SequenceTask, name: str, value: float, rule: str
) -> None:
    """Full smoothing leaves nothing to learn; the others are probabilities."""
    with pytest.raises(ValueError, match=re.escape(f"`{name}` must be {rule}, got {value}")):
        _cloning(task, replace(_CONFIG, **{name: value}))


def test_a_training_of_one_epoch_is_allowed(task: SequenceTask) -> None:
    """The quickest check of a pipeline."""
    cloning = _cloning(task, replace(_CONFIG, patience=1, epochs=1))
    cloning.learn()
    assert cloning.n_done == cloning.n_total == 1


@pytest.mark.parametrize("name", ["train", "validation"])
def test_an_empty_split_is_rejected(task: SequenceTask, name: str) -> None:
    """Without validation there is no best epoch; the first weights would be returned as a clone."""
    rule = f"`{name}` must hold at least one utterance, got none"
    with pytest.raises(ValueError, match=re.escape(rule)):
        _cloning(task, **{name: np.array([], dtype=np.int64)})


def test_splits_of_one_utterance_are_allowed(task: SequenceTask) -> None:
    """The smallest corpus there is must clone."""
    cloning = _cloning(task, train=np.array([3]), validation=np.array([5]))
    assert np.isfinite(list(cloning.advance().values())).all()
