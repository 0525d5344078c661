"""Figure 5's parts: the sentence, its frames, curves by emotion, and methods by name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from esarm_env.audio.encoders.phone_spans import PhoneSpan
from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS, load_head
from train.figure5.emotion_curves import (
    curve_utterances,
    emotion_contrast,
    emotion_curves,
    normalised,
)
from train.figure5.error_colours import STOPS, error_colours, errors_mm, scale_of
from train.figure5.methods import RunMethods, check_methods, default_methods
from train.figure5.moments import EVEN, OPEN, SHUT, TO_SHUT, Moment, choose_moments
from train.figure5.quantities import INNER_BROWS, LIP_CORNERS, OPENING, quantities_of
from train.figure5.strip import column_label
from train.figure5.subject import find_utterance, utterance_subject

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import Corpus
    from esarm_env.task.animation_task import AnimationTask


def weights(**shapes: float) -> np.ndarray:
    """Return coefficients (52,) with some shapes set."""
    motion = np.zeros(52, dtype=np.float32)
    for name, value in shapes.items():
        motion[ARKIT_NAMES.index(name)] = value
    return motion


def test_frames_are_even_and_at_closures_and_openings_of_the_recording() -> None:
    """A strip that misses the closures flatters a mouth that never shuts."""
    opening = np.full(60, 12.0)
    opening[:5] = opening[55:] = 0.0  # before and after speech, no closures
    opening[20:23] = (1.0, 0.5, 1.0)
    opening[40] = 0.1
    opening[33] = 20.0
    moments = choose_moments(60, opening_mm=opening, columns=8)
    assert len(moments) == 8
    assert moments == sorted(moments)
    assert Moment(21, SHUT) in moments
    assert Moment(40, SHUT) in moments
    assert Moment(33, OPEN) in moments
    even = [moment.frame for moment in moments if moment.why == EVEN]
    assert even[0] < 10
    assert even[-1] > 50
    assert choose_moments(3, columns=8) == [Moment(frame, EVEN) for frame in range(3)]


def test_phones_tell_closures_where_nothing_was_recorded() -> None:
    """A voice has no opening; what its lips ought to do is no measurement, and is called so."""
    spans = (PhoneSpan("b", 0.5, 0.6), PhoneSpan("a", 0.6, 0.9), PhoneSpan("m", 1.7, 1.9))
    moments = choose_moments(60, phones=spans, columns=6)
    assert [m for m in moments if m.why == TO_SHUT] == [Moment(16, TO_SHUT), Moment(54, TO_SHUT)]
    unseen = np.full(60, np.nan)  # a corpus that never captured the mouth
    assert choose_moments(60, opening_mm=unseen, phones=spans, columns=6) == moments
    with pytest.raises(InputError, match=re.escape("`columns` must be at least 2, got 1")):
        choose_moments(60, columns=1)


def test_a_heard_phone_that_contradicts_the_recorded_lips_is_left_out(tiny_corpus: Corpus) -> None:
    """A recogniser mishears: "/m/, lips open" would look like a fault of the recording."""
    seen = replace(
        utterance_subject(tiny_corpus, 11),
        phones=(PhoneSpan("m", 0.0, 0.5), PhoneSpan("k", 0.5, 1.0)),
    )
    labels = {
        (frame, why): column_label(seen, Moment(frame, why))
        for frame in (6, 21, 30)
        for why in (SHUT, OPEN, EVEN)
    }
    assert labels == {
        (6, SHUT): "/m/, lips shut",
        (6, OPEN): "lips open",
        (6, EVEN): "/m/",
        (21, SHUT): "lips shut",
        (21, OPEN): "/k/, lips open",
        (21, EVEN): "/k/",
        (30, SHUT): "lips shut",
        (30, OPEN): "lips open",
        (30, EVEN): "",
    }
    heard = "phones as a recogniser hears them, which may be wrong"
    assert seen.phones_note == f"{heard}; lips as recorded"
    voice = replace(seen, index=None)
    assert voice.phones_note == heard
    assert column_label(voice, Moment(6, TO_SHUT)) == "/m/, lips should be shut"
    assert replace(seen, phones=()).phones_note == ""


def test_an_utterance_is_found_by_its_id_its_words_or_its_emotion(tiny_corpus: Corpus) -> None:
    """The figure is of the sentence that was asked for, and of a held-out one."""
    ids = [record.id for record in tiny_corpus.records]
    assert find_utterance(tiny_corpus, utterance="ben-03") == ids.index("ben-03")
    assert find_utterance(tiny_corpus) == ids.index("dora-11")  # the one that shows an emotion
    assert find_utterance(tiny_corpus, sentence="met BY the lake!", emotion="neutral") == 10
    wrong = (
        ({"utterance": "ben-33"}, "`utterance` must be one of the 12 of tiny, got 'ben-33'; did"),
        ({"utterance": "zzz"}, "got 'zzz'; test utterances are 'dora-10', 'dora-11'"),
        ({"sentence": "Six gulls"}, "`sentence` must be said in a test utterance, got 'Six gulls'"),
        ({"emotion": "angry"}, "test split of tiny (neutral, happy), got 'angry'"),
    )
    for asked, message in wrong:
        with pytest.raises(InputError, match=re.escape(message)):
            find_utterance(tiny_corpus, **asked)


def test_heights_are_those_of_the_heads_vertices() -> None:
    """A curve of something else than brows and lips would show an emotion that is not there."""
    head = load_head()
    known = quantities_of(head)
    smile, frown = weights(mouthSmileLeft=1.0, mouthSmileRight=1.0), weights(jawOpen=0.5)
    assert known[LIP_CORNERS].of(smile) > 5.0
    assert known[INNER_BROWS].of(weights(browDownLeft=1.0, browDownRight=1.0)) < -1.0
    assert known[INNER_BROWS].of(weights(browInnerUp=1.0)) > 2.0
    assert known[OPENING].of(frown) == pytest.approx(16.7, abs=1.0)
    corners = head.regions["lips"][np.abs(head.vertices[head.regions["lips"], 0]).argmax()]
    rise = (head.apply(smile) - head.vertices)[corners, 1]
    assert known[LIP_CORNERS].of(smile) == pytest.approx(rise, rel=0.2)
    mouth = np.isin(np.arange(52), MOUTH_CHANNELS)
    assert [name for name, q in known.items() if q.measured(mouth)] == [LIP_CORNERS, OPENING]


def test_curves_are_means_over_normalised_time_and_tell_emotions_apart() -> None:
    """Utterances of other lengths are laid over each other, whoever lacks one costs no other."""
    quantity = quantities_of(load_head())[LIP_CORNERS]
    at_one = float(quantity.of(weights(mouthSmileLeft=1.0, mouthSmileRight=1.0)))

    def smiling(share: float, n_frames: int) -> np.ndarray:
        frame = weights(mouthSmileLeft=share, mouthSmileRight=share)
        return np.repeat(frame[None], n_frames, axis=0)

    emotions = ["happy", "happy", "sad"]
    motions = {
        "recording": [smiling(0.6, 20), smiling(0.8, 35), smiling(0.0, 9)],
        "half": [smiling(0.3, 20), None, smiling(0.0, 9)],
        "still": [smiling(0.2, 20), smiling(0.2, 35), smiling(0.2, 9)],
    }
    curves = emotion_curves(motions, emotions, [quantity])
    happy = curves[LIP_CORNERS]["recording"]["happy"]
    assert (happy.count, len(happy.mean)) == (2, 50)
    np.testing.assert_allclose(happy.mean, 0.7 * at_one, rtol=1e-5)
    np.testing.assert_allclose(happy.spread, 0.1 * at_one, rtol=1e-5)
    assert curves[LIP_CORNERS]["half"]["happy"].count == 1
    contrast = emotion_contrast(curves, truth="recording")[LIP_CORNERS]
    assert contrast == {"half": pytest.approx(3 / 7), "still": pytest.approx(0.0, abs=1e-6)}
    np.testing.assert_allclose(normalised(np.array([0.0, 1.0, 4.0]), 5), [0, 0.5, 1, 2.5, 4])


def test_curves_are_of_test_utterances_of_every_emotion(tiny_corpus: Corpus) -> None:
    """Nothing is said of an emotion by sentences that were trained on."""
    assert curve_utterances(tiny_corpus).tolist() == [10, 11]
    assert curve_utterances(tiny_corpus, per_emotion=0).tolist() == [10, 11]
    with pytest.raises(InputError, match=re.escape("`per_emotion` must be at least 0 (all)")):
        curve_utterances(tiny_corpus, per_emotion=-1)


def test_the_errors_colours_are_those_of_its_bar() -> None:
    """Beyond the bar there is its end, and the smallest bar that fits is taken."""
    head = load_head()
    opened, shut = weights(jawOpen=0.5), weights()
    errors = errors_mm(head, opened, shut)
    apart = np.linalg.norm(0.5 * head.deltas[ARKIT_NAMES.index("jawOpen")], axis=1)
    np.testing.assert_allclose(errors, apart, atol=1e-4)
    colours = error_colours(np.array([0.0, 2.5, 5.0, 99.0]), scale_mm=5.0)
    np.testing.assert_allclose(colours, [STOPS[0], STOPS[2], STOPS[-1], STOPS[-1]])
    assert [scale_of(np.full(9, error)) for error in (0.0, 1.5, 12.0, 1e3)] == [
        1.0,
        2.0,
        20.0,
        50.0,
    ]


def test_a_method_that_the_run_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    """A row that silently stays away looks like one that was never asked for."""
    policies = {"clone": tmp_path, "ppo": tmp_path}
    every = default_methods(policies, regressor=True, recorded=True)
    assert every == [
        "recording",
        "tokenizer",
        "mean face",
        "regressor",
        "clone",
        "clone:sampled",
        "ppo",
    ]
    known = {"regressor": True, "recorded": True}
    asked = ["ppo:greedy", "recording", "ppo:greedy"]
    assert check_methods(asked, policies, **known) == ["recording", "ppo:greedy"]
    spelled = ["mean-face", "clone (expected distance)", "ppo, sampled", "ground truth"]
    found = ["recording", "mean face", "clone:expected-distance", "ppo:sampled"]
    assert check_methods(spelled, policies, **known) == found
    names = "recording, tokenizer, mean face, regressor, clone, clone:sampled, ppo"
    with pytest.raises(InputError, match=f"must be of the run: {names}, or POLICY:DECODING, got"):
        check_methods(["grpo"], policies, **known)
    with pytest.raises(InputError, match=re.escape("got 'warm' in 'ppo:warm'")):
        check_methods(["ppo:warm"], policies, **known)
    with pytest.raises(InputError, match=re.escape("which a voice lacks, got 'tokenizer'")):
        check_methods(["tokenizer"], policies, regressor=True, recorded=False)
    with pytest.raises(InputError, match=re.escape("got 'regressor'")):
        check_methods(["regressor"], policies, regressor=False, recorded=True)


def test_rows_without_a_policy_are_the_baselines_motion(
    tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """The row of the recording is the recording, frame by frame, and as long."""
    methods = RunMethods(tmp_path, tiny_task)
    chosen = np.array([10, 11])
    label, recorded = methods.animate("recording", chosen)
    assert label == "recording"
    np.testing.assert_array_equal(recorded[1], tiny_task.corpus[11].motion)
    label, through = methods.animate("tokenizer", chosen)
    assert [len(motion) for motion in through] == [40, 31]
    expected = tiny_task.tokenizer.decode(tiny_task.recorded_tokens(11))[:31]
    np.testing.assert_allclose(through[1], expected, atol=1e-6)
    _, still = methods.animate("mean face", chosen)
    assert np.ptp(still[0], axis=0).max() == 0
    assert methods.check(()) == ["recording", "tokenizer", "mean face"]


def test_experiments_are_rows_where_they_are_named(
    tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """Ten of them would hide the run's own policies."""
    places = ["clone", "improve/ppo", "experiments/bold/improve/ppo"]
    places += [f"experiments/two/improve/{name}" for name in ("grpo", "ppo")]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "policy.safetensors").touch()
    methods = RunMethods(tmp_path, tiny_task)
    assert methods.check(())[-3:] == ["clone", "clone:sampled", "ppo"]
    asked = ["bold", "two/grpo:sampled", "clone"]
    assert methods.check(asked) == asked
    with pytest.raises(InputError, match=re.escape("got 'two/reinforce'")):
        methods.check(["two/reinforce"])
