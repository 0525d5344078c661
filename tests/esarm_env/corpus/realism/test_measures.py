"""One utterance measured: closures, blinks, brows, gaze, spectrum, each with a known answer."""

from collections.abc import Callable

import numpy as np
import pytest

from esarm_env.core.types import Utterance
from esarm_env.corpus.realism.measures import FIGURES, figures_of, measure
from esarm_env.face.names import index_of

JAW, CLOSE = index_of("jawOpen"), index_of("mouthClose")
TIME_S = np.arange(90) / 30
MakeUtterance = Callable[..., Utterance]


def figure(name: str, *utterances: Utterance) -> float:
    values = figures_of([measure(utterance) for utterance in utterances])
    return float(values[FIGURES.index(name)])


def test_levels_are_those_of_speech(utterance: MakeUtterance) -> None:
    """A corpus with long silences is not a still one."""
    loud = np.where(TIME_S < 1.5, 1.0, 0.0)
    talking = utterance(loudness=loud, curves={JAW: np.where(TIME_S < 1.8, 0.4, 0.0)})
    assert figure("jawOpen: mean", talking) == pytest.approx(0.4, abs=0.02), "mean in speech"
    assert figure("jawOpen: std", talking) < 0.05, "spread in speech"
    assert figure("jawOpen: p95", talking) == pytest.approx(0.4), "95th percentile"


def test_speed_is_per_second(utterance: MakeUtterance) -> None:
    """A triangle of height 0.3 that takes 0.2 s each way moves 1.5 per second."""
    triangle = 0.3 * np.abs((TIME_S / 0.2) % 2 - 1)
    assert figure("jawOpen: speed (1/s)", utterance(curves={JAW: triangle})) == pytest.approx(
        1.5, rel=0.05
    ), "speed"


@pytest.mark.parametrize(
    ("hz", "band"), [(1.0, "0-2 Hz"), (4.0, "2-5 Hz"), (6.0, "5-8 Hz"), (11.0, "8-15 Hz")]
)
def test_velocity_falls_into_its_band(hz: float, band: str, utterance: MakeUtterance) -> None:
    """Bands shifted by one would call jitter speech."""
    wave = 0.5 + 0.3 * np.sin(2 * np.pi * hz * TIME_S)
    assert figure(f"jawOpen: {band}", utterance(curves={JAW: wave})) > 0.85, f"{hz} Hz in {band}"


def test_still_channel_has_no_spectrum(utterance: MakeUtterance) -> None:
    """Dividing nothing by nothing would put nan's warning into every comparison."""
    assert np.isnan(figure("jawOpen: 0-2 Hz", utterance())), "no power, no share"


def test_jaw_that_follows_loudness_has_its_lag(utterance: MakeUtterance) -> None:
    """The sign of the lag decides whether the mouth is early or late."""
    loud = 10 ** (np.sin(2 * np.pi * TIME_S) - 1)
    jaw = np.roll(np.sin(2 * np.pi * TIME_S), 2) * 0.3 + 0.4
    late = utterance(loudness=loud, curves={JAW: jaw})
    assert figure("loudness to jawOpen: lag (frames)", late) == 2, "the jaw comes two frames late"
    assert figure("loudness to jawOpen: correlation", late) > 0.98, "it follows closely"


def test_correlation_does_not_join_clips(utterance: MakeUtterance) -> None:
    """Shifting across the seam of two clips would pair one's sound with the other's jaw."""
    waves = [sign * np.sin(9 * TIME_S) for sign in (1, -1)]
    clips = [utterance(loudness=10 ** (w - 1), curves={JAW: 0.4 + 0.3 * w}) for w in waves]
    assert figure("loudness to jawOpen: correlation", *clips) > 0.99, "both clips follow"
    assert figure("loudness to jawOpen: lag (frames)", *clips) == 0, "without lag"


def test_still_jaw_has_no_correlation(utterance: MakeUtterance) -> None:
    assert np.isnan(figure("loudness to jawOpen: correlation", utterance())), "undefined"


def test_closures_are_as_deep_as_they_are(utterance: MakeUtterance) -> None:
    """Half closings must not pass for lips that meet."""
    dips = np.interp(np.arange(90), [0, 10, 20, 30, 40, 50, 89], [0, 0.4, 0.2, 0.5, 0.0, 0.5, 0])
    closures = measure(utterance(curves={JAW: dips})).closures
    assert closures == pytest.approx([0.5, 1.0]), "half of the lower neighbour, then shut"


def test_lips_close_over_an_open_jaw(utterance: MakeUtterance) -> None:
    """With ARKit lips also meet where `mouthClose` equals `jawOpen`."""
    close = 0.4 * np.exp(-0.5 * ((np.arange(90) - 45) / 4) ** 2)
    still = measure(utterance(curves={JAW: 0.4, CLOSE: close})).closures
    assert len(still) == 0, "no maximum before or after: nothing to measure against"
    wave = 0.4 + 0.1 * np.cos(2 * np.pi * (np.arange(90) - 45) / 45)
    assert measure(utterance(curves={JAW: wave, CLOSE: close * 1.25})).closures.max() > 0.99, "shut"


def test_blinks_are_counted_once(utterance: MakeUtterance) -> None:
    """Three frames over half closed are 0.1 s; one cut by the start is no blink that fell."""
    lids = np.zeros(90)
    lids[[0, 1, 30, 31, 32, 60, 61, 88, 89]] = 1.0
    both = {index_of("eyeBlinkLeft"): lids, index_of("eyeBlinkRight"): lids}
    measured = measure(utterance(curves=both))
    assert measured.blinks == 3, "the one at the start had begun before"
    assert measured.blink_s == pytest.approx([3 / 30, 2 / 30]), "the last one's end is not seen"
    rate = figure("blinks: rate (1/min)", utterance(curves=both))
    assert rate == pytest.approx(60.0), "three in three seconds"


def test_brow_raises_are_counted(utterance: MakeUtterance) -> None:
    """Two bumps and a wobble are two raises."""
    brow = 0.3 * (np.exp(-0.5 * ((np.arange(90) - 25) / 4) ** 2))
    brow += 0.3 * (np.exp(-0.5 * ((np.arange(90) - 65) / 4) ** 2))
    brow += 0.01 * (np.arange(90) % 2)
    names = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    raised = utterance(curves={index_of(name): brow for name in names})
    assert measure(raised).brow_raises == 2, "raises"


def test_gaze_shifts_have_their_size(utterance: MakeUtterance) -> None:
    """Both eyes turn left by 0.2 and back; drift is no shift."""
    left = np.where((TIME_S > 1) & (TIME_S < 2), 0.2, 0.0) + np.linspace(0, 0.05, 90)
    eyes = {index_of("eyeLookOutLeft"): left, index_of("eyeLookInRight"): left}
    assert measure(utterance(curves=eyes)).gaze_shifts == pytest.approx([0.2, 0.2], abs=0.01)


def test_one_frame_can_be_measured(utterance: MakeUtterance) -> None:
    """The shortest utterance has no speed, and must not stop the others."""
    values = figures_of([measure(utterance(1)), measure(utterance(90, curves={JAW: 0.2}))])
    assert values[FIGURES.index("jawOpen: mean")] == pytest.approx(0.2, abs=0.01), "mean"
    assert np.isnan(figure("jawOpen: 0-2 Hz", utterance(1))), "no spectrum"
