"""Emotion curves: what a table of shares over time is read as, and what is refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS
from esarm_env.task.emotion_choice import EmotionMix, chosen_mix
from esarm_env.task.emotion_curve import EmotionCurve, chosen_emotion, read_curve

NEUTRAL, HAPPY, SAD = (EMOTIONS.index(name) for name in ("neutral", "happy", "sad"))


def written(folder: Path, text: str) -> Path:
    path = folder / "curve.csv"
    path.write_text(text)
    return path


def test_shares_are_linear_between_rows(tmp_path: Path) -> None:
    """By hand: a quarter of the way from neutral to happy, and intensities between two levels."""
    text = "time_s,neutral,happy,intensity\n0,1,0,1\n2,0,1,3\n4,0,1,3\n"
    mix = read_curve(written(tmp_path, text)).at(np.array([0.0, 0.5, 1.5, 3.0, 9.0]))
    assert mix.emotions.shape == (5, 9) and mix.intensities.shape == (5, 3)
    np.testing.assert_allclose(mix.emotions[:, NEUTRAL], [1, 0.75, 0.25, 0, 0])
    np.testing.assert_allclose(mix.emotions[:, HAPPY], [0, 0.25, 0.75, 1, 1])
    np.testing.assert_allclose(mix.emotions.sum(axis=1), 1)
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(mix.intensities, expected)


@pytest.mark.parametrize(
    "text",
    [
        "time_s;Happy;SADNESS\n0;0,5;0,5\n3;0;1\n",
        "# made by hand\ntime_s\thappy\tsad\n0\t0.5\t0.5\n3\t0\t1\n",
        "\ufeffTIME_S, happy , sad\n0,0.5,0.5\n\n3,0,1\n",
        "sad,happy,time_s\n0.5,0.5,0\n1,0,3\n",
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(text: str, tmp_path: Path) -> None:
    """Dialects, capitals and the order of columns are the writer's choice."""
    curve = read_curve(written(tmp_path, text))
    np.testing.assert_allclose(curve.times_s, [0, 3])
    np.testing.assert_allclose(curve.emotions[:, [HAPPY, SAD]], [[0.5, 0.5], [0, 1]])
    assert curve.intensities is None
    assert curve.label == "happy, sad over time (curve.csv)"


def test_rows_are_normalised_and_that_is_said_once(tmp_path: Path) -> None:
    """As of blends: shares of 2 would be an emotion that nobody showed the policy."""
    text = "time_s,happy,sad\n0,1,1\n1,1,0\n2,0.2,0.6\n"
    with pytest.warns(UserWarning, match=re.escape("of curve.csv add up to 0.8 to 2; each row")):
        curve = read_curve(written(tmp_path, text))
    np.testing.assert_allclose(curve.emotions[:, HAPPY], [0.5, 1, 0.25])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        EmotionCurve.of([0, 1, 2], {"happy": [50, 50, 0], "sad": [50, 50, 100]})
    assert [str(one.message) for one in said] == [
        "the shares of the curve add up to 100; each row is divided by its sum"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a column time_s, one for each emotion, and `intensity` if it changes"),
        ("happy,sad\n1,0\n", "must have a column time_s, one for each emotion"),
        ("time_s,happy,Happy\n0,1,0\n", "each once, got time_s, happy, Happy"),
        ("time_s,happy,happiness\n0,1,0\n", "must have one column for happy, got more"),
        ("time_s,hapy\n0,1\n", "one of neutral, angry, calm, contempt, disgusted, fear, happy, "),
        ("time_s,hapy\n0,1\n", "sad, surprised, got 'hapy'; did you mean happy?"),
        ("time_s,joyful-ish\n0,1\n", "curve.csv: a column must be time_s, intensity, or one of"),
        ("time_s,intensity\n0,1\n", "must have a column for at least one emotion, got none"),
        ("time_s,happy\n", "`time_s` must be ascending times, got none"),
        ("time_s,happy\n0,1\n0,1\n", "`time_s` must be ascending times, got 0, 0"),
        ("time_s,happy\n2,1\n1,1\n", "`time_s` must be ascending times, got 2, 1"),
        ("time_s,happy,sad\n0,1,\n3,1,0\n", "number in every cell, got an empty cell in line 2"),
        ("time_s,happy\n0,1\n3,much\n", "got a value that is not a number ('much') in line 3"),
        ("time_s,happy\n0,1\n1,1\n3\n", "got 1 columns instead of 2 in line 4"),
        ("time_s,happy,sad\n0,1,0\n1.5,-1,2\n", "`happy` must be at least 0, got -1 at 1.5 s"),
        ("time_s,happy\n0,inf\n1,1\n", "`happy` must be finite, got inf, 1"),
        ("time_s,happy\n0,1\n1.5,0\n", "share above 0 at every time, got none at 1.5 s; `neutral`"),
        ("time_s,happy,intensity\n0,1,0\n", "`intensity` must be 1 to 3, got 0 at 0 s"),
        ("time_s,happy,intensity\n0,1,2\n4,1,3.5\n", "`intensity` must be 1 to 3, got 3.5 at 4 s"),
    ],
)
def test_what_is_no_curve_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    """With the file, the column or line, and what stands there."""
    with pytest.raises(InputError, match=re.escape(message)) as stop:
        read_curve(written(tmp_path, text))
    assert "curve.csv: " in str(stop.value)


@pytest.mark.parametrize(
    ("first", "last", "duration_s", "covers"),
    [
        (0, 3, 3.0, True),
        (-1, 9, 3.0, True),
        (0, 3, 3.03, True),  # a frame; players write 3.0 for it
        (0.02, 3, 3.0, True),
        (0, 3, 3.1, False),
        (0.5, 3, 3.0, False),
        (0, 2, 3.0, False),
    ],
)
def test_a_curve_has_to_cover_the_recording(
    first: float, last: float, duration_s: float, covers: bool
) -> None:
    """What is shown behind its end would be a guess, and who mistook minutes would not know."""
    curve = EmotionCurve.of([first, last], {"happy": [1, 1]}, name="smile.csv")
    if covers:
        curve.check_covers(duration_s)
        return
    rule = f"smile.csv: `time_s` must cover the whole recording, 0 to {duration_s:.2f} s, got "
    with pytest.raises(InputError, match=re.escape(f"{rule}{first:g} to {last:g} s; add a row")):
        curve.check_covers(duration_s)


def test_curves_from_python_are_checked_alike() -> None:
    """The front door of programs is no other."""
    with pytest.raises(InputError, match=re.escape("`sad` must be a number for each of 2 times")):
        EmotionCurve.of([0, 1], {"happy": [1, 1], "sad": [1]})
    with pytest.raises(InputError, match=re.escape("`time_s` must be of one axis, got shape ()")):
        EmotionCurve.of(0, {"happy": [1]})
    with pytest.raises(InputError, match=re.escape("`time_s` must be finite, got 0, nan")):
        EmotionCurve.of([0, float("nan")], {"happy": [1, 1]})


def test_a_choice_is_a_name_a_blend_a_curve_or_the_voice(tmp_path: Path) -> None:
    """Which of them a text is shows from the text alone."""
    path = written(tmp_path, "time_s,happy\n0,1\n3,1\n")
    for text in ("auto", "AUTO", " Auto "):
        assert chosen_emotion(text, None) is None
    for curve in (str(path), path, EmotionCurve.of([0, 3], {"happy": [1, 1]})):
        chosen = chosen_emotion(curve, 3)
        assert isinstance(chosen, EmotionCurve) and chosen.intensities is not None
        np.testing.assert_array_equal(chosen.intensities, [3, 3])
    blend = chosen_emotion("happy:0.5,sad:0.5", None)
    assert isinstance(blend, EmotionMix) and blend.label.endswith("(intensity 2.0)")
    with pytest.raises(InputError, match=r"none\.csv: must be a readable file"):
        chosen_emotion(str(tmp_path / "none.csv"), None)
    with pytest.raises(InputError, match=re.escape("`emotion` must be auto, one of neutral")):
        chosen_emotion("curve.json", None)
    with pytest.raises(InputError, match=re.escape("`intensity` must be 1 to 3, got 4")):
        chosen_emotion(path, 4)


def test_an_intensity_is_said_once(tmp_path: Path) -> None:
    """One of two would be ignored without a word."""
    path = written(tmp_path, "time_s,happy,intensity\n0,1,1\n3,1,2.5\n")
    rule = "`intensity` must be left out where curve.csv has a column of it, got 3"
    with pytest.raises(InputError, match=re.escape(rule)):
        chosen_emotion(path, 3)
    chosen = chosen_emotion(path, None)
    assert isinstance(chosen, EmotionCurve) and chosen.intensities is not None
    np.testing.assert_array_equal(chosen.intensities, [1, 2.5])


@pytest.mark.parametrize("emotion", ["happy", "calm", "happy:0.3,sad:0.7"])
@pytest.mark.parametrize("intensity", [1, 2, 3])
def test_a_constant_curve_is_its_emotion_to_the_last_bit(emotion: str, intensity: int) -> None:
    """Interpolation must not leave a trace: policies were trained on one-hots."""
    parts = {"happy": [0.3] * 4, "sad": [0.7] * 4} if ":" in emotion else {emotion: [1.0] * 4}
    curve = chosen_emotion(EmotionCurve.of([0, 0.7, 1.9, 3], parts), intensity)
    assert isinstance(curve, EmotionCurve)
    shown, plain = curve.at(np.linspace(-1, 4, 151)), chosen_mix(emotion, intensity)
    assert (shown.emotions == plain.emotions).all()
    assert (shown.intensities == plain.intensities).all()
