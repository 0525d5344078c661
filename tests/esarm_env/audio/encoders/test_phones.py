"""Phones as features and as times of recordings, by the real network."""

from __future__ import annotations

import re
from importlib import metadata

import numpy as np
import pytest

from esarm_env.audio.encoders.frames import FEATURE_BOUND
from esarm_env.audio.encoders.phone_classes import (
    BILABIALS,
    N_CLASSES,
    PHONE_CLASSES,
    class_matrix,
)
from esarm_env.audio.encoders.phone_network import phone_network
from esarm_env.audio.encoders.phone_spans import bilabial_times, phone_spans, spans_of
from esarm_env.audio.encoders.phones import Phones
from esarm_env.audio.features import LogMel, make_encoder, name_to_keep
from esarm_env.core.errors import InputError
from esarm_env.core.types import n_frames_of
from esarm_env.corpus.synthetic.espeak import Phoneme, VoiceSettings, synthesise

pytest.importorskip("hama", reason="the extra `phones` is not installed")

SENTENCE = "The baby must be happy, because Mama made a pie."
CLASSES = list(PHONE_CLASSES)
STOP, NASAL = CLASSES.index("bilabial stop"), CLASSES.index("bilabial nasal")


@pytest.fixture(scope="module")
def speech() -> tuple[np.ndarray, list[Phoneme]]:
    """Return a sentence with its phones' times, half a second of faint noise round it."""
    audio, phonemes = synthesise(SENTENCE, VoiceSettings("en-us", rate_wpm=150))
    audio = np.pad(0.3 * audio, 8000) + np.random.default_rng(0).normal(
        0, 1e-4, len(audio) + 16_000
    )
    shifted = [Phoneme(p.ipa, p.start_s + 0.5, p.end_s + 0.5) for p in phonemes if p.ipa]
    return audio, shifted


def closures(phonemes: list[Phoneme]) -> list[Phoneme]:
    return [p for p in phonemes if p.ipa[:1] in BILABIALS]


@pytest.mark.parametrize("n_samples", [3200, 5333, 5334, 16_000, 16_001, 40_000])
@pytest.mark.parametrize("beside", [None, LogMel()])
def test_there_is_a_row_for_every_frame(
    speech: tuple[np.ndarray, list[Phoneme]], n_samples: int, beside: LogMel | None
) -> None:
    """The network gives 50 rows a second and one more, motion has 30."""
    encoder = Phones(beside=beside)
    features = encoder.encode(speech[0][:n_samples])
    assert features.shape == (n_frames_of(n_samples), encoder.dim)
    assert encoder.dim == (30 if beside is None else 65)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= FEATURE_BOUND


def test_columns_are_shares_and_then_what_stands_beside(
    speech: tuple[np.ndarray, list[Phoneme]],
) -> None:
    """A policy reads columns by their place."""
    alone, both = Phones().encode(speech[0]), Phones(beside=LogMel()).encode(speech[0])
    np.testing.assert_array_equal(both[:, :N_CLASSES], alone)
    np.testing.assert_array_equal(both[:, N_CLASSES:], LogMel().encode(speech[0]))
    assert alone.min() >= 0
    total = alone.sum(axis=1) / 4
    assert total.max() <= 1 + 1e-4
    assert total.mean() > 0.98, "hardly anything may be lost between the classes"


def test_lips_are_heard_to_shut_in_their_frames(speech: tuple[np.ndarray, list[Phoneme]]) -> None:
    """Against the synthesiser's own times: a frame off is 33 ms, and viewers see 45."""
    audio, phonemes = speech
    features = Phones().encode(audio)
    shut = features[:, STOP] + features[:, NASAL]
    found = 0
    for phoneme in closures(phonemes):
        first, last = int(phoneme.start_s * 30), int(phoneme.end_s * 30) + 1
        near = shut[max(0, first - 1) : last + 2]
        found += bool(near.max() > 0.5)
    assert found >= 0.9 * len(closures(phonemes)), f"{found} of {len(closures(phonemes))}"
    inside = np.zeros(len(shut), bool)
    for phoneme in closures(phonemes):
        inside[max(0, int(phoneme.start_s * 30) - 1) : int(phoneme.end_s * 30) + 3] = True
    assert shut[~inside].sum() < 0.2 * shut[inside].sum(), "and nowhere else"


def test_features_do_not_drift_over_a_long_recording(
    speech: tuple[np.ndarray, list[Phoneme]],
) -> None:
    """One per cent of drift is a third of a second after half a minute.

    The same sentence begins on a frame and a hop at 0 s, 20 s (a seam of pieces) and 50 s.
    """
    sentence = speech[0]
    audio = np.random.default_rng(0).normal(0, 1e-4, 60 * 16_000).astype(np.float32)
    begins = [0, 20, 50]
    for begin in begins:
        audio[begin * 16_000 :][: len(sentence)] = sentence
    features = Phones().encode(audio)
    assert len(features) == 1800
    length = n_frames_of(len(sentence)) - 1
    shut = [features[30 * b : 30 * b + length, [STOP, NASAL]].sum(axis=1) for b in begins]
    for later in shut[1:]:
        lags = {
            lag: float((np.roll(later, lag)[5:-5] * shut[0][5:-5]).sum()) for lag in range(-5, 6)
        }
        assert max(lags, key=lambda lag: lags[lag]) == 0
        assert np.corrcoef(shut[0], later)[0, 1] > 0.8


def test_the_gain_is_not_heard(speech: tuple[np.ndarray, list[Phoneme]]) -> None:
    """Otherwise the policy learns the microphone."""
    loud, quiet = (Phones().encode(gain * speech[0]) for gain in (1.0, 0.01))
    np.testing.assert_allclose(quiet, loud, atol=0.05)


def test_silence_gives_finite_features_without_phones() -> None:
    """The logarithm of nothing must not reach the network, nor noise shut the lips."""
    features = make_encoder("phones+logmel").encode(np.zeros(16_000, np.float32))
    assert np.isfinite(features).all()
    assert features[:, [STOP, NASAL]].max() < 0.2


def test_names_give_phones() -> None:
    """The version stays in the name that a run notes."""
    version = metadata.version("hama")
    assert make_encoder("phones") == Phones() == make_encoder(f"phones:{version}")
    assert make_encoder("phones+logmel") == Phones(beside=LogMel())
    assert name_to_keep("phones") == name_to_keep(f"phones:{version}") == f"phones:{version}"
    assert name_to_keep("phones+logmel") == f"phones+logmel:{version}"
    assert name_to_keep("logmel") == "logmel"
    assert name_to_keep("wavlm@mean:/data/a") == "wavlm@mean:/data/a"


def test_keys_hold_the_version_and_the_neighbours() -> None:
    """Features of another network must not be found in the cache."""
    version = metadata.version("hama")
    assert Phones().key == f"phones-v1-{version}"
    assert Phones(beside=LogMel()).key == f"phones-v1-{version}+logmel-v2-32-160-512"
    assert Phones(beside=LogMel(n_mels=40)).key != Phones(beside=LogMel()).key


@pytest.mark.parametrize("name", ["phones:0.9", "phones+logmel:0.9"])
def test_another_version_is_refused_by_name(name: str) -> None:
    """It is what a run's note says."""
    said = f"`hama` must be 0.9, which the audio features were made with, got {Phones().version}"
    with pytest.raises(InputError, match=re.escape(said)):
        make_encoder(name)


def test_every_symbol_is_in_one_class() -> None:
    """A symbol in two would count twice; one that the network lacks is a slip of the pen."""
    tokens = phone_network("x").tokens
    matrix = class_matrix(tokens)
    assert matrix.shape == (191, N_CLASSES) == (len(tokens), 30)
    assert matrix.sum(axis=1).max() == 1
    assert matrix.sum(axis=0).min() >= 1
    assert {tokens[i] for i in np.flatnonzero(matrix[:, STOP] + matrix[:, NASAL])} == BILABIALS
    said = "`tokens` must hold every symbol of the classes, not 'p'"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        class_matrix(["a", "b"])


def test_bilabials_are_found_when_they_are_spoken(
    speech: tuple[np.ndarray, list[Phoneme]],
) -> None:
    """A metric that looks at the wrong frames finds the mouth open in every recording."""
    audio, phonemes = speech
    times = bilabial_times(audio)
    assert times.dtype == np.float64
    assert times.shape[1] == 2
    assert (times[:, 0] < times[:, 1]).all()
    assert (times[1:, 0] >= times[:-1, 1]).all()
    middles = np.array([(p.start_s + p.end_s) / 2 for p in closures(phonemes)])
    distance = np.abs(times.mean(axis=1)[:, None] - middles)
    assert (distance.min(axis=0) < 0.06).mean() >= 0.9, "of those spoken"
    assert (distance.min(axis=1) < 0.06).mean() >= 0.9, "of those found"
    assert abs(np.median(times.mean(axis=1) - middles[distance.argmin(axis=1)])) < 0.03


def test_spans_lie_inside_the_recording(speech: tuple[np.ndarray, list[Phoneme]]) -> None:
    """A span beyond the last frame is refused by the closure metric."""
    audio = speech[0][7000:24_000]  # cut inside the sentence
    spans = phone_spans(audio)
    assert len(spans) > 3
    assert spans[0].start_s >= 0
    assert spans[-1].end_s <= len(audio) / 16_000
    assert all(span.start_s < span.end_s for span in spans)
    assert not {"<blank>", "<wb>"} & {span.label for span in spans}


def test_silence_has_no_spans() -> None:
    """Nor does an array of no bilabials lose its second axis."""
    assert phone_spans(np.zeros(32_000, np.float32)) == ()
    assert bilabial_times(np.zeros(32_000, np.float32)).shape == (0, 2)


def test_spans_are_cut_where_the_next_phone_is_likelier() -> None:
    """By hand: p is named in hop 10, i in hop 20, a word ends in hop 30; p is likelier up to 13."""
    tokens = ("p", "i", "<wb>", "<blank>")
    likely = np.full((40, 4), 0.01)
    likely[:, 3] = 0.9
    likely[:14, 0], likely[14:25, 1] = 0.05, 0.05
    for hop, token in ((10, 0), (20, 1), (30, 2)):
        likely[hop] = 0.01
        likely[hop, token] = 0.97
    first, second = spans_of(np.log(likely).astype(np.float32), tokens)
    assert (first.label, second.label) == ("p", "i")
    # Half a hop before the cut (10 ms), and 30 ms for naming late; 7 is three hops before 10.
    assert (first.start_s, first.end_s) == pytest.approx((6.5 / 50 - 0.03, 13.5 / 50 - 0.03))
    assert second.start_s == first.end_s
    assert second.end_s == pytest.approx(24.5 / 50 - 0.03)
