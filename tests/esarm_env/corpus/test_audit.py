"""The audit of a folder: what is wrong is found, and nothing is found in what is right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from esarm_env.core.types import N_CHANNELS, SAMPLE_RATE_HZ
from esarm_env.corpus.audit import (
    DEAD_FROM_S,
    LEAST_OFFSET_S,
    Audit,
    TakeAudit,
    audit,
    correct_offsets,
)
from esarm_env.corpus.folder import FolderCorpus
from esarm_env.corpus.offsets import OFFSETS_FILE, SyncEstimate, read_offsets
from esarm_env.face.names import index_of
from tests.esarm_env.corpus.conftest import envelope

BROW, JAW, TONGUE = index_of("browInnerUp"), index_of("jawOpen"), index_of("tongueOut")
DURATION_S = 6.0
LATE_S = 0.2


def write_spoken(
    root: Path,
    name: str,
    *,
    late_s: float = 0.0,
    n_more: int = 0,
    duration_s: float = DURATION_S,
    seed: int = 0,
) -> None:
    """Write noise as loud as the jaw is open, the jaw `late_s` behind, all channels moving."""
    rng = np.random.default_rng(seed)
    for folder in ("audio", "blendshape"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    audio = rng.normal(0, 0.1, len(time_s)) * (envelope(time_s, seed=seed) + 1e-3)
    soundfile.write(root / "audio" / f"{name}.wav", audio.astype(np.float32), SAMPLE_RATE_HZ)
    frames_s = np.arange(round(duration_s * 30) + n_more) / 30
    swing = 0.2 + 0.1 * np.sin(2 * np.pi * 0.5 * frames_s)
    motion = np.tile(swing[:, None], (1, N_CHANNELS))
    motion[:, index_of("mouthClose")] = 0.05 * swing
    motion[:, JAW] = 0.7 * envelope(frames_s - late_s, seed=seed)
    np.save(root / "blendshape" / f"{name}.npy", motion)


def change(root: Path, name: str, edit: Callable[[np.ndarray], None]) -> None:
    """Edit the motion of a take in place."""
    path = root / "blendshape" / f"{name}.npy"
    motion = np.load(path)
    edit(motion)
    np.save(path, motion)


def audited(root: Path) -> Audit:
    return audit(FolderCorpus(root, verify=True), progress=False)


def findings(result: Audit) -> dict[str, list[str]]:
    """Return what is to look at, by take."""
    return {take.id: take.findings for take in result.takes if take.findings}


@pytest.fixture(scope="module")
def four_takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four good takes of 6 s, in sync, which no test changes."""
    folder = tmp_path_factory.mktemp("four-takes")
    for seed in range(4):
        write_spoken(folder, f"anna_{seed}", seed=seed)
    return folder


@pytest.fixture
def root(four_takes: Path, tmp_path: Path) -> Path:
    """Return the four good takes in a folder of the test's own."""
    return Path(shutil.copytree(four_takes, tmp_path / "corpus"))


def test_good_recordings_give_nothing_to_look_at(root: Path) -> None:
    """An audit that always finds something is not read."""
    result = audited(root)
    assert len(result.takes) == 4 and findings(result) == {}
    assert result.to_dict()["cannot_be_trained_on"] is None
    assert [take.duration_s for take in result.takes] == [DURATION_S] * 4
    lines = result.lines()
    assert lines[0] == f"{root}: layout 3d-etf, 4 takes, 4 utterances, 24 s, 1 speakers"
    assert lines[1].startswith("splits: ") and lines[2] == "emotions: neutral 4"
    assert lines[3:] == [
        "captured channels: 52 of 52",
        "frame rate of files that state none: 30 fps",
        "left out: 0",
        "mended: 0",
        "to look at: 0",
    ]


def test_a_folder_of_sound_alone_cannot_be_trained_on(root: Path) -> None:
    """`captured channels: 0 of 52` between other lines was all that said so."""
    for path in (root / "blendshape").iterdir():
        path.unlink()
    result = audited(root)
    reason = "no take has motion, so it is good to animate only; `esarm capture` makes motion"
    assert result.to_dict()["cannot_be_trained_on"] == reason
    assert result.lines()[3:] == [
        "captured channels: 0 of 52",
        f"cannot be trained on: {reason}",
        "left out: 1",
        "  blendshape/: holds no motion",
        "mended: 0",
        "to look at: 0",
    ]


def test_motion_that_never_moves_cannot_be_trained_on(root: Path) -> None:
    """A tracker that saw no face writes zeros."""
    for path in (root / "blendshape").iterdir():
        np.save(path, np.zeros((round(DURATION_S * 30), N_CHANNELS)))
    assert audited(root).to_dict()["cannot_be_trained_on"] == "no channel of its motion moves"


def test_too_few_recordings_cannot_be_trained_on(root: Path) -> None:
    """The audit found nothing, and the next command refused the folder."""
    for path in [*(root / "audio").iterdir(), *(root / "blendshape").iterdir()]:
        if path.stem != "anna_0":
            path.unlink()
    told = audited(root).to_dict()["cannot_be_trained_on"]
    assert told == "no utterance is for validation, test; add recordings"


def test_what_was_left_out_is_listed(root: Path) -> None:
    """Missing pairs and unreadable files are the first thing to repair."""
    (root / "audio" / "anna_0.wav").unlink()
    (root / "blendshape" / "anna_1.npy").write_bytes(b"\x93NUMPY")
    change(root, "anna_2", lambda motion: motion.__setitem__((4, 4), np.nan))
    result = audited(root)
    text = "\n".join(result.lines())
    assert "left out: 3" in text
    assert "  blendshape/anna_0.npy: has no audio" in text
    assert "  anna_1: " in text and "must be a whole .npy array" in text
    assert "  anna_2: " in text and "coefficients must be finite" in text
    assert [take.id for take in result.takes] == ["anna_3"]


def test_wrong_frame_counts_are_told(root: Path) -> None:
    """A few frames are trimmed and counted, ten are left out and listed."""
    for number in (0, 2):
        write_spoken(root, f"anna_{number}", n_more=2, seed=number)
    write_spoken(root, "anna_1", n_more=10, seed=1)
    result = audited(root)
    assert [take.notes for take in result.takes] == [
        ("motion trimmed by 2 frames",), ("motion trimmed by 2 frames",), ()
    ]  # fmt: skip
    assert findings(result) == {}, "what was mended needs no look"
    lines = result.lines()
    at = lines.index("mended: 2")
    assert lines[at + 1 : at + 3] == ["  motion trimmed by 2 frames: 2 takes", "to look at: 0"]
    assert "got 190 frames at 30 fps (6.33 s)" in "\n".join(lines)


def test_notes_of_one_kind_are_counted_together(root: Path) -> None:
    """Ten lines for ten of a thousand overshooting takes hide every other kind."""
    for number in range(4):
        change(root, f"anna_{number}", lambda motion: motion.__setitem__((4, 4), 1.05))
    lines = audited(root).lines()
    assert lines.index("to look at: 0") == lines.index("mended: 4") + 2


def test_clipped_channels_are_named(root: Path) -> None:
    """A curve cut off at 1 hides how far the mouth was open; a short peak does not."""

    def clip(motion: np.ndarray) -> None:
        motion[20:60, JAW] = 1.0
        motion[20:22, TONGUE] = 1.0

    change(root, "anna_1", clip)
    (take,) = [take for take in audited(root).takes if take.findings]
    assert (take.id, take.clipped, take.dead) == ("anna_1", ("jawOpen",), ())
    assert take.findings == ["clipped: jawOpen"]


def rest(*channels: int) -> Callable[[np.ndarray], None]:
    """Return what holds these channels at 0."""
    return lambda motion: motion.__setitem__((slice(None), list(channels)), 0.0)


def test_channels_that_rest_through_a_long_take_are_named(tmp_path: Path) -> None:
    """What no take has is the tracker's; what one long take lacks was lost in it."""
    for number in range(3):
        write_spoken(tmp_path, f"anna_{number}", duration_s=DEAD_FROM_S, seed=number)
        change(tmp_path, f"anna_{number}", rest(TONGUE, *([BROW] if number == 1 else [])))
    result = audited(tmp_path)
    assert findings(result) == {"anna_1": ["dead: browInnerUp"]}
    assert "captured channels: 51 of 52; never move: tongueOut" in result.lines()


def test_channels_may_rest_through_a_sentence_but_not_all_of_them(root: Path) -> None:
    """Few sentences raise the brows; in none does a face stand still."""
    change(root, "anna_1", rest(BROW, TONGUE))
    change(root, "anna_2", rest(*range(N_CHANNELS)))
    result = audited(root)
    assert set(findings(result)) == {"anna_2"}
    assert len(result.takes[2].dead) == N_CHANNELS


@pytest.mark.parametrize(("late_s", "word"), [(LATE_S, "late"), (-LATE_S, "early")])
def test_motion_out_of_sync_is_told(late_s: float, word: str, root: Path) -> None:
    """Lips that are 200 ms off look wrong, and a policy learns them so."""
    write_spoken(root, "anna_1", late_s=late_s, seed=1)
    result = audited(root)
    (take,) = [take for take in result.takes if take.out_of_sync]
    assert take.id == "anna_1" and take.sync is not None
    assert take.sync.offset_s == pytest.approx(late_s, abs=0.025)
    (line,) = take.findings
    assert line.startswith(f"motion 0.{round(abs(take.sync.offset_s) * 100):02d} s {word} (corr")


def test_two_frames_are_how_people_speak(root: Path) -> None:
    """Phonation and jaw are not one; correcting every take to 0 would break good ones."""
    write_spoken(root, "anna_1", late_s=0.05, seed=1)
    result = audited(root)
    assert findings(result) == {}
    assert LEAST_OFFSET_S == pytest.approx(2.5 / 30)


@pytest.mark.parametrize(
    ("sync", "expected"),
    [
        (SyncEstimate(0.3, 0.8, 0.2, reliable=True), True),
        (SyncEstimate(-0.3, 0.8, 0.2, reliable=True), True),
        (SyncEstimate(0.3, 0.8, 0.2, reliable=False), False),
        (SyncEstimate(0.08, 0.8, 0.7, reliable=True), False),
        (None, False),
    ],
)
def test_only_a_sure_offset_counts(sync: SyncEstimate | None, expected: bool) -> None:
    """A chance peak acted upon would put a good take out of sync."""
    take = TakeAudit("a", 6.0, notes=(), clipped=(), dead=(), sync=sync)
    assert take.out_of_sync == expected
    assert len(take.findings) == expected


def test_an_offset_is_corrected_and_then_clean(root: Path) -> None:
    """The point of finding it."""
    write_spoken(root, "anna_1", late_s=LATE_S, seed=1)
    write_spoken(root, "anna_2", late_s=-LATE_S, seed=2)
    before = FolderCorpus(root)
    path = correct_offsets(audited(root))
    assert path == root / OFFSETS_FILE
    offsets = read_offsets(root)
    assert set(offsets) == {"anna_1", "anna_2"}
    assert offsets["anna_1"] == pytest.approx(LATE_S, abs=0.025)
    assert offsets["anna_2"] == pytest.approx(-LATE_S, abs=0.025)
    after = audited(root)
    assert findings(after) == {}
    assert after.corpus.content_hash != before.content_hash
    assert correct_offsets(after) is None
    assert read_offsets(root) == offsets, "nothing found, nothing written"
    jaw = after.corpus[1].motion[10:-10, JAW]
    true = 0.7 * envelope(np.arange(180) / 30, seed=1)[10:-10]
    assert np.corrcoef(jaw, true)[0, 1] > 0.97


def test_a_correction_adds_to_the_one_before(root: Path) -> None:
    """The estimate is made of what is left; written alone, it would undo the first."""
    write_spoken(root, "anna_1", late_s=0.3, seed=1)
    (root / OFFSETS_FILE).write_text("id,offset_s\nanna_1,0.15\nanna_3,-0.02\n")
    assert correct_offsets(audited(root)) is not None
    offsets = read_offsets(root)
    assert offsets["anna_1"] == pytest.approx(0.3, abs=0.025)
    assert offsets["anna_3"] == -0.02
    assert findings(audited(root)) == {}


def test_nothing_is_written_where_nothing_is_surely_wrong(root: Path) -> None:
    """An empty table would still be a change of the corpus."""
    assert correct_offsets(audited(root)) is None
    assert not (root / OFFSETS_FILE).exists()


def test_the_audit_goes_into_json(root: Path) -> None:
    """`--json` is for scripts; NumPy's numbers would stop it at the end of an hour."""
    write_spoken(root, "anna_1", late_s=LATE_S, seed=1)
    (root / "audio" / "anna_0.wav").unlink()
    facts = json.loads(json.dumps(audited(root).to_dict(), allow_nan=False))
    assert facts["left_out"] == [{"source": "blendshape/anna_0.npy", "reason": "has no audio"}]
    assert [take["id"] for take in facts["takes"]] == ["anna_1", "anna_2", "anna_3"]
    assert facts["takes"][0]["sync"]["reliable"] is True
    assert facts["takes"][0]["findings"] and not facts["takes"][1]["findings"]
    assert (facts["utterances"], facts["speech_s"], facts["not_captured"]) == (3, 18.0, [])


def test_sound_alone_is_no_list_of_52_dead_channels(root: Path) -> None:
    """Where nothing was captured, nothing can be clipped, dead or late."""
    for path in (root / "blendshape").iterdir():
        path.unlink()
    result = audited(root)
    assert findings(result) == {}
    assert "captured channels: 0 of 52" in result.lines()


def test_the_bar_stays_out_of_the_report(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`esarm corpus FOLDER --audit > report.txt`."""
    audit(FolderCorpus(root, verify=True))
    streams = capsys.readouterr()
    assert streams.out == "" and "Looking at takes" in streams.err


def test_findings_do_not_depend_on_workers(
    tmp_path: Path, three_workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same takes in the same order, with the same numbers to the last digit."""
    monkeypatch.setattr("esarm_env.corpus.audit._PART", 1)
    for number, late_s in enumerate((0.0, LATE_S, -LATE_S)):
        write_spoken(tmp_path, f"take{number}", late_s=late_s, seed=number, n_more=number)
    corpus = FolderCorpus(tmp_path, verify=True)
    alone, shared = (audit(corpus, progress=False, pool=pool) for pool in (None, three_workers))
    assert [take.id for take in alone.takes] == ["take0", "take1", "take2"]
    assert any(take.out_of_sync for take in alone.takes)
    assert json.dumps(shared.to_dict()) == json.dumps(alone.to_dict())
