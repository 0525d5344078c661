"""`esarm figure5` on a tiny run: rows, errors by name, and what is left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from train.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("PIL")


def shown(run: Path, out: Path, *options: str) -> dict[str, Any]:
    """Return what `figure5.json` holds after the command."""
    main(["figure5", "--run", str(run), "--out", str(out), "--columns", "2", *options])
    return dict(json.loads((out / "figure5.json").read_text()))


def test_a_run_s_rows_are_shown_with_predictions_beside_them(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A corpus of one emotion has no curves by emotion, and says so; a rival has its row."""
    from esarm_env.task.opening import open_task

    corpus = open_task(finished_run).corpus
    spoken = corpus[int(corpus.split("test")[0])]
    (tmp_path / "theirs").mkdir()
    np.save(tmp_path / "theirs" / f"{spoken.record.id.replace('/', '%2F')}.npy", spoken.motion)
    told = shown(
        finished_run,
        tmp_path / "out",
        *("--utterance", spoken.record.id, "--predictions", f"theirs={tmp_path / 'theirs'}"),
        *("--methods", "recording", "regressor", "clone:greedy", "ppo"),
    )
    labels = [row["label"] for row in told["rows"]]
    assert labels[:3] == ["recording", "regressor", "clone, greedy"]
    assert labels[3].startswith("ppo, ")
    assert labels[4:] == ["theirs"]
    assert told["rows"][-1]["errors_mm"]["lve"] == pytest.approx(0.0, abs=1e-3)
    assert "no curves by emotion: the test utterances show one emotion alone" in told["notes"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "figure5.html",
        "figure5.json",
        "figure5.png",
    ]
    printed = capsys.readouterr().out
    assert "note: no curves by emotion" in printed
    assert "row: theirs: LVE 0.00" in printed
    names = ["figure5.png", "figure5.html", "figure5.json"]
    paths = [str(tmp_path / "out" / name) for name in names]
    assert [line for line in printed.splitlines() if line.startswith("written: ")] == [
        f"written: {path}" for path in paths
    ]
    assert f"files: {', '.join(paths)}" in printed
    assert list(told["files"].values()) == names


def test_a_voice_is_shown_without_ground_truth(
    finished_run: Path, speech_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any recording will do; what has no truth has no row of it and no error."""
    told = shown(
        finished_run,
        tmp_path / "out",
        *("--audio", str(speech_file), "--emotion", "neutral"),
        *("--methods", "mean-face", "regressor", "clone"),
    )
    assert [row["method"] for row in told["rows"]] == ["mean face", "regressor", "clone"]
    assert all(row["errors_mm"] == {} for row in told["rows"])
    assert told["notes"][0] == "no recorded motion: no row of it, and no error"
    assert told["condition"].startswith("emotion given: neutral")
    assert told["condition"].endswith("; the face moves as all training speakers' do on average")
    printed = capsys.readouterr().out.splitlines()
    start = printed.index(f"{speech_file.name}: {told['condition']}")
    rows = [f"row: {row['label']}" for row in told["rows"]]
    assert printed[start + 1 : start + 4] == rows


def test_a_voice_needs_no_run_of_one_s_own(
    speech_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`esarm animate` takes what ships; the picture of the same voice asked for a trained run."""
    monkeypatch.chdir(tmp_path)  # where no `runs/demo` is
    given = ["--audio", str(speech_file), "--emotion", "angry", "--methods", "clone:greedy"]
    main(["figure5", *given, "--columns", "2", "--out", "out"])
    told = json.loads((tmp_path / "out" / "figure5.json").read_text())
    assert [row["method"] for row in told["rows"]] == ["clone:greedy"]
    assert told["condition"].startswith("emotion given: angry")


def test_an_interruption_is_one_line_that_says_the_command_begins_again(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits for it to go on from where it was would wait as long once more."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.figure5.collect.collect_utterance", stopped)
    with pytest.raises(SystemExit) as left:
        main(["figure5", "--run", str(finished_run), "--out", str(tmp_path / "out")])
    assert left.value.code == 130
    line = "esarm: interrupted; the same command begins again, files that it wrote stay\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--methods", "grpo"), "`methods` must be of the run: recording, tokenizer, mean face, "),
        (("--utterance", "nobody"), "`utterance` must be one of the "),
        (("--sentence", "hello"), "`sentence` must be of a corpus that tells what is said"),
        (("--predictions", "theirs"), "`predictions` must be NAME=FOLDER, got 'theirs'"),
        (("--predictions", "theirs=/no"), "`predictions` must name a folder that is there"),
        (("--intensity", "2"), "`intensity` must be left out without --audio, got 2"),
        (("--columns", "1"), "`columns` must be at least 2, got 1"),
        (("--audio", "x.wav", "--utterance", "u"), "`utterance` must be left out with --audio"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    """One line and exit code 2, before anything is animated."""
    with pytest.raises(SystemExit) as stopped:
        main(["figure5", "--run", str(finished_run), "--out", str(tmp_path / "out"), *options])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"esarm: {message}")
    assert not (tmp_path / "out").exists()
