"""Emotions by name, blended, or heard: what is read, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.task.emotion_choice import (
    EmotionMix,
    chosen_mix,
    heard_emotion,
    heard_mix,
    parse_emotion,
)

CONDITIONS = ConditionEncoder(("anna", "bob"))


def test_a_voice_that_says_little_is_shown_half_neutral() -> None:
    """A guess in full strength would be wrong more often than right."""
    neutral, happy, sad = (EMOTIONS.index(name) for name in ("neutral", "happy", "sad"))
    heard = np.zeros(9, dtype=np.float32)
    heard[[happy, sad]] = 0.39, 0.61
    mild = np.array([0.25, 0.5, 0.25], dtype=np.float32)
    mix, label = heard_mix(heard, mild)
    np.testing.assert_array_equal(mix.emotions, heard)
    assert label == "sad 0.61, happy 0.39 (intensity 2.0), as heard from the voice"
    heard[[neutral, happy, sad]] = 0.3, 0.38, 0.32
    mix, label = heard_mix(heard, mild)
    np.testing.assert_allclose(mix.emotions[[neutral, happy, sad]], [0.65, 0.19, 0.16])
    assert mix.emotions.sum() == pytest.approx(1)
    np.testing.assert_array_equal(mix.intensities, mild)
    assert label == (
        "neutral 0.65, happy 0.19, sad 0.16 (intensity 2.0), half neutral: unsure what is heard "
        "from the voice (likeliest happy, 38%)"
    )


def test_what_was_heard_can_be_read_by_a_program() -> None:
    """A sentence had to be taken apart with a regular expression."""
    heard = np.zeros(9, dtype=np.float32)
    heard[[EMOTIONS.index(name) for name in ("happy", "sad", "calm")]] = 0.38, 0.3, 0.32
    mild = np.array([0.25, 0.5, 0.25], dtype=np.float32)
    shown = heard_emotion(heard, mild, trained=("neutral", "happy", "sad"))
    told = shown.to_dict()
    assert told["words"] == shown.words and told["source"] == "voice"
    assert told["heard"] == {"happy": pytest.approx(0.559), "sad": pytest.approx(0.441)}
    assert told["shares"] == told["heard"] and told["name"] == "happy" and told["sure"] is True
    assert told["intensity"] == 2.0
    unsure = heard_emotion(heard, mild).to_dict()
    assert unsure["sure"] is False and unsure["name"] == "neutral"
    assert unsure["shares"] == {"neutral": 0.5, "happy": 0.19, "calm": 0.16, "sad": 0.15}
    assert list(unsure["heard"]) == ["happy", "calm", "sad"]


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_one_emotion_is_the_condition_of_that_name(emotion: str) -> None:
    """To the last bit: policies were trained on one-hots."""
    mix = chosen_mix(emotion, 3)
    np.testing.assert_array_equal(
        CONDITIONS.encode_mix(mix, "bob"), CONDITIONS.encode(emotion, 3, "bob")
    )
    assert mix.label == f"{emotion} (intensity 3.0)"


def test_a_blend_is_the_mean_of_its_conditions() -> None:
    """S(c) is linear, so the style lies between the two."""
    blend = CONDITIONS.encode_mix(chosen_mix("happy:0.25, surprised:0.75", 2), None)
    happy, surprised = (CONDITIONS.encode(name, 2, None) for name in ("happy", "surprised"))
    np.testing.assert_allclose(blend, 0.25 * happy + 0.75 * surprised)
    assert chosen_mix("happy:0.25,surprised:0.75", 2).label == (
        "surprised 0.75, happy 0.25 (intensity 2.0)"
    )


def test_shares_are_normalised_and_that_is_said() -> None:
    """Shares of 2 would be an emotion that nobody showed the policy."""
    with pytest.warns(UserWarning, match=re.escape("the shares of happy:1,sad:3 add up to 4")):
        assert parse_emotion("happy:1,sad:3") == {"happy": 0.25, "sad": 0.75}
    with pytest.warns(UserWarning, match=re.escape("add up to 2; each is divided by that")):
        assert parse_emotion("happy,sad") == {"happy": 0.5, "sad": 0.5}


@pytest.mark.parametrize("text", ["Happy", "HAPPY", " happiness ", "Happiness"])
def test_capitals_and_nouns_are_understood(text: str) -> None:
    """As in the labels of recordings, which know them."""
    assert parse_emotion(text) == {"happy": 1.0}
    assert parse_emotion(f"{text}:0.5,SAD:0.5") == {"happy": 0.5, "sad": 0.5}
    with pytest.raises(InputError, match="must name each emotion once"):
        parse_emotion(f"{text}:0.5,happy:0.5")
    with pytest.raises(InputError, match=re.escape(f"got {text!r}; did you mean happy?")):
        CONDITIONS.encode(text, 2, None)  # programs spell what they mean


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("hapy", "happy"),
        ("Surprized", "surprised"),
        ("happines", "happy"),
        ("angre", "angry"),
        ("fearfull", "fear"),
        ("Neutrla", "neutral"),
        ("sad:0.5,hapy:0.5", "happy"),
        ("atuo", "auto"),
        ("joy", "happy"),
        ("Furious", "angry"),
    ],
)
def test_a_misspelt_emotion_is_met_with_the_nearest(text: str, meant: str) -> None:
    """Nine names are soon mistyped."""
    with pytest.raises(InputError, match=re.escape(f"got {text!r}; did you mean {meant}?")):
        parse_emotion(text)


def test_an_environment_names_the_nearest_emotion_and_never_auto() -> None:
    """It has no voice to ask: only emotions by name are shown there."""
    with pytest.raises(InputError, match=re.escape("got 'hapy'; did you mean happy?")):
        CONDITIONS.encode("hapy", 2, None)
    with pytest.raises(InputError, match=re.escape("surprised, got 'atuo'") + "$"):
        CONDITIONS.encode("atuo", 2, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bored", "surprised (if the run was trained on it), a curve"),
        ("", "`emotion` must be auto, one of neutral, "),
        ("happy:0.5,joy:0.5", "or a blend such as happy:0.5,surprised:0.5, got 'happy:0.5,joy"),
        ("happy:0.5,happy:0.5", "`emotion` must name each emotion once, got 'happy:0.5,happy:0.5'"),
        ("happy:0,sad:1", "`emotion` must have shares above 0, got '0' in 'happy:0,sad:1'"),
        ("happy:nan,sad:1", "`emotion` must have shares above 0, got 'nan' in "),
        ("happy:inf,sad:1", "`emotion` must have shares above 0, got 'inf' in "),
        ("happy:x,sad:1", "`emotion` must have shares above 0, got 'x' in "),
        ("happy:,sad:1", "`emotion` must have shares above 0, got '' in "),
        (
            "happy:0.5",
            "`emotion` must be a blend of several where there are shares, got ",
        ),
    ],
)
def test_what_is_no_emotion_is_refused(text: str, message: str) -> None:
    """By the rule, with what was given."""
    with pytest.raises(InputError, match=re.escape(message)):
        parse_emotion(text)


@pytest.mark.parametrize("intensity", [0, 4, 1.5, "strong"])
def test_an_intensity_out_of_range_is_refused(intensity: object) -> None:
    """Three were shown."""
    with pytest.raises(InputError, match=re.escape(f"must be 1 to 3, got {intensity!r}")):
        chosen_mix("happy", intensity)  # type: ignore[arg-type]  # the point


def test_words_name_what_counts() -> None:
    """What was heard is said with how sure it is; traces are left out."""
    emotions = np.zeros(9, dtype=np.float32)
    emotions[[0, 1, 2]] = [0.05, 0.65, 0.3]
    mix = EmotionMix(emotions, np.array([0.5, 0.5, 0.0], dtype=np.float32))
    assert mix.label == f"{EMOTIONS[1]} 0.65, {EMOTIONS[2]} 0.30 (intensity 1.5)"


def test_shares_that_are_not_named_are_said_to_be_there() -> None:
    """Four shares that add up to 0.85 looked like an error of ours."""
    emotions = np.zeros(9, dtype=np.float32)
    emotions[[0, 1, 2, 3, 4]] = [0.55, 0.3, 0.06, 0.05, 0.04]
    mix = EmotionMix(emotions, np.array([0, 1, 0], dtype=np.float32))
    assert mix.label == f"{EMOTIONS[0]} 0.55, {EMOTIONS[1]} 0.30, others 0.15 (intensity 2.0)"
