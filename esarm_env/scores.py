"""Reference scores of the shipped tasks: what random tokens, the clone and the truth get.

`scores.json` was written by `esarm scores --measure`; README, `SpeechAnimationEnv` and
`spec.reward_threshold` repeat it, and tests hold them equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CORPUS_NOTE
from esarm_env.core.shipped import read_manifest, shipped_run
from esarm_env.task.episode_metrics import EVE, LVE

SCORES_FILE = Path(__file__).with_suffix(".json")
COLUMNS = ("return", LVE, EVE)
GREEDY_CLONE, RECORDED = "clone, greedy", "recording through the tokenizer"
# Whose return is the threshold of the registered id.
THRESHOLD_ROW = "clone, expected distance"
_HEADS = ("return ↑", "LVE, mm ↓", "EVE, mm ↓")


@dataclass(frozen=True)
class ReferenceScores:
    """Table of one environment.

    Attributes:
        env_id: Such as `ESARM-v0`, as it comes.
        split: Whose utterances.
        n_utterances: How many these are.
        reward: Name of its reward.
        rows: By what acted: mean and standard error over the utterances by column (`return`, `lve`
            and `eve` in mm). Of several samples of one utterance the mean counts.
        recordings_above_greedy: Of the utterances, those whose recording through the tokenizer gets
            a higher return than the greedy clone's animation.
    """

    env_id: str
    split: str
    n_utterances: int
    reward: str
    rows: Mapping[str, Mapping[str, tuple[float, float]]]
    recordings_above_greedy: int

    @property
    def threshold(self) -> float:
        """Return of the clone that ships, decoded by expected distance, to two digits."""
        return round(self.rows[THRESHOLD_ROW]["return"][0], 2)

    @property
    def warning(self) -> str:
        """What the reward prefers, the recorded face or the clone's, in one clause."""
        return (
            f"`{self.reward}` scores the recording (through the tokenizer) above the greedy clone "
            f"in {self.recordings_above_greedy} of {self.n_utterances} utterances"
        )

    def markdown(self) -> str:
        """Return the table as README and docs hold it."""
        lines = [f"| policy | {' | '.join(_HEADS)} |", "|---|---|---|---|"]
        lines += [f"| {name} | {' | '.join(_cells(row))} |" for name, row in self.rows.items()]
        return "\n".join(lines)

    def text(self) -> str:
        """Return the table for a terminal."""
        width = max(map(len, self.rows))
        about = (
            f"{self.env_id}, reward `{self.reward}`, {self.n_utterances} {self.split} utterances"
        )
        lines = [f"{about}: mean (standard error)"]
        lines.append(" " * width + "".join(f"{head:>16}" for head in _HEADS))
        lines += [
            f"{name:<{width}}" + "".join(f"{cell:>16}" for cell in _cells(row))
            for name, row in self.rows.items()
        ]
        return "\n".join([*lines, f"{self.warning}."])


def _cells(row: Mapping[str, tuple[float, float]]) -> list[str]:
    return [f"{row[name][0]:.2f} ({row[name][1]:.2f})" for name in COLUMNS]


def reference_scores(env_id: str = "ESARM-v0") -> ReferenceScores:
    """Return the table of an environment as it ships.

    Args:
        env_id: `ESARM-v0` or `ESARM-Short-v0`.

    Raises:
        InputError: If nothing was measured for it.
    """
    tables = scores_from(json.loads(SCORES_FILE.read_text(encoding="utf-8")))
    if env_id not in tables:
        raise InputError(f"`env_id` must be one of {', '.join(tables)}, got {env_id!r}")
    return tables[env_id]


def scores_from(content: Mapping[str, Any]) -> dict[str, ReferenceScores]:
    """Return the tables in the content of a file of scores, by id."""
    return {
        env_id: ReferenceScores(
            env_id,
            table["split"],
            table["n_utterances"],
            table["reward"],
            {
                name: {column: (mean, error) for column, (mean, error) in row.items()}
                for name, row in table["rows"].items()
            },
            table["recordings_above_greedy"],
        )
        for env_id, table in content["tables"].items()
    }


def measured_files() -> str:
    """Return one SHA-256 of the weights and the corpus that ship, which scores belong to."""
    files = read_manifest(shipped_run())["files"]
    lines = [f"{name} {files[name]['sha256']}" for name in sorted(files) if _matters(name)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _matters(name: str) -> bool:
    """Return whether what is in a file changes a score; settings and licences do not."""
    return Path(name).suffix in (".safetensors", ".npz", ".opus") or name.endswith(CORPUS_NOTE)
