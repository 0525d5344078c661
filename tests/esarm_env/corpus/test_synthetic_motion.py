"""The rule model: lips shut where they must, emotions told apart, brows that follow the voice."""

import functools
import math
import re

import numpy as np
import pytest

from esarm_env.corpus.synthetic import rules, synthetic_design
from esarm_env.corpus.synthetic.curves import measure_prosody, smooth
from esarm_env.corpus.synthetic.design import PlannedUtterance
from esarm_env.corpus.synthetic.espeak import Phoneme, VoiceSettings, synthesise
from esarm_env.corpus.synthetic.motion import face_motion
from esarm_env.corpus.synthetic.mouth import channels_of, contact_face, lip_contacts
from esarm_env.corpus.synthetic.sentences import MEAD_SENTENCES
from esarm_env.corpus.synthetic.speakers import speaker_style
from esarm_env.corpus.synthetic.worker import make_utterance
from esarm_env.face.names import ARKIT_NAMES, index_of

pytest.importorskip("espeakng_loader")

DESIGN = synthetic_design("synthetic-mead")
JAW, CLOSE = index_of("jawOpen"), index_of("mouthClose")
BROW_DOWN = index_of("browDownLeft")


@functools.cache
def spoken(text: str, emotion: str = "neutral") -> tuple[np.ndarray, list[Phoneme], np.ndarray]:
    """Return audio, phonemes and motion of `text` by the first speaker."""
    audio, phonemes = synthesise(text, VoiceSettings("en-us+m3", rate_wpm=140))
    motion = face_motion(
        audio,
        phonemes,
        emotion=emotion,
        strength=1.0,
        style=speaker_style(0, seed=0),
        rng=np.random.default_rng(0),
    )
    return audio, phonemes, motion


def anger(intensity: int, n_sentences: int, n_speakers: int = 1) -> list[float]:
    """Return how far the brows are down in each of some angry sentences."""
    lines = [
        PlannedUtterance("train", speaker, sentence, "angry", intensity, 0)
        for speaker in range(n_speakers)
        for sentence in range(n_sentences)
    ]
    return [brows_down(line) for line in lines]


@functools.cache
def brows_down(line: PlannedUtterance) -> float:
    """Return how far they are down in the mean over an utterance."""
    return float(make_utterance(DESIGN, line)[1][:, BROW_DOWN].mean())


def aperture(motion: np.ndarray) -> np.ndarray:
    """Return how far the lips are apart: the jaw's share not closed, and the raised lips."""
    lips = [*channels_of("mouthUpperUp"), *channels_of("mouthLowerDown")]
    return np.asarray(motion[:, JAW] - motion[:, CLOSE] + motion[:, lips].sum(axis=1))


@pytest.mark.parametrize("emotion", ["neutral", "surprised", "disgusted"])
def test_lips_shut_for_each_p_b_m(emotion: str) -> None:
    """An open mouth at a "b" is the first thing a viewer sees."""
    n_closures = 0
    for text in ("Bob moved the purple boat.", "Mom, have you fed my big baboon a pie?"):
        _, phonemes, motion = spoken(text, emotion)
        gap = aperture(motion)
        for touch in lip_contacts(phonemes):
            if not touch.contact.shuts or touch.begin_s < 0.1:
                continue  # the take starts in the middle of an initial one
            frames = slice(math.ceil(touch.begin_s * 30), math.floor(touch.end_s * 30) + 1)
            n_closures += 1
            most = gap[frames].max()
            assert most < 0.02, f"lips come {most:.3f} apart at {touch} of {text!r}"
            assert motion[frames, JAW].max() < 0.2, f"the jaw hangs open at {touch}"
        assert gap.max() > 0.3, f"the mouth must open between closures, got {gap.max():.3f}"
    assert n_closures >= 8, f"expected at least 8 closures, found {n_closures}"


@pytest.mark.parametrize("rate_wpm", [110, 140, 170])
def test_lips_are_shut_while_the_sound_is(rate_wpm: int) -> None:
    """Marks stand at the burst of p but at the start of b and m: one lead for all is half wrong."""
    n_closures = 0
    for text in ("A happy baby.", "The robber ate a ripe apple.", "My mama saw a camel."):
        audio, phonemes = synthesise(text, VoiceSettings("en-us+m3", rate_wpm=rate_wpm))
        for touch in lip_contacts(phonemes):
            middle_s = 0.5 * (touch.begin_s + touch.end_s)
            if not touch.contact.shuts or middle_s < 0.15 or middle_s > len(audio) / 16_000 - 0.15:
                continue
            time_s = middle_s + np.arange(-0.1, 0.1, 0.004)
            level = np.array([np.square(audio[int(t * 16_000) :][:128]).mean() for t in time_s])
            quiet_s = time_s[level < 0.1 * level.max()]
            inside = (quiet_s > touch.begin_s - 0.02) & (quiet_s < touch.end_s + 0.02)
            n_closures += 1
            assert inside.any(), f"no dip of the sound in {touch} of {text!r}"
    assert n_closures >= 8, f"expected at least 8 closures, found {n_closures}"


def test_only_stressed_lips_press() -> None:
    """Captured lips are pressed in under 5 % of speech; pressing at every p smears a channel."""
    phonemes = [Phoneme("p", 1.0, 1.04), Phoneme("ə", 1.04, 1.1), Phoneme("", 1.1, 1.6)]
    stressed = [Phoneme("p", 1.0, 1.04), Phoneme("ɹ", 1.04, 1.08), Phoneme("ˈiː", 1.08, 1.2)]  # noqa: RUF001 - IPA
    press = [
        contact_face(sounds, 60)[:, index_of("mouthPressLeft")] for sounds in (phonemes, stressed)
    ]
    assert press[0].max() == 0, "an unstressed p must not press"
    assert press[1].max() == pytest.approx(rules.CONTACTS["p"].face["mouthPress"], rel=0.1)
    assert 28 <= press[1].argmax() <= 30, "pressing must be strongest before the mark"


def test_short_contacts_are_widened() -> None:
    """A closure of 40 ms may fall between two frames and be seen in neither."""
    (touch,) = lip_contacts([Phoneme("p", 1.0, 1.04)])
    assert touch.end_s - touch.begin_s == pytest.approx(rules.CONTACT_SHORTEST_S), "too short"
    assert 0.5 * (touch.begin_s + touch.end_s) == pytest.approx(1.0 - 0.048 / 2), "off its middle"


@pytest.mark.parametrize(
    ("sound", "channel", "least"),
    [("uː", "mouthPucker", 0.3), ("f", "mouthRollLower", 0.06), ("ɑː", "jawOpen", 0.4)],  # noqa: RUF001 - IPA
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
    """Captured takes have 0.63 to 0.80; far below, the audio cannot predict the mouth."""
    correlations = []
    for text in MEAD_SENTENCES[:6]:
        audio, _, motion = spoken(text)
        loudness = smooth(measure_prosody(audio).loudness, 1.0)
        correlations.append(np.corrcoef(loudness, motion[:, JAW])[0, 1])
    mean = float(np.mean(correlations))
    assert 0.62 < mean < 0.82, f"loudness and jaw correlate by {mean:.2f}"


def test_mouth_moves_below_8_hz() -> None:
    """Faster motion than a mouth can make is jitter, and a tokenizer wastes codes on it."""
    motion = np.concatenate([spoken(text)[2] for text in MEAD_SENTENCES[:4]])
    centred = motion - motion.mean(axis=0)
    power = np.square(np.abs(np.fft.rfft(centred, axis=0)))
    fast = np.fft.rfftfreq(len(motion), 1 / 30) > 8
    for name in ("jawOpen", "mouthPucker", "mouthFunnel", "mouthSmileLeft", "mouthClose"):
        share = power[fast, index_of(name)].sum() / power[:, index_of(name)].sum()
        assert share < 0.03, f"{name} has {share:.1%} of its power above 8 Hz"


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
        assert (own < 0.8 * rest).all(), f"speaker {speaker}: {own} against {rest}"


def test_intensity_scales_the_expression() -> None:
    """Levels 1, 2 and 3 must be in order, or the condition means nothing."""
    brows = [np.mean(anger(level, 4, n_speakers=4)) for level in (1, 2, 3)]
    assert brows[0] < 0.75 * brows[1] < 0.75 * 0.85 * brows[2], f"browDown by intensity: {brows}"


def test_intensities_overlap_a_little() -> None:
    """Were strength the label alone, the mean face of the condition would be the best face."""
    levels = {level: anger(level, 4, n_speakers=6) for level in (2, 3)}
    assert max(levels[2]) > min(levels[3]), f"levels 2 and 3 do not touch: {levels}"


def test_expression_swells_with_the_voice() -> None:
    """The part of an expression that can be heard is what a policy can win over a mean face."""
    found = []
    for text in MEAD_SENTENCES[:6]:
        audio, _, motion = spoken(text, "angry")
        loudness = smooth(measure_prosody(audio).loudness, rules.EMOTION_SWELL_FRAMES)
        found.append(np.corrcoef(loudness, motion[:, BROW_DOWN])[0, 1])
    assert np.mean(found) > 0.7, f"loudness and browDown correlate by {np.mean(found):.2f}"


def test_no_model_can_reach_zero() -> None:
    """Equal words, voice and label must not give equal faces, or memorising looks like skill."""
    audio, phonemes = synthesise(MEAD_SENTENCES[0], VoiceSettings("en-us+m3", rate_wpm=140))
    arguments = {"emotion": "happy", "strength": 1.0, "style": speaker_style(0, seed=0)}
    first, second = (
        face_motion(audio, phonemes, **arguments, rng=np.random.default_rng(seed))
        for seed in (0, 1)
    )
    moved = np.abs(first - second).mean(axis=0)
    assert (moved[[JAW, index_of("browInnerUp"), index_of("mouthSmileLeft")]] > 1e-3).all(), moved


def test_speakers_have_habits_of_their_own() -> None:
    """Nine copies of one actor would make unseen speakers as easy as seen ones."""
    styles = [speaker_style(index, seed=0) for index in range(4)]
    for emotion, units in rules.EMOTION_FACE.items():
        habits = np.stack([style.habits[emotion] for style in styles])
        assert habits.shape == (4, len(units)), f"a habit per unit of {emotion}"
        low, high = rules.HABIT_RANGE
        assert not units or (low <= habits.min() < habits.max() <= high), f"habits of {emotion}"
    again = speaker_style(0, seed=0).habits["sad"]
    assert np.array_equal(again, styles[0].habits["sad"]), "a speaker keeps its habits"


def test_tables_name_real_channels_and_their_sources() -> None:
    """A misspelt channel fails deep in a worker; a number without a source cannot be checked."""
    for emotion, units in rules.EMOTION_FACE.items():
        for unit in units:
            assert channels_of(unit.channel.replace("Near", "Left")), f"{unit} of {emotion}"
            assert 0 < unit.size <= 1 and unit.source, f"{unit} of {emotion}"
    for viseme in rules.VISEMES.values():
        assert all(channels_of(name) for name in viseme.pose), f"{viseme}"
    assert set(rules.SOUNDS) | {"pause"} == set(rules.VISEMES), "every class has its sounds"


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
