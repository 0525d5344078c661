"""Stage `corpus` and `esarm corpus --audit` on a folder of recordings with bad ones among good."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.corpus.offsets import read_offsets
from esarm_env.face.names import index_of
from esarm_env.task.opening import open_task, read_corpus_file
from train.cli import main
from train.run.config import make_config
from train.run.run_folder import RunFolder
from train.stages.corpus import run_corpus

RATE_HZ = 16_000
JAW = index_of("jawOpen")


def envelope(time_s: np.ndarray, *, seed: int) -> np.ndarray:
    """Return syllables of uneven strength and distance, 0 to 1."""
    rng = np.random.default_rng(seed)
    centres = np.cumsum(rng.uniform(0.15, 0.5, 40))
    heights, widths = rng.uniform(0.3, 1, 40), rng.uniform(0.04, 0.09, 40)
    bumps = heights * np.exp(-0.5 * ((time_s[:, None] - centres) / widths) ** 2)
    return np.asarray(bumps.sum(axis=1).clip(0, 1))


def write_spoken(root: Path, name: str, *, late_s: float = 0.0, seed: int = 0) -> None:
    """Write 5 s of noise as loud as the jaw is open, and motion `late_s` behind."""
    rng = np.random.default_rng(seed)
    for folder in ("audio", "blendshape"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    loudness = envelope(np.arange(5 * RATE_HZ) / RATE_HZ, seed=seed) + 1e-3
    audio = rng.normal(0, 0.1, len(loudness)) * loudness
    soundfile.write(root / "audio" / f"{name}.wav", audio.astype(np.float32), RATE_HZ)
    frames_s = np.arange(150) / 30
    motion = np.tile(0.2 + 0.1 * np.sin(np.pi * frames_s)[:, None], (1, 52))
    motion[:, index_of("mouthClose")] = 0.0
    motion[:, JAW] = 0.7 * envelope(frames_s - late_s, seed=seed)
    np.save(root / "blendshape" / f"{name}.npy", motion)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of five good takes and one with NaN in its motion."""
    root = tmp_path / "recorded"
    for seed in range(6):
        write_spoken(root, f"anna_{seed}", seed=seed)
    path = root / "blendshape" / "anna_2.npy"
    motion = np.load(path)
    motion[3, JAW] = np.nan
    np.save(path, motion)
    return root


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what changes to another cache folder, as on another machine."""
    return lambda name: monkeypatch.setenv("ESARM_CACHE", str(tmp_path / name))


def run_of(path: Path, folder: Path, *more: str) -> RunFolder:
    config = make_config(preset="demo", overrides=(f"corpus.name={folder}", *more))
    return RunFolder.create(path, config)


def test_one_bad_take_is_left_out_and_listed(folder: Path, tmp_path: Path) -> None:
    """A night's training must not end at take 4000, nor learn NaN from it."""
    np.save(folder / "blendshape" / "anna_4.npy", np.load(folder / "blendshape" / "anna_4.npy")[1:])
    run = run_of(tmp_path / "run", folder)
    summary = run_corpus(run)
    assert summary["utterances"] == 5
    assert (summary["takes_left_out"], summary["takes_mended"]) == (1, 1)
    assert (summary["layout_found"], summary["captured_channels"]) == ("3d-etf", 51)
    assert sum(summary[f"{split}_utterances"] for split in ("train", "validation", "test")) == 5
    listed = json.loads((run.path / "corpus" / "takes.json").read_text())
    assert [entry["take"] for entry in listed] == ["anna_2", "anna_4"]
    assert summary["left_out"].startswith("anna_2: ") and "must be finite" in summary["left_out"]
    assert summary["mended"] == "anna_4: audio trimmed by 1 frame"
    assert "coefficients must be finite" in listed[0]["left out"]
    assert listed[1]["mended"] == "audio trimmed by 1 frame"
    source = read_corpus_file(run.path)
    assert source["corpus"] == str(folder) and source["layout"] == "auto"
    assert source["speakers"] == ["anna"]
    assert source["training_emotions"] == ["neutral"]


def next_step(run: RunFolder) -> str:
    """Open the task of a run that has only a corpus; return what it says is missing."""
    with pytest.raises(InputError, match=re.escape(str(run.path))) as caught:
        open_task(run.path)
    return str(caught.value)


def test_the_task_of_a_run_opens_the_corpus_that_it_learned_from(
    folder: Path, tmp_path: Path
) -> None:
    """Opened with the bad take, the hash would be another or none."""
    run = run_of(tmp_path / "run", folder)
    run_corpus(run)
    assert "must hold the stage `prior`" in next_step(run)
    motion = np.load(folder / "blendshape" / "anna_1.npy")
    motion[5, 5] += 0.01
    np.save(folder / "blendshape" / "anna_1.npy", motion)
    assert "must be as it was in training" in next_step(run)


def test_the_task_of_a_run_needs_no_cache(
    folder: Path, tmp_path: Path, own_cache: Callable[[str], None]
) -> None:
    """Caches are emptied, and runs are moved to other machines."""
    own_cache("first")
    run = run_of(tmp_path / "run", folder)
    run_corpus(run)
    own_cache("second")
    assert "must hold the stage `prior`" in next_step(run)


def test_sound_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    """Zeros for motion would train a face that never moves."""
    for path in (folder / "blendshape").iterdir():
        path.unlink()
    run = run_of(tmp_path / "run", folder)
    message = (
        "must hold captured motion to learn from, got audio only; make it with `esarm capture`"
    )
    with pytest.raises(InputError, match=message):
        run_corpus(run)
    assert not run.is_finished("corpus")


def test_a_refusal_of_sound_alone_tells_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    """The reason why there is none is often listed there, and nowhere else."""
    for path in (folder / "blendshape").iterdir():
        path.unlink()
    message = "`esarm capture` (left out: blendshape/: holds no motion)"
    with pytest.raises(InputError, match=re.escape(message)):
        run_corpus(run_of(tmp_path / "run", folder))


def test_sound_alone_is_compared_with_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every figure of it was nan, in a table as of any other."""
    for path in (folder / "blendshape").iterdir():
        path.unlink()
    line = refused(["corpus", "synthetic-mead", "--compare", str(folder)], capsys)
    assert f"{folder}: must hold captured motion to compare, got audio only" in line


def test_a_corpus_too_small_for_three_splits_is_refused(folder: Path, tmp_path: Path) -> None:
    """Without a validation utterance, the last stage would fail after hours."""
    for path in (folder / "audio").iterdir():
        if path.stem not in ("anna_0", "anna_1"):
            path.unlink()
    with pytest.raises(InputError, match="must give every split an utterance, got none for valid"):
        run_corpus(run_of(tmp_path / "run", folder))


def test_a_relative_folder_is_noted_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`esarm animate` and `open_task` may be called from anywhere."""
    monkeypatch.chdir(tmp_path)
    run = run_of(tmp_path / "run", Path("recorded"))
    run_corpus(run)
    assert read_corpus_file(run.path)["corpus"] == str(folder)


def test_the_layout_of_the_settings_is_used(folder: Path, tmp_path: Path) -> None:
    """Dropped on the way, a folder that two layouts fit is read as the other."""
    run = run_of(tmp_path / "run", folder, "corpus.layout=generic")
    assert run_corpus(run)["layout_found"] == "generic"
    assert read_corpus_file(run.path)["layout"] == "generic"
    with pytest.raises(InputError, match="must be laid out as below"):
        run_corpus(run_of(tmp_path / "other", folder, "corpus.layout=beat"))


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail with exit code 2; return its one line."""
    with pytest.raises(SystemExit, match=r"^2$") as stop:
        main(arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def audit_of(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    main(["corpus", str(folder), "--audit", *more])
    return capsys.readouterr().out.splitlines()


def test_the_audit_is_printed_and_leaves_no_run(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looking into a folder must not begin training in the default run folder."""
    monkeypatch.chdir(tmp_path)
    write_spoken(folder, "anna_1", late_s=0.25, seed=1)
    (folder / "blendshape" / "anna_5.npy").unlink()
    before = sorted(path.name for path in folder.rglob("*"))
    lines = audit_of(folder, capsys, "--json", "audit.json")
    assert lines[0] == f"{folder}: layout 3d-etf, 4 takes, 4 utterances, 20 s, 1 speakers"
    assert "left out: 2" in lines and "to look at: 1" in lines
    assert any(line.startswith("  anna_5: has no motion") for line in lines)
    assert any(line.startswith("  anna_1: motion 0.2") and "s late" in line for line in lines)
    facts: dict[str, Any] = json.loads(Path("audit.json").read_text())
    assert facts["utterances"] == 4 and len(facts["left_out"]) == 2
    assert not Path("runs").exists()
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_offsets_are_corrected_and_the_next_audit_is_clean(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command finds it, one option mends it, and what follows reads it mended."""
    write_spoken(folder, "anna_1", late_s=0.25, seed=1)
    write_spoken(folder, "anna_3", late_s=-0.25, seed=3)
    lines = audit_of(folder, capsys, "--correct-offsets")
    assert "to look at: 2" in lines and lines[-1] == f"wrote {folder / 'offsets.csv'}"
    offsets = read_offsets(folder)
    assert offsets == {
        "anna_1": pytest.approx(0.25, abs=0.03), "anna_3": pytest.approx(-0.25, abs=0.03)
    }  # fmt: skip
    lines = audit_of(folder, capsys, "--correct-offsets")
    assert "to look at: 0" in lines
    assert lines[-1] == "no take is surely out of sync; nothing written"
    assert read_offsets(folder) == offsets


def test_a_corrected_offset_changes_what_a_run_learns_from(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same hash would give the corrected corpus the tokenizer of the old one."""
    write_spoken(folder, "anna_1", late_s=0.25, seed=1)
    before = run_corpus(run_of(tmp_path / "before", folder))
    audit_of(folder, capsys, "--correct-offsets")
    after = run_corpus(run_of(tmp_path / "after", folder))
    assert after["content_hash"] != before["content_hash"]
    assert after["utterances"] == before["utterances"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["corpus", "--audit"], "`corpus` must be a folder to audit, got none"),
        (["corpus", "synthetic-mead", "--audit"], "must be a folder to audit, got the synthetic"),
        (["corpus", "nowhere", "--audit"], "must be a folder of recordings, got 'nowhere'"),
        (["corpus", "x", "--correct-offsets"], "`--correct-offsets` must stand beside `--audit`"),
    ],
)
def test_an_audit_of_no_folder_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what was meant; `--correct-offsets` alone must not begin a run."""
    assert message in refused(arguments, capsys)


def test_a_run_notes_which_hama_heard_its_phones(folder: Path, tmp_path: Path) -> None:
    """Animated with another version's posteriors, a policy would mumble, and nobody know why."""
    pytest.importorskip("hama", reason="the extra `phones` is not installed")
    run = run_of(tmp_path / "run", folder, "corpus.encoder=phones+logmel")
    run_corpus(run)
    noted = read_corpus_file(tmp_path / "run")["encoder"]
    assert noted == f"phones+logmel:{metadata.version('hama')}"
    assert "encoder: phones+logmel\n" in (tmp_path / "run" / "config.yaml").read_text()


def test_phones_without_the_extra_end_before_the_work(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line with what to type, and exit code 2."""

    def absent(name: str) -> str:
        if name == "hama":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    version = metadata.version
    monkeypatch.setattr(metadata, "version", absent)
    command = ["corpus", str(folder), "--run", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--set", "corpus.encoder=phones"])
    assert ended.value.code == 2
    said = "esarm: The encoder `phones` needs `hama`: run `pip install 'esarm[phones]'`\n"
    assert capsys.readouterr().err.endswith(said)
    assert not (tmp_path / "run").exists()
