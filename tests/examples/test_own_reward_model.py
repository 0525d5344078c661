"""The example of a reward model of one's own learns from automatic ranks, and is a reward."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import esarm_env

EXAMPLE = Path(esarm_env.__file__).parents[1] / "examples" / "own_reward_model.py"


def test_it_trains_saves_and_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From what ships: ranks, training, the file, and the environment that takes it."""
    spec = importlib.util.spec_from_file_location("example_own_reward_model", EXAMPLE)
    assert spec is not None and spec.loader is not None, "it is a Python file"
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    accuracy = example.main(utterances=10, epochs=20, to=tmp_path / "net.safetensors")
    assert accuracy > 0.7
    printed = capsys.readouterr().out
    assert "pairs of validation ranked as their noise says: 0." in printed
    levels = re.findall(r"(\d+)% random tokens: ([+-][\d.]+)", printed)
    assert [level for level, _ in levels] == ["2", "25", "50", "100"]
    assert float(levels[0][1]) > float(levels[-1][1]), "noise is worse"


def test_it_is_a_page_and_comes_through_the_front_door() -> None:
    """It is read from top to bottom, and copied."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    ours = re.findall(r"^(?:from|import) (esarm_env|agents|reward|train)(\S*)", text, re.MULTILINE)
    assert len(ours) == 3 and not any(place for _, place in ours)
