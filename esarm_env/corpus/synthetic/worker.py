"""Worker process that makes one shard of a synthetic corpus, and the generator of one utterance.

It writes one byte to its output per finished utterance. Started as `python -m`, not by
`multiprocessing`: that would run the caller's script a second time wherever it has no
`if __name__ == "__main__"`. It also keeps espeak-ng out of the caller.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple
from unicodedata import category

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, SAMPLE_RATE_HZ, FloatArray
from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.design import (
    PlannedUtterance,
    SyntheticDesign,
    plan,
    synthetic_design,
)
from esarm_env.corpus.synthetic.espeak import Phoneme, VoiceSettings, synthesise
from esarm_env.corpus.synthetic.motion import face_motion
from esarm_env.corpus.synthetic.speakers import (
    ACCENT,
    SpeakerStyle,
    generator_of,
    speaker_style,
)

_PEAK = 0.95
_QUIET = 0.02  # of the peak: below it a sample counts as silence when levels are measured
AUDIO_FILE, MOTION_FILE, LENGTHS_FILE = "audio.int16", "motion.float16", "lengths.json"
AUDIO_TYPE, MOTION_TYPE = np.dtype("<i2"), np.dtype("<f2")
AUDIO_SCALE = 32_767


def make_utterance(
    design: SyntheticDesign, planned: PlannedUtterance, *, accent: str = ACCENT
) -> tuple[FloatArray, FloatArray]:
    """Generate the audio (n_samples,) and the motion (T, 52) of one planned utterance.

    They depend on the design's seed, the line and the accent alone, not on its place, the corpus's
    size or what was made before.

    Args:
        design: The corpus.
        planned: A line of its plan.
        accent: English of espeak-ng, such as `en-029` (Caribbean) or `en-gb-x-rp`; the corpora
            have the default alone.

    Raises:
        InputError: If the accent has sounds that the rules of the face do not know.
    """
    spoken = speak(design, planned, accent=accent)
    _check_sounds(spoken.phonemes, accent)
    motion = face_motion(
        spoken.audio,
        spoken.phonemes,
        emotion=planned.emotion,
        strength=spoken.strength,
        style=spoken.style,
        rng=spoken.rng,
    )
    return spoken.audio, motion


def _check_sounds(phonemes: list[Phoneme], accent: str) -> None:
    """Refuse letters that no rule moves the mouth by; it would rest at them, as in a pause."""
    known = {sound for sounds in rules.SOUNDS.values() for sound in sounds}
    letters = {each for phoneme in phonemes for each in phoneme.ipa if category(each) == "Ll"}
    if unknown := sorted(letters - known):
        raise InputError(
            f"`accent` must have sounds that the rules of the face know, got {accent!r} with "
            f"{', '.join(unknown)}; take another, such as 'en-gb-x-rp'"
        )


class Spoken(NamedTuple):
    """A planned utterance as it is heard, before it has a face.

    Attributes:
        audio: Shape (n_samples,).
        phonemes: With pauses, from the first sample to the last.
        strength: Of the emotion in the face.
        style: Of the speaker.
        rng: Draws what the face needs.
    """

    audio: FloatArray
    phonemes: list[Phoneme]
    strength: float
    style: SpeakerStyle
    rng: np.random.Generator


def speak(design: SyntheticDesign, planned: PlannedUtterance, *, accent: str = ACCENT) -> Spoken:
    """Generate the audio of one planned utterance, and when which phoneme is spoken."""
    style = speaker_style(planned.speaker, seed=design.seed, accent=accent)
    text = design.sentences[planned.sentence]
    labels = (planned.emotion, planned.intensity, planned.repetition)
    rng = generator_of(design.seed, design.name, planned.speaker, text, *labels)
    change = rules.EMOTION_VOICE[planned.emotion]
    heard, seen = _strengths(planned.emotion, planned.intensity, rng)
    settings = voice_settings(style, change, gain=heard, rng=rng)
    speech, phonemes = synthesise(text, settings)
    speech = _tilted(speech, change.tilt * heard)
    level_db = style.level_db + change.level_db * heard + rng.uniform(-0.7, 0.7)
    audio, phonemes = _with_room_noise(_at_level(speech, level_db), phonemes, rng)
    return Spoken(audio, phonemes, seen, style, rng)


def _strengths(emotion: str, intensity: int, rng: np.random.Generator) -> tuple[float, float]:
    """Draw the emotion's strength in voice and face; correlated, 1 for full intensity."""
    spreads = (rules.STRENGTH_SPREAD, rules.STRENGTH_UNHEARD_SPREAD)
    shared, unheard = np.exp(rng.normal(0, spreads))
    full = 0.0 if emotion == "neutral" else rules.INTENSITY_GAIN[intensity]
    heard, seen = np.clip([shared, shared * unheard], *rules.STRENGTH_LIMITS) * full
    return float(heard), float(seen)


def voice_settings(
    style: SpeakerStyle,
    change: rules.VoiceChange,
    *,
    gain: float,
    rng: np.random.Generator,
) -> VoiceSettings:
    """Return the speaker's voice moved by `gain` times the emotion's `change`, slightly varied."""
    rate_wpm = style.rate_wpm * (1 + change.rate * gain) * rng.uniform(0.96, 1.04)
    pitch = style.pitch + change.pitch * gain + rng.uniform(-2, 2)
    pitch_range = style.pitch_range + change.pitch_range * gain + rng.uniform(-3, 3)
    return VoiceSettings(
        voice=style.voice,
        rate_wpm=round(float(np.clip(rate_wpm, 80, 450))),
        pitch=round(float(np.clip(pitch, 0, 99))),
        pitch_range=round(float(np.clip(pitch_range, 0, 99))),
        seed=int(rng.integers(2**31 - 1)),
    )


def _tilted(audio: FloatArray, tilt: float) -> FloatArray:
    """Tilt the spectrum by a first-order filter, -1 (darker) to 1 (brighter)."""
    previous = np.concatenate([audio[:1], audio[:-1]])
    return np.asarray(audio - 0.7 * tilt * previous, dtype=np.float32)


def _at_level(audio: FloatArray, level_db: float) -> FloatArray:
    """Scale the speech to an RMS of `level_db` below full scale, its pauses not counted."""
    speaking = audio[np.abs(audio) > _QUIET * np.abs(audio).max()]
    rms = np.sqrt(np.square(speaking, dtype=np.float64).mean())
    gain = 10 ** (level_db / 20) / rms
    loudest = float(np.abs(audio).max() * gain)
    return np.asarray(audio * (gain * min(1.0, _PEAK / loudest)), dtype=np.float32)


def _with_room_noise(
    audio: FloatArray, phonemes: list[Phoneme], rng: np.random.Generator
) -> tuple[FloatArray, list[Phoneme]]:
    """Pad the speech with silence, add room noise, and shift the phoneme times."""
    n_before = int(rng.uniform(*rules.SILENCE_BEFORE_S) * SAMPLE_RATE_HZ)
    n_after = int(rng.uniform(*rules.SILENCE_AFTER_S) * SAMPLE_RATE_HZ)
    audio = np.pad(audio, (n_before, n_after))
    room = rng.standard_normal(len(audio)) * 10 ** (rules.ROOM_NOISE_DB / 20)
    lead_s = n_before / SAMPLE_RATE_HZ
    shifted = [Phoneme(p.ipa, p.start_s + lead_s, p.end_s + lead_s) for p in phonemes]
    end_s = len(audio) / SAMPLE_RATE_HZ
    shifted = [
        Phoneme("", 0.0, shifted[0].start_s),
        *shifted,
        Phoneme("", shifted[-1].end_s, end_s),
    ]
    return np.clip(audio + room, -1, 1).astype(np.float32), shifted


def shard_range(n_utterances: int, *, shard: int, n_shards: int) -> range:
    """Return the lines of the plan that shard number `shard` makes, in order."""
    return range(n_utterances * shard // n_shards, n_utterances * (shard + 1) // n_shards)


def main(arguments: list[str]) -> None:
    """Make a shard; arguments are name, size, seed, shard, n_shards, folder."""
    name, size, seed, shard, n_shards = arguments[0], *map(int, arguments[1:5])
    folder = Path(arguments[5])
    design = synthetic_design(name, size=size, seed=seed)
    lines = plan(design)
    lengths = []
    with open(folder / AUDIO_FILE, "wb") as audio_file, open(folder / MOTION_FILE, "wb") as motions:
        for index in shard_range(len(lines), shard=shard, n_shards=n_shards):
            audio, motion = make_utterance(design, lines[index])
            assert motion.shape[1] == N_CHANNELS, f"motion has {motion.shape[1]} channels"
            audio_file.write(np.round(audio * AUDIO_SCALE).astype(AUDIO_TYPE).tobytes())
            motions.write(motion.astype(MOTION_TYPE).tobytes())
            lengths.append((len(audio), len(motion)))
            os.write(sys.stdout.fileno(), b".")
    (folder / LENGTHS_FILE).write_text(json.dumps(lengths))


if __name__ == "__main__":
    main(sys.argv[1:])
