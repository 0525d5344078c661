"""The task: windows of audio, tokens and errors by index, alone as in a batch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from esarm_env.audio.store import FeatureStore
from esarm_env.core.types import N_CHANNELS, Corpus, Trajectories
from esarm_env.face import MOUTH_CHANNELS, load_head
from esarm_env.metrics import emotional_vertex_error, lip_vertex_error
from esarm_env.task.animation_task import (
    AnimationTask,
    audio_chunks,
    audio_windows,
    pad_stack,
    sliding_windows,
)
from esarm_env.tokenizer.vq import load_tokenizer

ALL = np.arange(12)


def test_windows_are_the_hand_written_ones() -> None:
    """Five frames of one feature, two frames a chunk, one chunk on each side."""
    features = np.array([[1], [2], [3], [4], [5]], np.float32)
    windows = audio_windows(features, frames_per_chunk=2, context=1)
    assert windows.tolist() == [
        [0, 0, 1, 2, 3, 4],
        [1, 2, 3, 4, 5, 5],
        [3, 4, 5, 5, 0, 0],
    ]
    assert windows.dtype == np.float32


def test_chunks_are_the_hand_written_ones() -> None:
    """Five frames of two features, two frames a chunk: the last frame is held, silence outside."""
    features = np.array([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50]], np.float32)
    chunks = audio_chunks(features, frames_per_chunk=2, context=1)
    assert chunks.tolist() == [
        [0, 0, 0, 0],
        [1, 10, 2, 20],
        [3, 30, 4, 40],
        [5, 50, 5, 50],
        [0, 0, 0, 0],
    ]
    assert chunks.dtype == np.float32
    plain = audio_chunks(features, frames_per_chunk=2, context=0)
    np.testing.assert_array_equal(plain, chunks[1:-1])


@pytest.mark.parametrize("shape", [(5, 2), (3, 5, 2)])
def test_windows_slide_over_chunks(shape: tuple[int, ...]) -> None:
    """Also over those of many utterances; nobody may write through windows that overlap."""
    chunks = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    windows = sliding_windows(chunks, context=1)
    assert windows.shape == (*shape[:-2], 3, 6)
    for row in range(3):
        expected = chunks[..., row : row + 3, :].reshape(*shape[:-2], 6)
        np.testing.assert_array_equal(windows[..., row, :], expected)
    assert np.shares_memory(windows, chunks), "a copy would cost thrice the memory"
    assert not windows.flags.writeable
    np.testing.assert_array_equal(sliding_windows(chunks, context=0), chunks)
    assert sliding_windows(chunks, context=2).shape == (*shape[:-2], 1, 10)


def test_windows_of_a_part_of_an_array_are_of_that_part() -> None:
    """The docstring asks for contiguous chunks; memory of others must not be read without it."""
    whole = np.arange(40, dtype=np.float32).reshape(5, 8)
    part = whole[:, :2]
    expected = sliding_windows(part.copy(), context=1)
    try:
        windows = sliding_windows(part, context=1)
    except ValueError:
        return
    np.testing.assert_array_equal(windows, expected)


@pytest.mark.parametrize("context", [0, 1, 2, 5])
@pytest.mark.parametrize("n_frames", [1, 4, 5, 23])
def test_windows_agree_with_the_plain_definition(context: int, n_frames: int) -> None:
    """Frame by frame and feature by feature; a transposed window would still learn a little."""
    n_features, per_chunk = 3, 4
    features = np.random.default_rng(n_frames).normal(size=(n_frames, n_features))
    windows = audio_windows(features, frames_per_chunk=per_chunk, context=context)
    n_chunks = -(-n_frames // per_chunk)
    assert windows.shape == (n_chunks, (2 * context + 1) * per_chunk * n_features)
    split = windows.reshape(n_chunks, 2 * context + 1, per_chunk, n_features)
    for chunk in range(n_chunks):
        for place in range(2 * context + 1):
            other = chunk + place - context
            for frame in range(per_chunk):
                at = min(other * per_chunk + frame, n_frames - 1)
                inside = 0 <= other < n_chunks
                expected = features[at] if inside else np.zeros(n_features)
                np.testing.assert_array_equal(split[chunk, place, frame], expected)


def test_the_middle_of_a_window_is_the_chunk_itself(tiny_task: AnimationTask) -> None:
    """A window off by one chunk hears the sound 133 ms late."""
    per_chunk, context = 4 * tiny_task.features.dim, tiny_task.context
    before, after = context * per_chunk, (context + 1) * per_chunk
    assert context > 0
    for index in (0, 6):
        windows, features = tiny_task.windows_of(index), tiny_task.features[index]
        assert windows.shape == (-(-len(features) // 4), tiny_task.window_dim)
        assert tiny_task.window_dim == (2 * context + 1) * per_chunk
        middle = windows[:, before:after].reshape(-1, tiny_task.features.dim)
        np.testing.assert_array_equal(middle[: len(features)], features)
        assert not windows[0, :before].any(), "before the start there is nothing"
        assert not windows[-1, after:].any(), "after the end there is nothing"


@pytest.mark.parametrize("context", [0, 1, 3])
def test_chunks_have_silence_on_both_sides(tiny_task: AnimationTask, context: int) -> None:
    """The vector environment lays them end to end: without it a window hears the neighbour."""
    task = dataclasses.replace(tiny_task, context=context)
    for index in (0, 6):
        chunks, features = task.chunks_of(index), task.features[index]
        n_chunks = -(-len(features) // 4)
        assert chunks.shape == (context + n_chunks + context, task.chunk_dim)
        flat = chunks[context : context + n_chunks].reshape(-1, task.features.dim)
        np.testing.assert_array_equal(flat[: len(features)], features)
        assert not chunks[:context].any()
        assert not chunks[context + n_chunks :].any()


def test_windows_cannot_be_written_into(tiny_task: AnimationTask) -> None:
    """They are the memory of every later episode."""
    with pytest.raises(ValueError, match="read-only"):
        tiny_task.windows_of(0)[0, 0] = 1


def test_audio_is_kept_up_to_a_limit(
    tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corpus of a hundred hours would fill the memory; what is not kept must be the same."""
    monkeypatch.setattr("esarm_env.task.animation_task.N_KEPT", 3)
    task = dataclasses.replace(tiny_task)
    for _ in range(2):
        for index in range(12):
            np.testing.assert_array_equal(task.chunks_of(index), tiny_task.chunks_of(index))
    kept = [task.chunks_of(index) is task.chunks_of(index) for index in range(12)]
    assert kept == [True] * 3 + [False] * 9


def test_every_id_has_its_index(tiny_task: AnimationTask) -> None:
    """`reset(options=...)` finds utterances by it."""
    assert len(tiny_task.index_of) == 12
    for name, index in tiny_task.index_of.items():
        assert tiny_task.corpus.records[index].id == name
    assert tiny_task.index_of["cleo-06"] == 6


def test_batches_of_audio_are_padded_with_zeros(tiny_task: AnimationTask) -> None:
    """Padding that looks like sound would be animated."""
    utterances = np.array([4, 6])  # 45 and 20 frames
    windows, chunks = tiny_task.audio_windows(utterances), tiny_task.audio_chunks(utterances)
    assert windows.shape == (2, 12, tiny_task.window_dim)
    assert chunks.shape == (2, 12, 4 * tiny_task.features.dim)
    for row, index in enumerate(utterances):
        own = tiny_task.windows_of(int(index))
        np.testing.assert_array_equal(windows[row, : len(own)], own)
        features = tiny_task.features[int(index)]
        flat = chunks[row].reshape(-1, tiny_task.features.dim)
        np.testing.assert_array_equal(flat[: len(features)], features)
    assert not windows[1, 5:].any()
    assert not chunks[1, 5:].any()


def test_lengths_count_whole_chunks(tiny_task: AnimationTask) -> None:
    """An episode one chunk short has no end of the last word."""
    n_frames = [33, 30, 24, 27, 45, 26, 20, 36, 29, 32, 40, 31]
    assert tiny_task.n_frames.tolist() == n_frames
    assert tiny_task.lengths.tolist() == [36, 32, 24, 28, 48, 28, 20, 36, 32, 32, 40, 32]
    assert tiny_task.tokens_per_chunk == 4, "as many tokens as frames here, by coincidence"
    assert (tiny_task.n_tokens, tiny_task.condition_dim) == (16, 15)


def test_conditions_are_fresh_copies(tiny_task: AnimationTask) -> None:
    """A trainer that hides speakers writes into what it got."""
    first = tiny_task.condition_of(np.array([1, 1]))
    first[:] = 7
    again = tiny_task.condition_of(np.array([1]))
    np.testing.assert_array_equal(again[0], tiny_task.conditions.encode("happy", 3, "anna"))


def test_recordings_become_trajectories(tiny_task: AnimationTask) -> None:
    """Demonstrations in another order than their utterances would train on noise."""
    utterances = np.array([6, 4, 0])
    recorded = tiny_task.recorded(utterances)
    assert recorded.lengths.tolist() == [20, 48, 36]
    assert recorded.tokens.shape == (3, 48)
    for row, index in enumerate(utterances):
        tokens = tiny_task.tokenizer.encode(tiny_task.corpus[int(index)].motion)
        assert recorded.tokens[row, : len(tokens)].tolist() == tokens.tolist()
        assert (recorded.tokens[row, len(tokens) :] == -1).all()
    np.testing.assert_array_equal(recorded.condition, tiny_task.condition_of(utterances))


def test_the_median_is_taken_of_curves_and_written_through_the_tokenizer(
    tiny_task: AnimationTask,
) -> None:
    """Of tokens there is none: their numbers are names."""
    utterances = np.array([3, 0])
    lengths, rng = tiny_task.lengths[utterances], np.random.default_rng(0)
    tokens = rng.integers(0, tiny_task.n_tokens, size=(2, 3, int(lengths.max())))
    tokens[np.arange(tokens.shape[2]) >= lengths[:, None, None] + np.zeros((1, 3, 1), int)] = -1
    found = tiny_task.median_tokens(utterances, tokens)
    for row, length in enumerate(lengths.tolist()):
        drawn = [tiny_task.tokenizer.decode(sample[:length]) for sample in tokens[row]]
        expected = tiny_task.tokenizer.encode(np.median(drawn, axis=0))
        np.testing.assert_array_equal(found[row, :length], expected)
        assert (found[row, length:] == -1).all()
    same = np.repeat(tokens[:, :1], 3, axis=1)
    again = tiny_task.tokenizer.encode(tiny_task.tokenizer.decode(tokens[0, 0, : lengths[0]]))
    np.testing.assert_array_equal(tiny_task.median_tokens(utterances, same)[0, : lengths[0]], again)


def test_decoded_motion_is_cut_and_held(tiny_task: AnimationTask) -> None:
    """The undefined frames after an end must not reach a metric or a film."""
    utterances = np.array([6, 4, 0])
    motion = tiny_task.decode(tiny_task.recorded(utterances))
    assert motion.shape == (3, 45, N_CHANNELS)
    for row, index in zip(motion, utterances, strict=True):
        n_frames = tiny_task.n_frames[index]
        alone = tiny_task.tokenizer.decode(tiny_task.recorded_tokens(int(index)))
        np.testing.assert_allclose(row[:n_frames], alone[:n_frames], atol=1e-5)
        assert (row[n_frames:] == row[n_frames - 1]).all()


def test_chunks_are_decoded_whole(tiny_task: AnimationTask) -> None:
    """The reward model sees chunks; the last one must not be cut to the frames."""
    utterances = np.array([4, 6, 0])
    rows = tiny_task.decode_chunks(tiny_task.recorded(utterances))
    assert [row.shape for row in rows] == [(48, 52), (20, 52), (36, 52)]
    for row, index in zip(rows, utterances, strict=True):
        alone = tiny_task.tokenizer.decode(tiny_task.recorded_tokens(int(index)))
        np.testing.assert_allclose(row, alone, atol=1e-5)


def test_large_batches_are_decoded_in_pieces(tiny_task: AnimationTask) -> None:
    """Rows lost or exchanged at the seam of 256 would be scored for others."""
    utterances = np.arange(600) % 12
    motion = tiny_task.decode(tiny_task.recorded(utterances))
    few = tiny_task.decode(tiny_task.recorded(ALL))
    np.testing.assert_allclose(motion, few[utterances], atol=1e-5)


def test_recorded_motion_is_held_after_its_end(tiny_task: AnimationTask) -> None:
    """Zeros after the end would be an error that no policy made."""
    target = tiny_task.target_motion(np.array([6, 4]))
    assert target.shape == (2, 45, N_CHANNELS)
    np.testing.assert_array_equal(target[0, :20], tiny_task.corpus[6].motion)
    assert (target[0, 20:] == target[0, 19]).all()


def test_errors_are_those_of_the_metrics(tiny_task: AnimationTask) -> None:
    """One utterance at a time, without padding, with the metric called directly."""
    errors = tiny_task.errors(tiny_task.recorded(ALL))
    assert set(errors) == {"lve", "eve"}
    for name, metric in (("lve", lip_vertex_error), ("eve", emotional_vertex_error)):
        assert errors[name].dtype == np.float32
        expected = []
        for index in ALL:
            motion = tiny_task.corpus[int(index)].motion
            ours = tiny_task.tokenizer.decode(tiny_task.recorded_tokens(int(index)))[: len(motion)]
            expected.append(metric(ours, motion, head=load_head())[0])
        np.testing.assert_allclose(errors[name], expected, rtol=1e-4)


def test_recordings_err_less_than_other_animations(
    tiny_task: AnimationTask, rng: np.random.Generator
) -> None:
    """The tokenizer's own error is the floor; random tokens must stand far above it."""
    recorded = tiny_task.recorded(ALL)
    random = np.where(recorded.tokens >= 0, rng.integers(0, 16, recorded.tokens.shape), -1)
    noise = dataclasses.replace(recorded, tokens=random)
    floor, worse = tiny_task.errors(recorded), tiny_task.errors(noise)
    assert floor["lve"].mean() < 0.5 * worse["lve"].mean()
    assert floor["eve"].mean() < 0.8 * worse["eve"].mean()
    perfect = tiny_task.errors_of_motion(tiny_task.target_motion(ALL), ALL)
    assert perfect["lve"].max() == perfect["eve"].max() == 0


def test_errors_leave_out_what_was_never_captured(
    tiny_task: AnimationTask, tiny_corpus: Corpus, make_corpus: Callable[..., Corpus]
) -> None:
    """A corpus of mouths has no EVE; 0 would be the best EVE in the table."""
    captured = np.zeros(N_CHANNELS, np.bool_)
    captured[MOUTH_CHANNELS] = True
    utterances = [dataclasses.replace(tiny_corpus[int(i)], captured=captured) for i in ALL]
    corpus = make_corpus(utterances, {"train": ALL})
    task = AnimationTask(
        corpus, tiny_task.features, tiny_task.tokenizer, tiny_task.head, tiny_task.conditions
    )
    errors = task.errors(task.recorded(ALL))
    assert np.isnan(errors["eve"]).all()
    assert np.isfinite(errors["lve"]).all()


def test_windows_follow_the_context(tiny_task: AnimationTask) -> None:
    """The context is a setting like any other."""
    task = AnimationTask(
        tiny_task.corpus,
        tiny_task.features,
        tiny_task.tokenizer,
        tiny_task.head,
        tiny_task.conditions,
        context=0,
    )
    assert task.windows_of(0).shape == (9, task.window_dim) == (9, 4 * tiny_task.features.dim)
    np.testing.assert_array_equal(task.audio_chunks(ALL), tiny_task.audio_chunks(ALL))


def test_a_changed_copy_has_windows_of_its_own(tiny_task: AnimationTask) -> None:
    """A frozen dataclass invites `replace`; its cache must not come from the old settings."""
    tiny_task.windows_of(0)
    wider = dataclasses.replace(tiny_task, context=tiny_task.context + 1)
    assert wider.windows_of(0).shape[1] == wider.window_dim > tiny_task.window_dim


def test_features_of_another_corpus_are_rejected(tiny_task: AnimationTask) -> None:
    """Audio features by index would belong to other utterances."""
    features = FeatureStore(np.zeros((3, 2), np.float16), [1, 2])
    message = "`features` must hold 12 utterances like the corpus, got 2"
    with pytest.raises(ValueError, match=re.escape(message)):
        AnimationTask(
            tiny_task.corpus,
            features,
            tiny_task.tokenizer,
            tiny_task.head,
            tiny_task.conditions,
        )


def test_stacks_are_padded_with_the_value() -> None:
    """0 is a token; padding must be what was asked for."""
    rows = [np.array([1, 2, 3]), np.array([4])]
    assert pad_stack(rows, value=-1).tolist() == [[1, 2, 3], [4, -1, -1]]
    assert pad_stack(rows).tolist() == [[1, 2, 3], [4, 0, 0]]
    assert pad_stack(rows).dtype == np.int64


def test_stacks_can_hold_the_last_entry() -> None:
    """Held means the last frame of each row, not of the longest."""
    rows = [np.array([[1, 2]], np.float32), np.array([[3, 4], [5, 6], [7, 8]], np.float32)]
    stacked = pad_stack(rows, edge=True)
    assert stacked.tolist() == [[[1, 2], [1, 2], [1, 2]], [[3, 4], [5, 6], [7, 8]]]
    assert stacked.dtype == np.float32


def test_a_stack_is_no_view() -> None:
    """Writing into a batch must not reach what it was made of."""
    row = np.array([1, 2])
    pad_stack([row])[0, 0] = 9
    assert row.tolist() == [1, 2]


def test_random_tokens_decode_like_the_tokenizer(
    tiny_task: AnimationTask, rng: np.random.Generator
) -> None:
    """Trajectories of a policy, not only recorded ones, go through the same path."""
    tokens = rng.integers(0, 16, (1, 20))
    one = Trajectories(np.array([6]), tokens, np.array([20]), tiny_task.condition_of(np.array([6])))
    expected = tiny_task.tokenizer.decode(tokens[0])[:20]
    np.testing.assert_allclose(tiny_task.decode(one)[0], expected, atol=1e-6)


def test_a_task_knows_its_tokenizer_and_its_corpus(
    tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """Agents are refused by this: a file read again is the same tokenizer, one bit is another."""
    told = tiny_task.fingerprint
    assert told["corpus"] == tiny_task.corpus.content_hash
    tiny_task.tokenizer.save(tmp_path / "tokenizer.safetensors")
    again = load_tokenizer(tmp_path / "tokenizer.safetensors")
    assert dataclasses.replace(tiny_task, tokenizer=again).fingerprint == told
    with torch.no_grad():
        again.mean_pose[3] += 1e-6
    other = dataclasses.replace(tiny_task, tokenizer=again).fingerprint
    assert other["tokenizer"] != told["tokenizer"]
    assert other["corpus"] == told["corpus"]


def test_utterances_have_ids(tiny_task: AnimationTask) -> None:
    """Messages of trainers name recordings by what their files are called."""
    assert tiny_task.ids_of(np.array([10, 4])) == ["dora-10", "ben-04"]


def test_recorded_motion_is_kept_up_to_a_limit(
    tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recordings are read and decoded once, and a corpus of any size fits into memory."""
    task = dataclasses.replace(tiny_task)
    monkeypatch.setattr("esarm_env.task.animation_task.N_KEPT", 2)
    for index in (3, 4, 5):
        np.testing.assert_array_equal(task.recorded_motion(index), task.corpus[index].motion)
    assert task.recorded_motion(3) is task.recorded_motion(3)
    assert task._motion.keys() == {3, 4}
    assert dataclasses.replace(task)._motion == {}, "another corpus has other motion"
