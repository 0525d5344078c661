"""The rule model: lips shut where they must, emotions told apart, brows that follow the voice."""

import re

import numpy as np
import pytest

from esarm_env.corpus.synthetic import rules, synthetic_design
from esarm_env.corpus.synthetic.espeak import Phoneme, VoiceSettings, synthesise
from esarm_env.corpus.synthetic.motion import face_motion
from esarm_env.corpus.synthetic.mouth import channels_of
from esarm_env.corpus.synthetic.plan import PlannedUtterance
from esarm_env.corpus.synthetic.prosody import measure_prosody, smooth
from esarm_env.corpus.synthetic.sentences import MEAD_SENTENCES
from esarm_env.corpus.synthetic.speakers import speaker_style
from esarm_env.corpus.synthetic.utterance import make_utterance
from esarm_env.face.names import ARKIT_NAMES, index_of

pytest.importorskip("espeakng_loader")

DESIGN = synthetic_design("synthetic-mead")
JAW, CLOSE = index_of("jawOpen"), index_of("mouthClose")


def spoken(text: str, emotion: str = "neutral") -> tuple[np.ndarray, list[Phoneme], np.ndarray]:
    """Return audio, phonemes and motion of `text` by the first speaker."""
    audio, phonemes = synthesise(text, VoiceSettings("en-us+m3", rate_wpm=140))
    motion = face_motion(
        audio,
        phonemes,
        emotion=emotion,
        intensity=3,
        style=speaker_style(0, seed=0),
        rng=np.random.default_rng(0),
    )
    return audio, phonemes, motion


def aperture(motion: np.ndarray) -> np.ndarray:
    """Return how far the lips are apart: the jaw's share not closed, and the raised lips."""
    lips = [*channels_of("mouthUpperUp"), *channels_of("mouthLowerDown")]
    return np.asarray(motion[:, JAW] - motion[:, CLOSE] + motion[:, lips].sum(axis=1))


@pytest.mark.parametrize("emotion", ["neutral", "surprised", "disgusted"])
def test_lips_shut_before_each_p_b_m(emotion: str) -> None:
    """An open mouth at a "b" is the first thing a viewer sees."""
    n_closures = 0
    for text in ("Bob moved the purple boat.", "Mom, have you fed my big baboon a pie?"):
        _, phonemes, motion = spoken(text, emotion)
        gap = aperture(motion)
        for phoneme in phonemes:
            if phoneme.ipa not in ("p", "b", "m") or phoneme.start_s < 0.1:
                continue  # the take starts in the middle of an initial one
            around = slice(int((phoneme.start_s - 0.06) * 30), int(phoneme.start_s * 30) + 2)
            n_closures += 1
            least = gap[around].min()
            assert least < 0.02, f"lips stay {least:.3f} apart at {phoneme} of {text!r}"
            assert motion[around, JAW].min() < 0.14, f"the jaw hangs open at {phoneme}"
        assert gap.max() > 0.3, f"the mouth must open between closures, got {gap.max():.3f}"
    assert n_closures >= 8, f"expected at least 8 closures, found {n_closures}"


@pytest.mark.parametrize(
    ("sound", "channel", "least"),
    [("uː", "mouthPucker", 0.3), ("f", "mouthRollLower", 0.12), ("ɑː", "jawOpen", 0.4)],  # noqa: RUF001 - IPA
)
def test_sounds_have_their_shape(sound: str, channel: str, least: float) -> None:
    """Coarticulation must soften the shapes, not wash them out."""
    _, phonemes, motion = spoken("My blue fox is far from the fool.")
    hits = [p for p in phonemes if p.ipa.strip("ˈˌ") == sound]
    assert hits, f"no {sound!r} in {[p.ipa for p in phonemes]}"
    for phoneme in hits:
        frames = slice(int(phoneme.start_s * 30), int(phoneme.end_s * 30) + 2)
        value = motion[frames, index_of(channel)].max()
        assert value > least, f"{channel} reaches only {value:.2f} at {phoneme}"


def test_jaw_follows_loudness() -> None:
    """Captured takes have 0.6-0.8; far below, the audio cannot predict the mouth."""
    correlations = []
    for text in MEAD_SENTENCES[:6]:
        audio, _, motion = spoken(text)
        loudness = smooth(measure_prosody(audio).loudness, 1.0)
        correlations.append(np.corrcoef(loudness, motion[:, JAW])[0, 1])
    mean = float(np.mean(correlations))
    assert 0.5 < mean < 0.9, f"loudness and jaw correlate by {mean:.2f}"


def test_mouth_moves_below_8_hz() -> None:
    """Faster motion than a mouth can make is jitter, and a tokenizer wastes codes on it."""
    motion = np.concatenate([spoken(text)[2] for text in MEAD_SENTENCES[:4]])
    centred = motion - motion.mean(axis=0)
    power = np.square(np.abs(np.fft.rfft(centred, axis=0)))
    fast = np.fft.rfftfreq(len(motion), 1 / 30) > 8
    for name in ("jawOpen", "mouthPucker", "mouthFunnel", "mouthStretchLeft", "mouthPressLeft"):
        share = power[fast, index_of(name)].sum() / power[:, index_of(name)].sum()
        assert share < 0.02, f"{name} has {share:.1%} of its power above 8 Hz"


def test_emotions_are_told_apart_across_speakers() -> None:
    """Each speaker's strong emotions must look most like the others' same emotion."""
    upper = [i for i, n in enumerate(ARKIT_NAMES) if n.startswith(("brow", "eye", "cheek", "nose"))]
    emotions = DESIGN.emotions
    faces = np.array(
        [
            [
                make_utterance(DESIGN, PlannedUtterance("train", s, 5 + s, emotion, 3, 0))[1].mean(
                    axis=0
                )[upper]
                for emotion in emotions
            ]
            for s in range(3)
        ]
    )  # (speakers, emotions, channels)
    for speaker in range(len(faces)):
        others = np.delete(faces, speaker, axis=0).mean(axis=0)
        distance = np.linalg.norm(faces[speaker][:, None] - others[None], axis=-1)
        own = np.diag(distance)
        rest = (distance + np.diag(np.full(len(emotions), np.inf))).min(axis=1)
        assert (own < 0.7 * rest).all(), f"speaker {speaker}: {own} against {rest}"


def test_intensity_scales_the_expression() -> None:
    """Levels 1, 2 and 3 must be in order, or the condition means nothing."""
    brows = []
    for intensity in (1, 2, 3):
        planned = PlannedUtterance("train", 1, 2, "angry", intensity, 0)
        brows.append(make_utterance(DESIGN, planned)[1][:, index_of("browDownLeft")].mean())
    assert brows[0] < 0.7 * brows[1] < 0.7 * brows[2] * 0.95, f"browDown by intensity: {brows}"


def test_brows_follow_pitch() -> None:
    """Without a part that can be heard, nothing could learn when brows move."""
    rises, accents = [], []
    for text in MEAD_SENTENCES[:6]:
        audio, _, motion = spoken(text)
        prosody = measure_prosody(audio)
        line = np.polyval(np.polyfit(np.arange(len(motion)), prosody.accent, 1), range(len(motion)))
        accents.append(np.maximum(prosody.accent - line, 0) * prosody.loudness)
        rises.append(motion[:, index_of("browInnerUp")])
    brows = np.concatenate(rises)
    found = np.corrcoef(brows, np.concatenate(accents))[0, 1]
    assert found > 0.6, f"pitch accents and browInnerUp correlate by {found:.2f}"
    assert brows.std() > 0.03, f"browInnerUp hardly moves: {brows.std():.3f}"


def test_emotion_changes_the_voice() -> None:
    """What the audio does not carry, no policy can hear."""
    level, n_samples = {}, {}
    for emotion in ("sad", "neutral", "angry"):
        planned = PlannedUtterance("train", 0, 0, emotion, 1 if emotion == "neutral" else 3, 0)
        audio, _ = make_utterance(DESIGN, planned)
        level[emotion] = float(np.sqrt(np.square(audio).mean()))
        n_samples[emotion] = len(audio)
    assert level["sad"] < level["neutral"] < level["angry"], f"levels {level}"
    assert n_samples["sad"] > n_samples["angry"], f"lengths {n_samples}"


def test_pitch_is_measured_right() -> None:
    """A tone that steps up four semitones must show four semitones."""
    time_s = np.arange(16_000) / 16_000
    hz = np.where(time_s < 0.6, 120.0, 120.0 * 2 ** (4 / 12))
    phase = 2 * np.pi * np.cumsum(hz) / 16_000
    tone = np.sum([0.2 * np.sin(k * phase) / k for k in range(1, 8)], axis=0).astype(np.float32)
    accent = measure_prosody(tone).accent
    assert accent[5:14] == pytest.approx(0, abs=0.3), f"low part: {accent[5:14]}"
    assert accent[22:28] == pytest.approx(4, abs=0.3), f"high part: {accent[22:28]}"


def test_every_espeak_sound_has_a_viseme() -> None:
    """A sound without one would be animated as a pause."""
    known = set("".join(rules.SOUNDS.values())) | set("ˈˌː̩")
    for text in MEAD_SENTENCES:
        _, phonemes = synthesise(text, VoiceSettings("en-us+f2"))
        unknown = set("".join(phoneme.ipa for phoneme in phonemes)) - known
        assert not unknown, f"{unknown} in {text!r}"


@pytest.mark.parametrize("voice", rules.VOICES)
def test_every_voice_speaks(voice: str) -> None:
    """espeak-ng falls back to no sound, or to an error, for a variant it does not ship."""
    audio, phonemes = synthesise("Bob moved.", VoiceSettings(f"en-us+{voice}"))
    assert audio.dtype == np.float32 and np.abs(audio).max() > 0.05, f"{voice} is silent"
    ends = [phoneme.end_s for phoneme in phonemes]
    assert ends == sorted(ends) and ends[-1] == pytest.approx(len(audio) / 16_000, abs=0.01), (
        f"phonemes of {voice} must cover the audio in order"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_wpm": 79}, "`rate_wpm` must be in 80..450, got 79"),
        ({"pitch": 100}, "`pitch` must be in 0..99, got 100"),
        ({"pitch_range": -1}, "`pitch_range` must be in 0..99, got -1"),
        ({"volume": 201}, "`volume` must be in 0..200, got 201"),
    ],
)
def test_bad_voice_settings_are_rejected(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        VoiceSettings("en-us", **change)


def test_voice_limits_are_allowed() -> None:
    assert VoiceSettings("en-us", rate_wpm=80, pitch=99, pitch_range=0, volume=200), "limits"


def test_unknown_voice_is_rejected() -> None:
    with pytest.raises(RuntimeError, match=re.escape("must accept voice 'xx-none'")):
        synthesise("Hello.", VoiceSettings("xx-none"))
