"""`esarm animate`: what it says was done, how it warns, and what it says of a wrong place."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from esarm_env import InputError
from esarm_env.core.shipped import shipped_run
from esarm_env.corpus import open_corpus
from esarm_env.face.livelink import read_livelink_csv
from esarm_env.task.emotion_choice import ShownEmotion, chosen_mix
from train.animate import SpeechAnimator, Writing
from train.cli import main, plain_warnings

RATE_HZ = 16_000


@pytest.fixture
def voice(tmp_path: Path, make_speech: Any) -> Path:
    """Return a sound file of 3 s."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, make_speech(3.0), RATE_HZ)
    return path


def _animate(voice: Path, *options: object) -> tuple[np.ndarray, dict[str, Any]]:
    """Return what the policy that ships makes of a file, and what was noted."""
    output, note = voice.parent / "face.csv", voice.parent / "done.json"
    main([str(part) for part in ("animate", voice, "-o", output, "--json", note, *options)])
    return read_livelink_csv(output)[0], json.loads(note.read_text())


@pytest.mark.parametrize(("rate_hz", "frames"), [(30, 90), (60, 179)])
def test_the_record_holds_what_makes_it_again(voice: Path, rate_hz: int, frames: int) -> None:
    """Frames are those of the file: 90 were noted of one that had 179."""
    chosen = ("--seed", 7, "--temperature", 0.5, "--emotion", "neutral")
    motion, done = _animate(voice, "--rate", rate_hz, *chosen)
    assert len(motion) == frames
    assert done == {
        "speech": str(voice),
        "output": str(voice.parent / "face.csv"),
        "outputs": [str(voice.parent / "face.csv")],
        "run": str(shipped_run()),
        "policy": "clone",
        "decoding": "sampled",
        "temperature": 0.5,
        "top_k": None,
        "top_p": None,
        "beam": None,
        "median_of": None,
        "best_of": 1,
        "reward": None,
        "seed": 7,
        "emotion": ShownEmotion("neutral (intensity 2.0)", chosen_mix("neutral", 2)).to_dict(),
        "speaker": None,
        "alive": True,
        "duration_s": 3.0,
        "rate_hz": rate_hz,
        "frames": frames,
    }


@pytest.mark.parametrize(
    ("writing", "by"),
    [
        (Writing(), None),
        (Writing(best_of=2), "learned"),
        (Writing(best_of=2, reward="jerk"), "jerk"),
    ],
)
def test_the_reward_that_chose_is_named(writing: Writing, by: str | None) -> None:
    """Also where nobody named one."""
    assert writing.chosen_by == by


def test_a_run_s_record_names_run_and_reward(
    voice: Path, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of animations tells which of them were chosen by what."""
    options = ("--run", finished_run, "--best-of", 2, "--reward", "jerk", "--speaker", "ann")
    _, done = _animate(voice, *options)
    assert (done["run"], done["best_of"], done["reward"]) == (str(finished_run), 2, "jerk")
    assert (done["speaker"], done["seed"], done["rate_hz"]) == ("ann", 0, 30)
    settings = {
        "decoding": "sampled",
        "temperature": 1.0,
        "top_k": None,
        "beam": None,
        "median_of": None,
    }
    assert done.items() >= (settings | {"speech": str(voice)}).items()
    line = capsys.readouterr().out
    assert "best_of: 2\nreward: jerk\nseed: 0" in line and "None" not in line


def test_the_curve_of_the_command_reaches_the_face(
    voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the path of a table, said by its emotions; one that is too short is refused."""
    corpus = open_corpus("synthetic-mini")
    spoken = np.concatenate([corpus[0].audio, corpus[1].audio])[: 3 * RATE_HZ]
    soundfile.write(voice, spoken, RATE_HZ)
    curve = voice.parent / "turn.csv"
    curve.write_text("time_s,sad,surprised\n0,1,0\n1,1,0\n1.2,0,1\n3,0,1\n")
    options = ("--no-alive", "--decoding", "greedy")
    motion, done = _animate(voice, "--emotion", curve, *options)
    assert done["emotion"]["words"] == "sad, surprised over time (turn.csv)"
    assert done["emotion"]["source"] == "curve" and done["emotion"]["intensity"] == 2.0
    assert sum(done["emotion"]["shares"].values()) == pytest.approx(1, abs=2e-3)
    assert done["emotion"]["name"] == "surprised"  # for 1.8 of 3 seconds
    sad, surprised = (_animate(voice, "--emotion", e, *options)[0] for e in ("sad", "surprised"))
    np.testing.assert_array_equal(motion[:24], sad[:24])
    assert np.abs(motion - surprised)[75:].mean() < np.abs(motion - sad)[75:].mean()
    curve.write_text("time_s,sad\n0,1\n2,1\n")
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"^2$"):
        _animate(voice, "--emotion", curve)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("esarm: turn.csv: `time_s` must cover the whole recording, 0 to 3.00 s")


def test_a_folder_is_no_output(voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rule about suffixes helps nobody who gave a place."""
    for folder in (voice.parent / "out", voice.parent / "out.csv"):
        folder.mkdir()
        with pytest.raises(SystemExit, match=r"^2$"):
            main(["animate", str(voice), "-o", str(folder)])
        said = capsys.readouterr().err.strip()
        assert said == (
            f"esarm: `output` must be a file, got the folder {folder}; name one in it, such as "
            f"{folder}/speech.csv"
        )


@pytest.mark.parametrize(
    ("policy", "remedy"),
    [
        ("ppo", "what ships with the package has no others, a finished run (--run RUN) may"),
        ("clown", "did you mean clone?"),
    ],
)
def test_a_policy_that_does_not_ship_is_met_with_where_it_comes_from(
    policy: str, remedy: str
) -> None:
    """`--policy ppo` without `--run` is a run that was forgotten."""
    message = f"`policy` must be one of clone, got {policy!r}; {remedy}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        SpeechAnimator(shipped_run(), policy=policy)


def test_warnings_are_one_plain_line() -> None:
    """A path, a number and a line of our source told users of a fault where there was none."""
    code = (
        "import warnings; from train import cli; "
        "cli.COMMANDS['plugins'] = lambda: warnings.warn('the shares\\nadd up to 2', stacklevel=1);"
        "cli.main(['plugins'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "esarm: warning: the shares add up to 2\n"


def test_warnings_of_others_are_as_they_were_afterwards() -> None:
    """Who calls `main` from Python keeps the format of Python."""
    import warnings

    before = warnings.formatwarning
    with plain_warnings():
        assert warnings.formatwarning("a", UserWarning, "b.py", 3) == "esarm: warning: a\n"
    assert warnings.formatwarning is before
