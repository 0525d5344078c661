"""Audio and motion of one take, side by side: rates, lengths, offsets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, SAMPLE_RATE_HZ
from esarm_env.corpus import alignment
from esarm_env.corpus.alignment import (
    MAX_LENGTH_DIFFERENCE,
    STANDARD_RATES_HZ,
    check_durations,
    frames_of,
    infer_rate,
    read_aligned,
)
from esarm_env.corpus.takes import Take

RAMP_S = 64.0
WriteTake = Callable[..., None]
Array = np.ndarray


def take_in(root: Path, name: str = "a", *, kind: str = ".npy") -> Take:
    """Return the take that `write_take(root, name)` writes."""
    motion = root / "blendshape" / f"{name}{kind}"
    return Take(name, root / "audio" / f"{name}.wav", motion, speaker="anna")


# --- rates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("duration_s", "n_frames"), [(0.0, 0), (1.0, 30), (0.05, 2), (1.99, 60)])
def test_durations_become_the_nearest_number_of_frames(duration_s: float, n_frames: int) -> None:
    """Rounded down, 2.9999 s of a resampled file would lose a frame."""
    assert frames_of(duration_s) == n_frames


@pytest.mark.parametrize("rate_hz", STANDARD_RATES_HZ)
def test_the_rate_that_fits_most_takes_is_found(rate_hz: float) -> None:
    """Every rate that cameras have, told from takes up to two minutes long."""
    durations_s = np.linspace(2.0, 120.0, 15)
    n_frames = np.round(durations_s * rate_hz).astype(int)
    found = infer_rate(n_frames.tolist(), durations_s.tolist())
    assert found == pytest.approx(rate_hz, rel=0.0011)


def test_a_few_wrong_takes_do_not_decide_the_rate() -> None:
    """One cut recording among many must not halve the speed of all."""
    durations_s = [3.0, 4.0, 5.0, 6.0, 7.0]
    n_frames = [180, 240, 90, 360, 180]
    assert infer_rate(n_frames, durations_s) == 60


def test_one_second_is_taken_for_the_commonest_rate_that_fits() -> None:
    """30 and 29.97 fps look alike for a minute."""
    assert infer_rate([30], [1.0]) == 30
    assert infer_rate([60], [1.0]) == 60


@pytest.mark.parametrize(
    ("n_frames", "durations_s", "rate_hz"),
    [
        ([48] * 20, [2.0] * 20, 24.0),
        ([36] * 20, [1.5] * 20, 24.0),
        ([2997] * 5, [100.0] * 5, 29.97),
        ([5994] * 5, [100.0] * 5, 59.94),
    ],
)
def test_the_best_of_the_rates_that_fit_is_taken(
    n_frames: list[int], durations_s: list[float], rate_hz: float
) -> None:
    """Short clips at 24 fps read at 25 run 4 % fast, long ones at 29.97 end 100 ms off."""
    assert infer_rate(n_frames, durations_s) == rate_hz


def test_a_trimmed_take_does_not_change_the_rate_of_all() -> None:
    """Three frames cut from one long take would slow the corpus down by a thousandth."""
    assert infer_rate([90] * 4 + [897], [3.0] * 4 + [30.0]) == 30


# --- lengths ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("motion_s", "note"),
    [
        (3.0, None),
        (3.01, None),
        (3.0 + 1 / 30, "motion trimmed by 1 frame"),
        (3.1, "motion trimmed by 3 frames"),
        (2.9, "audio trimmed by 3 frames"),
    ],
)
def test_a_few_frames_of_difference_are_noted(motion_s: float, note: str | None) -> None:
    """What is cut off must be told."""
    found = check_durations(Path("a.npy"), n_frames=90, rate_hz=30, motion_s=motion_s, audio_s=3.0)
    assert found == note


_STATE = " State it: `--rate {}`, or a column `rate` in metadata.csv"


@pytest.mark.parametrize(
    ("n_frames", "rate_hz", "message"),
    [
        (94, 30.0, "got 94 frames at 30 fps (3.13 s)"),
        (86, 30.0, "got 86 frames at 30 fps (2.87 s)"),
        (
            180,
            30.0,
            "got 180 frames at 30 fps (6.00 s); at 60 fps it would: is its rate wrong?"
            + _STATE.format(60),
        ),
        (
            75,
            30.0,
            "got 75 frames at 30 fps (2.50 s); at 25 fps it would: is its rate wrong?"
            + _STATE.format(25),
        ),
        (
            90,
            60.0,
            "got 90 frames at 60 fps (1.50 s); at 30 fps it would: is its rate wrong?"
            + _STATE.format(30),
        ),
        (0, 30.0, "got 0 frames at 30 fps (0.00 s)"),
    ],
)
def test_more_frames_of_difference_are_refused(n_frames: int, rate_hz: float, message: str) -> None:
    """Motion at twice the speed passes for motion if it is only cut; the true rate is named."""
    rule = f"a.npy: must last as long as its audio (3.00 s) within {MAX_LENGTH_DIFFERENCE} frames"
    with pytest.raises(InputError, match=f"^{re.escape(rule)} at 30 fps, {re.escape(message)}$"):
        check_durations(
            Path("a.npy"),
            n_frames=n_frames,
            rate_hz=rate_hz,
            motion_s=n_frames / rate_hz,
            audio_s=3.0,
        )


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".npy", ".npz", ".csv", ".json"])
@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_motion_stands_at_the_time_of_its_sound(
    kind: str, fps: float, tmp_path: Path, write_take: WriteTake
) -> None:
    """A rate that is ignored in one format plays that format at another speed."""
    write_take(tmp_path, "a", duration_s=3, rate_hz=44_100, fps=fps, kind=kind)
    aligned = read_aligned(take_in(tmp_path, kind=kind), rate_hz=fps, n_frames=90)
    assert aligned.motion.shape == (90, N_CHANNELS) and aligned.motion.dtype == np.float32
    assert aligned.audio.shape == (3 * SAMPLE_RATE_HZ,) and aligned.audio.dtype == np.float32
    assert aligned.captured.all() and aligned.notes == ()
    told = aligned.motion[:-3, 0] * RAMP_S
    np.testing.assert_allclose(told, np.arange(87) / 30, atol=1e-3)


def test_times_of_a_file_count_more_than_the_rate_given(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """A layout's rate is a guess beside what the file says."""
    write_take(tmp_path, "a", fps=60, kind=".npz")
    aligned = read_aligned(take_in(tmp_path, kind=".npz"), rate_hz=5, n_frames=90)
    assert aligned.notes == ()
    np.testing.assert_allclose(aligned.motion[:-2, 0] * RAMP_S, np.arange(88) / 30, atol=1e-3)


@pytest.mark.parametrize(("offset_s", "n_moved"), [(0.1, 3), (-0.1, -3), (1.0, 30), (-1.0, -30)])
def test_late_motion_is_moved_forward_by_its_offset(
    offset_s: float, n_moved: int, tmp_path: Path, write_take: WriteTake
) -> None:
    """The same frames, earlier; the nearest one is held where none is left."""
    write_take(tmp_path, "a")
    plain = read_aligned(take_in(tmp_path), rate_hz=30, n_frames=90)
    moved = read_aligned(take_in(tmp_path), rate_hz=30, n_frames=90, offset_s=offset_s)
    expected = plain.motion[(np.arange(90) + n_moved).clip(0, 89)]
    np.testing.assert_allclose(moved.motion, expected, atol=2e-4)
    np.testing.assert_array_equal(moved.audio, plain.audio)


def test_audio_half_a_frame_short_is_padded_with_silence(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """90 frames beside 89.6 frames of sound must still be 48000 samples."""
    write_take(tmp_path, "a", duration_s=89.6 / 30, n_frames=90)
    audio = read_aligned(take_in(tmp_path), rate_hz=30, n_frames=90).audio
    assert len(audio) == 48_000
    n_samples = round(89.6 / 30 * SAMPLE_RATE_HZ)
    assert audio[n_samples - 1] != 0 and not audio[n_samples:].any()


def test_a_take_without_motion_has_a_still_face_that_nothing_captured(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """Zeros that count as captured would be learned."""
    write_take(tmp_path, "a")
    take = Take("a", tmp_path / "audio" / "a.wav", None, speaker="anna")
    aligned = read_aligned(take, rate_hz=30, n_frames=89)
    assert aligned.motion.shape == (89, N_CHANNELS) and not aligned.motion.any()
    assert aligned.motion.dtype == np.float32 and not aligned.captured.any()
    assert len(aligned.audio) == 89 * SAMPLE_RATE_HZ // 30


def test_what_was_mended_is_noted(
    tmp_path: Path, write_take: WriteTake, ramp: Callable[..., Array]
) -> None:
    """Each in its own line: filled frames, clipped values, trimmed lengths."""
    motion = ramp(92)
    motion[10:12] = np.nan
    motion[20, 3] = 1.05
    write_take(tmp_path, "a", motion=motion)
    notes = read_aligned(take_in(tmp_path), rate_hz=30, n_frames=90).notes
    for part in ("2 frames without a face filled", "clipped to [0, 1]", "motion trimmed by 2"):
        assert sum(part in note for note in notes) == 1, (part, notes)
    assert len(notes) == 3


def test_one_frame_of_motion_is_held(tmp_path: Path, speech: Callable[..., Array]) -> None:
    """A single frame has no rate."""
    for folder in ("audio", "blendshape"):
        (tmp_path / folder).mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", speech(0.2), SAMPLE_RATE_HZ)
    np.savez(
        tmp_path / "blendshape" / "a.npz", values=np.full((1, 52), 0.5), time_s=np.array([0.1])
    )
    with pytest.raises(InputError, match="within 3 frames"):
        read_aligned(take_in(tmp_path, kind=".npz"), rate_hz=30, n_frames=6)
    aligned = read_aligned(take_in(tmp_path, kind=".npz"), rate_hz=6, n_frames=5)
    assert aligned.motion.shape == (5, 52) and (aligned.motion == 0.5).all()


def test_a_take_without_sound_is_refused(tmp_path: Path) -> None:
    """Motion alone has no duration to hold it against."""
    take = Take("anna/a", None, tmp_path / "a.npy", speaker="anna")
    message = "anna/a: must have a sound file, got none"
    with pytest.raises(InputError, match=re.escape(message)):
        read_aligned(take, rate_hz=30, n_frames=90)


@pytest.mark.parametrize(
    ("n_frames", "value", "message"),
    [
        (94, 0.5, "must last as long as its audio (3.00 s)"),
        (90, np.nan, "must show a face, got none in 90 frames"),
        (90, 7.0, "coefficients must be"),
    ],
)
def test_motion_that_cannot_be_used_is_refused(
    n_frames: int, value: float, message: str, tmp_path: Path, write_take: WriteTake
) -> None:
    """The file to repair is named first."""
    write_take(tmp_path, "a", motion=np.full((n_frames, N_CHANNELS), value))
    path = tmp_path / "blendshape" / "a.npy"
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {message}')}"):
        read_aligned(take_in(tmp_path), rate_hz=30, n_frames=90)


def test_sound_shorter_than_its_header_says_is_refused_beside_motion(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """An interrupted copy of a file whose header was written first."""
    write_take(tmp_path, "a")
    soundfile.write(tmp_path / "audio" / "a.wav", np.tile([0.1, -0.1], 20_000), SAMPLE_RATE_HZ)
    with pytest.raises(InputError, match=re.escape("must last as long as its audio (2.50 s)")):
        read_aligned(take_in(tmp_path), rate_hz=30, n_frames=90)


def test_sound_shorter_than_its_header_says_is_refused_alone(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """Half of the utterance would be silence under the whole sentence's text."""
    write_take(tmp_path, "a", duration_s=1.5)
    take = Take("a", tmp_path / "audio" / "a.wav", None, speaker="anna")
    with pytest.raises(InputError, match=re.escape("a.wav: ")):
        read_aligned(take, rate_hz=30, n_frames=90)


def test_a_take_beyond_the_limit_is_refused_before_it_is_decoded(
    tmp_path: Path, write_take: WriteTake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples of a day would not fit into memory."""
    assert alignment.LONGEST_TAKE_S == 4 * 3600
    monkeypatch.setattr(alignment, "LONGEST_TAKE_S", 2.9)
    write_take(tmp_path, "a")
    with pytest.raises(InputError, match=re.escape("duration must be 0.2 to 2.9 s, got 3.000 s")):
        read_aligned(take_in(tmp_path), rate_hz=30, n_frames=90)
