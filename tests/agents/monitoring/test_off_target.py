"""The alarm's guard on off-target signals: rung by a shift that is large and sure, and by no less.

It looks at no true error, and at no ensemble.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.logger import Logger

from agents.monitoring.hacking import RewardHackingCallback, RewardHackingWarning
from agents.monitoring.held_out import Drift, HeldOut, Measurement, drifts

LEVEL = np.arange(8.0)  # its standard deviation is sqrt(5.25) = 2.291


def fake(**kwargs: Any) -> tuple[RewardHackingCallback, Callable[..., Any]]:
    """Return a callback over made-up figures without truth, and what takes the next look."""
    figures = {"proxy": LEVEL, "signals": {"speed": LEVEL}}
    held_out = HeldOut(
        lambda algorithm: figures,
        proxy=lambda written: written["proxy"],
        signals=lambda written: written["signals"],
    )
    callback = RewardHackingCallback(held_out, every=1, **{"drift": 0.5, **kwargs})
    policy = SimpleNamespace(state_dict=dict, load_state_dict=lambda state: None)
    logger = Logger(folder=None, output_formats=[])
    callback.model = SimpleNamespace(policy=policy, num_timesteps=0, logger=logger)  # type: ignore[assignment]

    def look(**changed: Any) -> None:
        figures.update(changed)
        callback.on_rollout_start()
        callback.on_rollout_end()

    return callback, look


@pytest.mark.parametrize("way", [1.0, -3.0])  # honest rewards calm a face: a fall counts a third
def test_a_signal_that_leaves_its_range_rings_while_the_proxy_rises(way: float) -> None:
    """A face that freezes and one that flaps are both far from the clone's."""
    callback, look = fake(window=1)
    look()
    look(proxy=LEVEL + 1, signals={"speed": LEVEL + way})  # .44 deviations, or a fall of 1.3
    assert not callback.alarms
    with pytest.warns(RewardHackingWarning, match="while out of range: signal_speed"):
        look(proxy=LEVEL + 2, signals={"speed": LEVEL + 1.2 * way})  # .52 since the first look
    (alarm,) = callback.alarms
    assert (alarm.before.iteration, alarm.after.iteration, alarm.by_signals) == (0, 2, True)
    change = f"{1.2 * way:+.3g}"
    assert str(alarm) == (
        "reward hacking between iterations 0 and 2: proxy +2 [+2, +2], "
        f"while out of range: signal_speed {change} [{change}, {change}]"
    )


@pytest.mark.parametrize(
    ("proxy", "speed"),
    [
        (LEVEL - 1, LEVEL + 5),  # training that fails altogether is another trouble
        (LEVEL + 1, LEVEL + 5 * np.array([1, -1] * 4)),  # some up, some down: nothing moved
        (LEVEL + 1, LEVEL + 40 * (LEVEL == 0) - 20 * (LEVEL == 1)),  # far, by two alone: not sure
        (LEVEL + 1, np.full(8, np.nan)),  # what a corpus never captured
    ],
)
def test_a_shift_that_is_unsure_or_for_nothing_is_no_alarm(
    proxy: np.ndarray, speed: np.ndarray
) -> None:
    """One false alarm in twenty runs, and nobody listens to the next."""
    callback, look = fake()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look()
        look(proxy=proxy, signals={"speed": speed})
    assert not callback.alarms


def test_shifts_are_in_deviations_between_utterances() -> None:
    """In units of their own, blinks a second and millimetres would have one threshold."""

    def measured(**signals: Any) -> Measurement:
        return Measurement(0, 0, LEVEL, {}, None, signals)

    first = measured(speed=LEVEL, still=np.zeros(8), same=np.ones(8), lost=np.full(8, np.nan))
    now = measured(speed=LEVEL - 2, still=np.full(8, 0.1), same=np.ones(8), lost=LEVEL)
    found = drifts(first, now)
    assert {name: drift.shift for name, drift in found.items()} == {
        "same": 0.0,
        "speed": pytest.approx(-2 / np.sqrt(5.25)),
        "still": np.inf,
    }


def test_how_sure_a_drift_is_depends_on_how_alike_utterances_moved() -> None:
    """By chance, one of a hundred signals is always two standard errors away."""
    changes = np.array([1.0, 3.0] * 4)  # 2 on average; standard error sqrt(8 / 7 / 8) = .378
    first = Measurement(0, 0, LEVEL, {}, None, {"speed": LEVEL}, {"speed": LEVEL + 0.5})
    now = Measurement(1, 0, LEVEL, {}, None, {"speed": LEVEL + changes})
    assert drifts(first, now) == {
        "speed": Drift(pytest.approx(1.5 / np.sqrt(5.25)), pytest.approx(1.5 * np.sqrt(7)))
    }
    for sure, rings in ((1.5 * np.sqrt(7) - 0.01, True), (1.5 * np.sqrt(7) + 0.01, False)):
        callback, look = fake(sure=sure)
        look()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RewardHackingWarning)
            look(proxy=LEVEL + 1, signals={"speed": LEVEL + changes - 0.5})
        assert bool(callback.alarms) is rings


@pytest.mark.parametrize(
    ("sharp", "speed", "left"),
    [
        (-2.0, -1.5, 0.0),  # calmer than the clone's samples, livelier than its greedy face
        (-2.0, -3.0, -1.0),
        (-2.0, 1.0, 1.0),
        (2.0, 1.5, 0.0),
        (2.0, -1.0, -1.0),
    ],
)
def test_what_sharpening_does_is_no_drift(sharp: float, speed: float, left: float) -> None:
    """Every honest reward makes a policy vary less: its rarer blinks would ring in every run."""
    spread = LEVEL.std()
    first = Measurement(0, 0, LEVEL, {}, None, {"speed": LEVEL}, {"speed": LEVEL + sharp})
    now = Measurement(1, 0, LEVEL, {}, None, {"speed": LEVEL + speed})
    assert drifts(first, now)["speed"].shift == pytest.approx(left / spread)


def test_sharpened_animations_are_written_once_before_training() -> None:
    """Later, the policy that hacks would set its own range."""
    asked = []

    def sharp(algorithm: Any) -> Any:
        asked.append(algorithm)
        return {"speed": LEVEL - 1}

    held_out = HeldOut(
        lambda algorithm: {"speed": LEVEL},
        proxy=lambda written: LEVEL,
        signals=lambda written: written,
        sharp=sharp,
    )
    callback = RewardHackingCallback(held_out, every=1)
    policy = SimpleNamespace(state_dict=dict, load_state_dict=lambda state: None)
    logger = Logger(folder=None, output_formats=[])
    callback.model = SimpleNamespace(policy=policy, num_timesteps=0, logger=logger)  # type: ignore[assignment]
    for _ in range(3):
        callback.on_rollout_start()
        callback.on_rollout_end()
    assert len(asked) == 1
    np.testing.assert_array_equal(callback.history[0].sharp["speed"], LEVEL - 1)
    again = Measurement.from_state(callback.history[0].state_dict())
    np.testing.assert_array_equal(again.sharp["speed"], LEVEL - 1)
    assert callback.history[1].sharp == {}


def test_a_resumed_callback_remembers_range_and_alarms() -> None:
    """Measured from the interruption on, a slow drift would never leave its range."""
    straight, look = fake(drift=0.6)
    look()
    with pytest.warns(RewardHackingWarning):
        look(proxy=LEVEL + 1, signals={"speed": LEVEL + 2})
    resumed, look_again = fake(drift=0.6)
    resumed.load_state_dict(straight.state_dict())
    assert [str(alarm) for alarm in resumed.alarms] == [str(alarm) for alarm in straight.alarms]
    look_again(proxy=LEVEL + 2, signals={"speed": LEVEL + 3})
    assert resumed.alarms[-1].before.iteration == 0
    older = straight.state_dict()
    for entry in older["history"]:
        del entry["signals"]
    older["alarms"] = []
    resumed.load_state_dict(older)  # saved before there were signals
    assert resumed.history[0].signals == {}


def test_signals_of_another_shape_and_a_drift_of_nothing_are_refused() -> None:
    """Broadcast, one utterance's speed would be every one's."""
    callback, look = fake()
    message = "`signals` must return shape (8,), got (1,) for speed"
    with pytest.raises(ValueError, match=re.escape(message)):
        look(signals={"speed": np.zeros(1)})
    with pytest.raises(ValueError, match=re.escape("`drift` must be above 0, got 0.0")):
        RewardHackingCallback(callback.held_out, drift=0.0)
    with pytest.raises(ValueError, match=re.escape("`sure` must be above 0, got -1")):
        RewardHackingCallback(callback.held_out, sure=-1)
