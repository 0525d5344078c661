"""The look at a folder's takes: measured once, cut, and the unusable listed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from esarm_env.core.types import N_CHANNELS, SAMPLE_RATE_HZ
from esarm_env.corpus import survey as survey_module
from esarm_env.corpus.alignment import read_aligned
from esarm_env.corpus.layouts import find_takes
from esarm_env.corpus.survey import Survey, TakeIndex, digest_of, survey
from esarm_env.corpus.takes import Fault, Take

WriteTake = Callable[..., None]
Array = np.ndarray
LOOKS = ("measure_audio", "measure_track", "read_audio", "read_aligned")


@pytest.fixture
def root(tmp_path: Path, write_take: WriteTake) -> Path:
    """Return a folder of five sound takes of 3 s."""
    for seed in range(5):
        write_take(tmp_path / "corpus", f"anna_{seed}", seed=seed)
    return tmp_path / "corpus"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return what was asked of which files, by the name of the function."""
    asked: dict[str, list[str]] = {name: [] for name in LOOKS}

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(survey_module, name)

        def look(subject: Path | Take, *rest: Any, **options: Any) -> Any:
            asked[name].append(subject.id if isinstance(subject, Take) else subject.stem)
            return original(subject, *rest, **options)

        return look

    for name in LOOKS:
        monkeypatch.setattr(survey_module, name, counted(name))
    return asked


def look_at(
    root: Path, *, offsets: dict[str, float] | None = None, read_all: bool = False
) -> tuple[Survey, TakeIndex]:
    """Survey the takes of a folder with the index that its cache holds."""
    index = TakeIndex(root, layout="generic")
    takes = find_takes(root, "generic").takes
    return survey(takes, offsets or {}, index, read_all=read_all), index


def ids(takes: tuple[Take, ...]) -> list[str]:
    return [take.id for take in takes]


def test_each_take_is_measured_once_and_short_ones_are_not_read(
    root: Path, looks: dict[str, list[str]]
) -> None:
    """Headers of thousands of files are read in a minute, their samples in an hour."""
    found, index = look_at(root)
    names = [f"anna_{number}" for number in range(5)]
    assert ids(found.takes) == names and found.faults == found.notes == ()
    assert looks == {
        "measure_audio": names, "measure_track": names, "read_audio": [], "read_aligned": []
    }  # fmt: skip
    assert [entry.pieces for entry in index.entries.values()] == [[(0, 90)]] * 5
    assert [entry.rate_hz for entry in index.entries.values()] == [30] * 5
    look_at(root)
    assert len(looks["measure_audio"]) == 5


def test_reading_all_reads_each_take_once(root: Path, looks: dict[str, list[str]]) -> None:
    """`--verify` at every opening would take hours."""
    look_at(root)
    _, index = look_at(root, read_all=True)
    assert looks["read_aligned"] == [f"anna_{number}" for number in range(5)]
    look_at(root, read_all=True)
    assert len(looks["read_aligned"]) == 5 and len(looks["measure_audio"]) == 5
    take = find_takes(root, "generic").takes[2]
    digest = digest_of(read_aligned(take, rate_hz=30, n_frames=90))
    assert index.entries["anna_2"].digest == digest


def test_a_long_take_is_read_for_its_pauses_once(
    root: Path, write_take: WriteTake, looks: dict[str, list[str]]
) -> None:
    """Cuts must not move from one opening to the next."""
    write_take(root, "anna_2", duration_s=30)
    _, index = look_at(root)
    assert looks["read_audio"] == ["anna_2"]
    pieces = index.entries["anna_2"].pieces
    assert pieces[0][0] == 0 and pieces[-1][1] == 900
    assert all(a[1] == b[0] for a, b in itertools.pairwise(pieces)), "pieces must tile the take"
    _, again = look_at(root)
    assert again.entries["anna_2"].pieces == pieces and looks["read_audio"] == ["anna_2"]


def test_cuts_stand_in_the_pauses(root: Path, write_take: WriteTake) -> None:
    """A cut in a word teaches half of it, twice."""
    write_take(root, "anna_2", duration_s=30)
    _, index = look_at(root)
    ends_s = np.array([end for _, end in index.entries["anna_2"].pieces[:-1]]) / 30
    within = ends_s % 2.2  # the pauses are from 2.0 to 2.2 s
    assert ((within > 1.95) | (within < 0.05)).all(), within


def test_pieces_end_with_the_shorter_of_sound_and_motion(root: Path, write_take: WriteTake) -> None:
    """The last piece would reach beyond the motion."""
    (root / "blendshape" / "anna_2.npy").unlink()
    write_take(root, "anna_2", duration_s=30, n_frames=897, kind=".npz")
    _, index = look_at(root)
    assert index.entries["anna_2"].pieces[-1][1] == 897


def test_an_interrupted_survey_goes_on_where_it_was(
    root: Path, looks: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of looking at a slow disk must not start from nothing."""
    counted = survey_module.measure_audio

    def interrupt(path: Path, **options: Any) -> float:
        if path.stem == "anna_3":
            raise KeyboardInterrupt("by the test")
        return counted(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(survey_module, "measure_audio", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
            look_at(root)
    assert looks["measure_audio"] == ["anna_0", "anna_1", "anna_2"]
    found, index = look_at(root)
    assert looks["measure_audio"] == [f"anna_{number}" for number in range(5)]
    assert len(found.takes) == 5
    assert [entry.pieces for entry in index.entries.values()] == [[(0, 90)]] * 5


@pytest.mark.parametrize("name", ["measure_track", "read_audio", "read_aligned"])
def test_an_interrupt_at_any_look_leaves_nothing_half_known(
    name: str, root: Path, write_take: WriteTake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A take that was measured but not cut has no utterance."""
    write_take(root, "anna_2", duration_s=20)

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt("by the test")

    with monkeypatch.context() as patch:
        patch.setattr(survey_module, name, interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
            look_at(root, read_all=True)
    found, index = look_at(root, read_all=True)
    assert len(found.takes) == 5
    for entry in index.entries.values():
        assert entry.pieces and entry.digest and entry.rate_hz == 30 and not entry.fault


def test_one_bad_take_among_many_is_listed_with_its_reason(
    root: Path, ramp: Callable[..., Array]
) -> None:
    """Faults of headers, of lengths and of values, each beside good takes, in one go."""
    (root / "audio" / "anna_0.wav").write_text("no sound")
    np.save(root / "blendshape" / "anna_1.npy", ramp(180))
    np.save(root / "blendshape" / "anna_2.npy", np.full((90, N_CHANNELS), np.inf))
    found, _ = look_at(root, read_all=True)
    assert ids(found.takes) == ["anna_3", "anna_4"]
    assert [fault.source for fault in found.faults] == ["anna_0", "anna_1", "anna_2"]
    reasons = [fault.reason for fault in found.faults]
    for reason, part in zip(reasons, ("libsndfile", "is its rate wrong?", "finite"), strict=True):
        assert part in reason
    again, _ = look_at(root)
    assert again == found, "what was found bad stays out, and stays listed"


def test_a_take_without_sound_is_listed(root: Path) -> None:
    """Layouts give none; a caller's own list may."""
    take = Take("x", None, root / "blendshape" / "anna_0.npy", speaker="anna")
    good = find_takes(root, "generic").takes[:2]
    found = survey([take, *good], {}, TakeIndex(root, layout="own"), read_all=False)
    assert ids(found.takes) == ["anna_0", "anna_1"]
    assert found.faults == (Fault("x", "x: must have a sound file, got none"),)


def test_what_was_mended_is_the_same_at_every_opening(
    root: Path, ramp: Callable[..., Array]
) -> None:
    """A note that only the first opening shows is read by nobody."""
    np.save(root / "blendshape" / "anna_1.npy", ramp(92))
    first, _ = look_at(root)
    assert first.notes == (Fault("anna_1", "motion trimmed by 2 frames"),)
    second, _ = look_at(root)
    assert second.notes == first.notes
    for _ in range(2):
        verified, _ = look_at(root, read_all=True)
        assert verified.notes == first.notes


def test_a_new_offset_makes_a_take_new(root: Path, looks: dict[str, list[str]]) -> None:
    """The digest of motion as it was would stand for the corrected one."""
    _, before = look_at(root, read_all=True)
    _, after = look_at(root, read_all=True, offsets={"anna_1": 0.1})
    changed = [k for k in after.entries if after.entries[k].digest != before.entries[k].digest]
    assert changed == ["anna_1"] and after.entries["anna_1"].offset_s == 0.1
    assert looks["read_aligned"][5:] == ["anna_1"]
    _, back = look_at(root, read_all=True)
    assert back.entries == before.entries


def test_more_takes_may_change_the_rate_of_the_first(tmp_path: Path, write_take: WriteTake) -> None:
    """A first take that fits two rates must not keep the wrong one when others tell."""
    write_take(tmp_path, "anna_0", duration_s=0.25, n_frames=8)  # 30 fps, or 25 with a frame more
    _, index = look_at(tmp_path)
    assert index.entries["anna_0"].rate_hz == 30
    for seed in range(1, 4):
        write_take(tmp_path, f"anna_{seed}", duration_s=4, fps=25, seed=seed)
    found, index = look_at(tmp_path)
    assert {entry.rate_hz for entry in index.entries.values()} == {25.0}
    assert len(found.takes) == 4
    assert index.entries["anna_0"].pieces == [(0, 8)]


def test_a_take_whose_length_fits_another_rate_comes_back_with_it(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """Left out while 30 fps was believed, it must not stay out once 60 is known."""
    for seed in range(2):
        write_take(tmp_path, f"anna_{seed}", duration_s=3, fps=30, seed=seed)
    write_take(tmp_path, "ben_0", duration_s=3, fps=60, seed=7)
    found, _ = look_at(tmp_path)
    assert [fault.source for fault in found.faults] == ["ben_0"]
    for seed in range(1, 4):
        write_take(tmp_path, f"ben_{seed}", duration_s=3, fps=60, seed=10 + seed)
    found, _ = look_at(tmp_path)
    assert [fault.source for fault in found.faults] == ["anna_0", "anna_1"]


def test_a_file_knows_its_rate_better_than_the_others(
    tmp_path: Path, write_take: WriteTake
) -> None:
    """The rate that fits most takes is a guess, a stated one is not."""
    write_take(tmp_path, "stated", fps=60, kind=".npz")
    write_take(tmp_path, "silent", fps=50)
    takes = [
        Take("stated", tmp_path / "audio/stated.wav", tmp_path / "blendshape/stated.npz", "a"),
        Take("silent", tmp_path / "audio/silent.wav", tmp_path / "blendshape/silent.npy", "a"),
    ]
    index = TakeIndex(tmp_path, layout="own")
    found = survey(takes, {}, index, read_all=True)
    assert found.faults == () and found.inferred_hz == 50
    assert index.entries["stated"].rate_hz == pytest.approx(60)
    assert index.entries["silent"].rate_hz == 50


def test_sound_alone_is_measured_and_cut(
    tmp_path: Path, speech: Callable[..., Array], looks: dict[str, list[str]]
) -> None:
    """A speech corpus without faces is still one."""
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", speech(2.0), SAMPLE_RATE_HZ)
    soundfile.write(tmp_path / "audio" / "b.wav", speech(20.0), SAMPLE_RATE_HZ)
    found, index = look_at(tmp_path, read_all=True)
    assert ids(found.takes) == ["a", "b"]
    assert index.entries["a"].pieces == [(0, 60)]
    assert index.entries["b"].pieces[-1][1] == 600 and len(index.entries["b"].pieces) > 3
    assert looks["measure_track"] == []


def test_a_bar_is_drawn_for_many_takes_only(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five takes need no bar; thousands in silence look like a hang. Never on stdout."""
    look_at(root)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(survey_module, "_BAR_FROM", 5)
    look_at(root, read_all=True)
    streams = capsys.readouterr()
    assert "Reading takes" in streams.err and streams.out == ""


def test_the_digest_is_of_sound_and_motion(root: Path, write_take: WriteTake) -> None:
    """A digest of one of them would meet stale features or stale tokens."""
    take = find_takes(root, "generic").takes[0]
    digests = [digest_of(read_aligned(take, rate_hz=30, n_frames=90))]
    digests.append(digest_of(read_aligned(take, rate_hz=30, n_frames=90, offset_s=0.1)))
    write_take(root, "anna_0", seed=9)
    digests.append(digest_of(read_aligned(take, rate_hz=30, n_frames=90)))
    assert len(set(digests)) == 3


@pytest.mark.parametrize("change", ["9" * 30, "-1", "null", "NaN"])
def test_an_index_that_somebody_changed_is_made_anew(
    root: Path, looks: dict[str, list[str]], change: str
) -> None:
    """Its numbers were believed, down to a traceback at opening."""
    _, index = look_at(root)
    whole = index._path.read_text()
    index._path.write_text(whole.replace("[0, 90]", f"[0, {change}]"))
    assert look_at(root)[1].entries == index.entries
    assert index._path.read_text() == whole
