"""Layouts, frame rates and offsets, from files to utterances."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, SAMPLE_RATE_HZ, Utterance, n_frames_of
from esarm_env.corpus import open_corpus
from esarm_env.corpus.folder import FolderCorpus
from esarm_env.face import write_livelink_csv

WriteTake = Callable[..., None]
Array = np.ndarray
RAMP_S = 64.0  # after which the motion of `ramp` is 1


def times_of(utterance: Utterance) -> Array:
    """Return the time in its take that each frame of `ramp` tells, in seconds."""
    return utterance.motion[:, 0] * RAMP_S


@pytest.fixture
def root(three_takes: Path) -> Path:
    """Return a folder of three good takes of 3 s."""
    return three_takes


@pytest.mark.parametrize(
    ("layout", "sound", "motion", "fps", "labels"),
    [
        (
            "mead",
            "M003/audio/sad/level_2/001.wav",
            "blendshape/M003/video/front/sad/level_2/001.csv",
            25.0,
            ("M003", "sad", 2),
        ),
        (
            "ravdess",
            "Actor_01/03-01-05-02-02-01-01.wav",
            "blendshape/Actor_01/03-01-05-02-02-01-01.npz",
            29.97,
            ("Actor_01", "angry", 3),
        ),
        (
            "3d-etf",
            "RAVDESS/audio/03-01-03-01-01-01-02.wav",
            "RAVDESS/blendshape/03-01-03-01-01-01-02.npy",
            30.0,
            ("Actor_02", "happy", 2),
        ),
        ("beat", "1/1_wayne_0_65_65.wav", "1/1_wayne_0_65_65.json", 60.0, ("wayne", "happy", 2)),
        ("livelink", "eve/S_1.wav", "eve/S_1.csv", 60.0, ("eve", "neutral", 1)),
        ("generic", "audio/dora/a.wav", "blendshape/dora/a.json", 50.0, ("dora", "neutral", 1)),
    ],
)
def test_every_layout_is_read_from_end_to_end(
    layout: str,
    sound: str,
    motion: str,
    fps: float,
    labels: tuple[str, str, int],
    tmp_path: Path,
    speech: Callable[..., Array],
    ramp: Callable[..., Array],
    write_motion: Callable[..., None],
) -> None:
    """A layout that is found but read at the wrong rate or as another speaker trains nonsense."""
    (tmp_path / sound).parent.mkdir(parents=True)
    soundfile.write(tmp_path / sound, speech(4.0, rate_hz=44_100), 44_100)
    if layout == "livelink":
        (tmp_path / motion).parent.mkdir(parents=True, exist_ok=True)
        write_livelink_csv(tmp_path / motion, ramp(120), rate_hz=60)
    else:
        write_motion(tmp_path / motion, ramp(round(4 * fps), fps=fps), fps=fps)
    corpus = open_corpus(str(tmp_path))
    assert isinstance(corpus, FolderCorpus)
    assert corpus.layout == layout and corpus.faults == ()
    (record,) = corpus.records
    assert (record.speaker, record.emotion, record.intensity) == labels
    assert record.n_frames == 120
    utterance = corpus[0]
    assert len(utterance.audio) == 4 * SAMPLE_RATE_HZ
    np.testing.assert_allclose(times_of(utterance)[:-2], np.arange(118) / 30, atol=2e-3)


def test_the_sound_of_mead_is_read_from_end_to_end(
    tmp_path: Path,
    speech: Callable[..., Array],
    ramp: Callable[..., Array],
    write_motion: Callable[..., None],
) -> None:
    """AAC files begin with samples that are no sound; kept, they delay every sentence."""
    av = pytest.importorskip("av")
    path = tmp_path / "M003/audio/happy/level_3/005.m4a"
    path.parent.mkdir(parents=True)
    sound = speech(3.0, rate_hz=48_000)
    sound[: 48_000 // 2] = 0.0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    motion = tmp_path / "blendshape/M003/audio/happy/level_3/005.npz"
    write_motion(motion, ramp(75, fps=25), fps=25)
    corpus = FolderCorpus(tmp_path)
    (record,) = corpus.records
    assert (corpus.layout, record.id) == ("mead", "M003/happy/level_3/005-00000")
    assert (record.speaker, record.emotion, record.intensity) == ("M003", "happy", 3)
    assert (record.n_frames, corpus.notes) == (90, ())
    begin = int(np.argmax(np.abs(corpus[0].audio) > 0.05))
    assert abs(begin - SAMPLE_RATE_HZ // 2) < 100


@pytest.mark.parametrize("fps", [24.0, 25.0, 50.0, 59.94, 60.0, 120.0])
def test_a_rate_that_no_file_states_is_found_from_all_takes(
    fps: float, tmp_path: Path, write_take: WriteTake
) -> None:
    """60 fps taken for 30 plays at half speed; one take of 1 s alone fits four rates."""
    for seed, duration_s in enumerate((1.0, 3.0, 4.0, 5.0)):
        write_take(tmp_path, f"anna_{seed}", duration_s=duration_s, fps=fps, seed=seed)
    corpus = FolderCorpus(tmp_path, layout="generic")
    assert (len(corpus), corpus.faults) == (4, ())
    for index, n_frames in enumerate((30, 90, 120, 150)):
        assert corpus.records[index].n_frames == n_frames
        told = times_of(corpus[index])[:-3]
        # 60 and 59.94 fps look alike for a minute: 5 ms at the end of such a take.
        np.testing.assert_allclose(told, np.arange(n_frames - 3) / 30, atol=6e-3)


def test_a_stated_rate_counts_more_than_what_the_others_have(
    root: Path, write_take: WriteTake
) -> None:
    """Two cameras in one folder."""
    write_take(root, "cleo_1", fps=60, kind=".npz")
    corpus = FolderCorpus(root)
    assert len(corpus) == 4
    np.testing.assert_allclose(times_of(corpus[3])[:-2], np.arange(88) / 30, atol=1e-3)


def test_a_wrong_stated_rate_leaves_its_take_out_and_names_the_right_one(
    root: Path, ramp: Callable[..., Array]
) -> None:
    """Believed, it would stretch the motion over twice the audio."""
    np.savez(root / "blendshape" / "cleo_1.npz", values=ramp(180, fps=60), fps=30.0)
    (root / "audio" / "cleo_1.wav").write_bytes((root / "audio" / "ben_1.wav").read_bytes())
    corpus = FolderCorpus(root)
    assert len(corpus) == 3
    (fault,) = corpus.faults
    assert fault.source == "cleo_1"
    assert (
        "got 180 frames at 30 fps (6.00 s); at 60 fps it would: is its rate wrong?" in fault.reason
    )


def test_one_take_at_another_rate_says_which(tmp_path: Path, write_take: WriteTake) -> None:
    """Where no file states a rate most of them decide; the odd one must not run half as fast."""
    write_take(tmp_path, "anna_1")
    write_take(tmp_path, "anna_2")
    write_take(tmp_path, "ben_1", fps=60)
    corpus = FolderCorpus(tmp_path)
    assert corpus.inferred_hz == 30
    (fault,) = corpus.faults
    assert fault.source == "ben_1" and "at 60 fps it would: is its rate wrong" in fault.reason


def test_a_tremble_of_the_tracker_does_not_fold_into_speech(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """Taking every second frame of 60 fps turns 20 Hz into a 10 Hz flutter of the lips."""
    time_s = np.arange(240) / 60
    tremble = 0.5 + 0.2 * np.sin(2 * np.pi * 20 * time_s)
    motion = np.tile(tremble[:, None], (1, N_CHANNELS))
    write_take(tmp_path, "anna_1", duration_s=4, fps=60, motion=motion, kind=".npz")
    read = FolderCorpus(tmp_path)[0].motion[8:-8]
    assert float(np.abs(read - 0.5).max()) < 0.005


def test_records_tell_what_reading_gives(tmp_path: Path, write_take: WriteTake) -> None:
    """Features and rewards are laid out by the records; one frame more shifts all that follow."""
    rng = np.random.default_rng(0)
    takes: dict[str, tuple[float, float, float]] = {}
    for rate_hz, fps in itertools.product(
        (16_000, 22_050, 44_100, 48_000, 11_025), (24, 25, 29.97, 30, 50, 59.94, 60)
    ):
        for difference in (0, int(rng.integers(-2, 3))):
            n_samples = int(rng.integers(rate_hz // 4, rate_hz * 3 // 2))
            audio_s = n_samples / rate_hz
            n_frames = max(1, round((audio_s + difference / 30) * fps))
            name = f"take{len(takes):03d}"
            write_take(
                tmp_path, name, duration_s=audio_s, rate_hz=rate_hz, fps=fps,
                n_frames=n_frames, kind=".npz", seed=len(takes),
            )  # fmt: skip
            takes[f"{name}-00000"] = (audio_s, n_frames / fps, fps)
    corpus = FolderCorpus(tmp_path)
    assert (len(corpus), corpus.faults) == (len(takes), ())
    for index, record in enumerate(corpus.records):
        audio_s, motion_s, fps = takes[record.id]
        assert record.n_frames == min(round(audio_s * 30), round(motion_s * 30)), takes[record.id]
        utterance = corpus[index]
        assert utterance.motion.shape == (record.n_frames, N_CHANNELS)
        assert len(utterance.audio) == record.n_frames * SAMPLE_RATE_HZ // FRAME_RATE_HZ
        assert n_frames_of(len(utterance.audio)) == record.n_frames
        padding = record.n_frames / 30 - audio_s
        assert padding <= 0.5 / 30 + 1e-6, "no more than rounding may be silence"
        time_s = np.arange(record.n_frames) / 30
        inside = time_s <= motion_s - 1 / fps
        np.testing.assert_allclose(times_of(utterance)[inside], time_s[inside], atol=2e-3)


@pytest.mark.parametrize("offset_s", [0.1, 0.25, -0.2, 0.0213])
@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_an_offset_moves_the_motion_and_not_the_audio(
    offset_s: float, fps: float, root: Path, write_take: WriteTake
) -> None:
    """Moved the wrong way, a correction doubles the fault."""
    write_take(root, "cleo_1", fps=fps, kind=".npz")
    before = FolderCorpus(root)[3]
    (root / "offsets.csv").write_text(f"id,offset_s\ncleo_1,{offset_s}\n")
    corpus = FolderCorpus(root)
    after = corpus[3]
    np.testing.assert_array_equal(after.audio, before.audio)
    # What stood late at t + offset now stands at t; the ends are held.
    expected = (np.arange(90) / 30 + offset_s).clip(0, 89 / 30)
    inner = slice(8, -8)
    np.testing.assert_allclose(times_of(after)[inner], expected[inner], atol=2e-3)
    np.testing.assert_allclose(times_of(corpus[0]), np.arange(90) / 30, atol=1e-4)


def test_an_offset_for_no_take_is_listed(root: Path) -> None:
    """A typo in an id leaves a take out of sync that its owner believes corrected."""
    (root / "offsets.csv").write_text("id,offset_s\nanna_1.wav,0.1\n")
    assert ["anna_1.wav" in str(fault) for fault in FolderCorpus(root).faults] == [True]


def test_offsets_for_no_take_are_listed_in_order(root: Path) -> None:
    """A report that differs from run to run cannot be compared."""
    names = [f"nobody_{number:02d}" for number in range(30)]
    (root / "offsets.csv").write_text("\n".join(["id,offset_s", *(f"{n},0.1" for n in names)]))
    told = [fault.reason for fault in FolderCorpus(root).faults]
    assert told == sorted(told) and len(told) == 30


def test_an_offset_longer_than_its_take_is_refused(root: Path) -> None:
    """Milliseconds taken for seconds hold one frame for the whole take: a frozen face."""
    (root / "offsets.csv").write_text("id,offset_s\nanna_1,120\n")
    try:
        corpus = FolderCorpus(root)
    except InputError:
        return
    assert [fault.source for fault in corpus.faults] == ["anna_1"]
