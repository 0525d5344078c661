"""Streaming animation with a tiny trained run: the bits of the whole recording, block by block."""

import itertools
import re

import numpy as np
import pytest

from agents import MotionTransformer, StreamingAnimator, load_policy
from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env import InputError, open_speech_stream
from esarm_env.audio.encoders.running import RunningLogMel
from esarm_env.audio.pauses import RunningCuts
from esarm_env.core.seeds import sequence_seeds
from esarm_env.task.opening import find_speech_encoder
from esarm_env.task.recording import crossfade
from esarm_env.tokenizer import load_tokenizer
from train.animate import SpeechAnimator


@pytest.fixture(scope="module")
def speech(make_speech):
    """31 s with pauses, long enough for four pieces."""
    return make_speech(31.3, seed=5)


def stream_of(run, **settings):
    speech = open_speech_stream(run, emotion="neutral", intensity=3)
    return StreamingAnimator(load_policy(run), speech, **settings)


def in_blocks(animator, audio, sizes):
    parts, place = [], 0
    for size in sizes:
        parts.append(animator.push(audio[place : place + size]))
        place += size
    return np.concatenate([*parts, animator.push(audio[place:]), animator.finish()])


@pytest.fixture(scope="module")
def whole(streaming_run, speech):
    """The motion of `speech`, pushed at once."""
    return in_blocks(stream_of(streaming_run), speech, [])


def test_blocks_of_any_size_give_the_bits_of_the_whole(streaming_run, speech, whole, rng):
    """Another audio buffer would show another face of the same words."""
    assert whole.shape == (939, 52)
    assert whole.min() >= 0
    assert whole.max() <= 1
    for most in (900, 5_000, 60_000):
        sizes = rng.integers(0, most, size=400).tolist()
        assert np.array_equal(in_blocks(stream_of(streaming_run), speech, sizes), whole), most


def test_a_recording_at_hand_is_animated_with_the_same_bits(streaming_run, speech, whole):
    """What was tried on files would not be what the microphone gives, in blocks of any size."""
    from esarm_env.task.recording import AnimationCondition

    how = AnimationCondition("neutral", 3)
    offline = SpeechAnimator(streaming_run).animate(speech, how)
    assert np.array_equal(offline, whole)


class Reference:
    """A task of pieces, computed utterance-wise, for `generate`."""

    def __init__(self, windows, tokens_per_chunk):
        self.windows = windows
        self.lengths = np.array([len(piece) * tokens_per_chunk for piece in windows])

    def audio_windows(self, utterances):
        (index,) = utterances
        return self.windows[index][None]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_it_is_what_encoder_and_policy_make_of_whole_pieces(streaming_run, speech, temperature):
    """Caches that are off by one would agree among themselves, and with nothing else."""
    tokenizer = load_tokenizer(streaming_run / "prior" / "tokenizer.safetensors")
    encoder, policy = find_speech_encoder(streaming_run), load_policy(streaming_run)
    features = RunningLogMel().encode(speech)
    n_chunks, step = tokenizer.n_chunks(len(features)), tokenizer.frames_per_chunk
    rule, cuts = RunningCuts(15, 60), []
    edges = [round(chunk * step * 16_000 / 30) for chunk in range(n_chunks)]
    for chunk, (first, last) in enumerate(itertools.pairwise(edges)):
        if rule.cut_after(speech[first:last]):
            cuts.append(chunk + 1)
    assert len(cuts) >= 3
    begins = np.array([0, *(cut - 4 for cut in cuts)])
    ends = [min(cut + 4, n_chunks) for cut in cuts] + [n_chunks]
    windows = []
    for begin, end in zip(begins, ends, strict=True):
        heard = encoder.encode(features[begin * step :])
        heard = np.pad(heard, ((0, -len(heard) % step), (0, 0)), mode="edge")
        own = heard.reshape(-1, step * heard.shape[1])
        windows.append(own[: end + tokenizer.look_ahead_chunks - begin])
    task = Reference(windows, tokenizer.tokens_per_chunk)
    animator = stream_of(streaming_run, temperature=temperature, seed=3)
    motions = []
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        written = generate(
            policy,
            task,
            np.array([number]),
            condition=animator._speech.condition[None],
            decoding=Decoding(
                temperature=temperature,
                expected_distance=temperature == 0 and policy.knows_distances,
            ),
            seeds=sequence_seeds(run_seed=3, iteration=0, utterances=np.array([number]), samples=0),
        )
        motions.append(tokenizer.decode(written.tokens[0])[: (end - begin) * step])
    wanted = crossfade(motions, begins * step)[: len(features)]
    got = in_blocks(animator, speech, [16_000] * 20)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_a_frame_is_there_after_the_stated_look_ahead(streaming_run, speech):
    """A delay that is longer than stated makes lips lag behind the voice that is played."""
    animator = stream_of(streaming_run)
    # Tokens: 2 chunks of 4 frames and their own; encoder: 4; features: their block, and 12 ms.
    assert animator.look_ahead_frames == 19
    assert animator.look_ahead_ms == 633
    ready, latest, earliest = 0, 0, 1000
    for number in range(1, 300):
        n_before = ready
        ready += len(animator.push(speech[160 * (number - 1) : 160 * number]))
        if ready > n_before and n_before:
            waited = number * 160 / 16_000 * 30 - n_before
            latest, earliest = max(latest, waited), min(earliest, waited)
    assert 18 < latest <= animator.look_ahead_frames + 0.3  # audio comes in steps of 0.3 frames
    assert earliest > 16


@pytest.mark.parametrize("n_samples", [0, 1, 533, 3_000, 20_000])
def test_short_recordings_have_as_many_frames_as_they_last(streaming_run, speech, n_samples):
    """The end of a recording comes before anything is final."""
    motion = in_blocks(stream_of(streaming_run), speech[:n_samples], [n_samples // 2])
    assert motion.shape == (-(-n_samples * 30 // 16_000), 52)
    assert np.isfinite(motion).all()


def test_state_is_bounded(streaming_run, make_speech):
    """A day of speech must not need a day of memory."""
    import pickle

    animator = stream_of(streaming_run)
    speech = make_speech(10.0, seed=1)

    def size():
        stream = animator._speech
        return len(pickle.dumps([stream._samples, stream._features, len(stream._pieces)])), len(
            animator._writers
        ) + len(animator._spare)

    sizes = []
    for _ in range(6):
        animator.push(speech)
        sizes.append(size())
    arrays, writers = np.array(sizes).T
    assert arrays.max() < 30_000
    assert writers.max() <= 3


def test_a_run_that_hears_whole_recordings_is_refused(finished_run):
    """It would be fed zeros for the future that it learned to hear."""
    message = (
        "`corpus.encoder` of the run must be one whose features stream, got 'logmel', which hears "
        "the whole recording; train a run with `corpus.encoder=logmel-running` and "
        "`encoder.streaming=true`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_speech_stream(finished_run)


def test_what_cannot_stream_is_refused_by_name(streaming_run):
    """Each would give something else than what was asked for."""
    with pytest.raises(InputError, match=r"`emotion` must be named .*, got 'auto'"):
        open_speech_stream(streaming_run, emotion="auto")
    with pytest.raises(InputError, match=r"`speaker` must be one of .*, got 'nobody'"):
        open_speech_stream(streaming_run, speaker="nobody")
    with pytest.raises(InputError, match=r"`decoding` must choose token by token .* beam \(4\)"):
        stream_of(streaming_run, decoding="beam")
    with pytest.raises(InputError, match=r"`decoding` must choose token by token .* median of 32"):
        stream_of(streaming_run, decoding="median")
    speech = open_speech_stream(streaming_run)
    other = load_policy(streaming_run).config
    from dataclasses import replace

    narrow = MotionTransformer(replace(other, window_dim=8))
    with pytest.raises(InputError, match="`speech` must have the `window_dim` of the policy"):
        StreamingAnimator(narrow, speech).push(np.zeros(32_000))
    strange = MotionTransformer(replace(other, condition_dim=3))
    with pytest.raises(InputError, match="`speech` must have the `condition_dim` of the policy"):
        StreamingAnimator(strange, open_speech_stream(streaming_run))


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros(10, np.int16), "got int16 of shape (10,); mix to mono, and divide 16-bit"),
        (np.zeros((10, 2)), "got float64 of shape (10, 2); mix to mono"),
        (np.array([0.0, np.nan]), "`audio` must be finite, got nan or infinity"),
    ],
)
def test_blocks_that_are_no_audio_are_refused(streaming_run, audio, message):
    """Integers taken for samples are thirty thousand times full scale."""
    with pytest.raises(InputError, match=re.escape(message)):
        stream_of(streaming_run).push(audio)


def test_a_recording_ends_once(streaming_run):
    """What is pushed after the end would be lost without a word."""
    animator = stream_of(streaming_run)
    animator.finish()
    for call in (animator.finish, lambda: animator.push(np.zeros(5))):
        with pytest.raises(RuntimeError, match="the recording has ended; begin another"):
            call()
