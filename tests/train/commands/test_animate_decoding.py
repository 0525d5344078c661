"""`esarm animate` by every decoding, and best of n by a reward."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from agents.rollout.named_decoding import NAMES
from esarm_env import InputError
from esarm_env.face.livelink import read_livelink_csv
from esarm_env.rewards import registry
from esarm_env.rewards.registry import register_reward
from train.animate import Writing
from train.cli import main
from train.commands.animate import DecodingName


class _Quiet:
    """A reward that likes faces at rest, and notes what it was shown."""

    needs_ground_truth = False
    shown: list[np.ndarray] = []  # noqa: RUF012  # shared by design: the factory makes one

    def __init__(self, task: Any, run: Any) -> None:
        self._task = task

    def score(self, trajectories: Any) -> np.ndarray:
        self.shown.append(trajectories.utterance)
        motion = self._task.decode(trajectories)
        return -np.asarray(motion.mean(axis=(1, 2)), dtype=np.float32)


def _animate(run: Path, speech: Path, folder: Path, *options: object) -> tuple[Any, dict[str, Any]]:
    output, done = folder / "o.csv", folder / "done.json"
    command = ["animate", speech, "-o", output, "--run", run, "--json", done, *options]
    main([str(part) for part in command])
    return read_livelink_csv(output)[0], json.loads(done.read_text())


@pytest.mark.parametrize(
    ("options", "decoding"),
    [
        ([], "expected-distance"),
        (["--decoding", "expected-distance"], "expected-distance"),
        (["--decoding", "greedy"], "greedy"),
        (["--decoding", "sampled"], "sampled"),
        (["--decoding", "sampled", "--temperature", "0.5", "--top-k", "3"], "sampled"),
        (["--temperature", "1"], "sampled"),
        (["--temperature", "0"], "greedy"),
        (["--top-p", "0.5"], "sampled"),
        (["--decoding", "beam", "--beam", "3"], "beam"),
        (["--decoding", "median", "--median-of", "3"], "median"),
    ],
)
def test_it_says_how_it_decoded(
    options: list[str],
    decoding: str,
    finished_run: Path,
    speech_file: Path,
    tmp_path: Path,
) -> None:
    """The default depends on what the policy knows, so that nobody could tell from the command."""
    motion, done = _animate(finished_run, speech_file, tmp_path, *options)
    assert done["decoding"] == decoding
    assert motion.shape == (90, 52) and np.isfinite(motion).all()


def test_the_command_line_knows_every_decoding() -> None:
    """It has names of its own, since those of the package come with torch."""
    assert get_args(DecodingName) == NAMES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--decoding", "mbr"], "`--decoding` must be one of auto, greedy, expected-distance, "),
        (["--decoding", "greedy", "--temperature", "0.7"], "must be left out of greedy decoding"),
        (["--decoding", "sampled", "--temperature", "0"], "`temperature` must be at least 0.001"),
        (["--beam", "3"], "`beam` must be left out of auto decoding, got 3"),
        (["--median-of", "3"], "`median_of` must be left out of auto decoding, got 3"),
        (["--top-p", "1.5"], "`top_p` must be above 0 and at most 1, got 1.5"),
        (["--best-of", "0"], "`best_of` must be at least 1, got 0"),
        (["--reward", "jerk"], "`reward` must be left out where nothing is chosen, got 'jerk'"),
        (
            ["--best-of", "2", "--decoding", "greedy"],
            "`decoding` must leave something to chance, got greedy",
        ),
        (
            ["--best-of", "2", "--reward", "lve"],
            "`reward` must not need the recorded motion, which a recording of speech lacks, "
            "got 'lve'",
        ),
        # Of rewards only those that could be chosen are listed: without `accuracy`.
        (["--best-of", "2", "--reward", "nonsense"], "`reward` must be one of bond, closure, "),
        (["--emotion", "hapy"], "got 'hapy'; did you mean happy?"),
        (["--intensity", "4"], "`intensity` must be 1 to 3, got 4"),
    ],
)
def test_what_contradicts_itself_is_refused_in_one_line(
    options: list[str],
    message: str,
    finished_run: Path,
    speech_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One of two settings would be ignored without a word."""
    with pytest.raises(SystemExit, match=r"^2$"):
        _animate(finished_run, speech_file, tmp_path, *options)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "o.csv").exists()


def test_the_best_of_several_is_the_reward_s_favourite(
    finished_run: Path, speech_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chosen by a reward of one's own, which sees the recording behind the corpus."""
    monkeypatch.setattr(registry.REWARDS, "_registered", {})  # others shall not find it installed
    register_reward("quiet", _Quiet)
    _Quiet.shown.clear()
    best, done = _animate(
        finished_run, speech_file, tmp_path, "--best-of", "8", "--reward", "quiet"
    )
    assert done["decoding"] == "sampled"
    assert len(_Quiet.shown) == 8 and len({tuple(rows) for rows in _Quiet.shown}) == 1
    ones = [
        _animate(finished_run, speech_file, tmp_path, "--decoding", "sampled", "--seed", seed)[0]
        for seed in ("0", "1")
    ]
    assert best.mean() <= ones[0].mean()  # which is the first of the eight, and may be the best
    assert best.mean() < max(one.mean() for one in ones)


def test_the_run_s_reward_model_chooses_by_default(
    finished_run: Path, speech_file: Path, tmp_path: Path
) -> None:
    """The learned reward needs no ground truth: that is what it was learnt for."""
    options = ("--best-of", "3", "--seed", "5")
    default, _ = _animate(finished_run, speech_file, tmp_path, *options)
    named, _ = _animate(finished_run, speech_file, tmp_path, *options, "--reward", "learned")
    np.testing.assert_array_equal(default, named)


def test_a_negative_seed_is_refused() -> None:
    """numpy would speak of entropy."""
    with pytest.raises(InputError, match=re.escape("`seed` must be at least 0, got -1")):
        Writing(seed=-1)
