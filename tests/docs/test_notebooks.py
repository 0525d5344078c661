"""The notebooks of the docs run from top to bottom, and hold no outputs in git."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def code_of(path):
    """Return the sources of a notebook's code cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_four():
    """A glob that finds nothing tests nothing."""
    assert [path.stem for path in NOTEBOOKS] == [
        "step_the_environment",
        "your_own_algorithm",
        "your_own_reward",
        "your_own_reward_model",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints(path, capsys, monkeypatch, tmp_path):
    """A notebook is the first thing many people try, and the last that its authors do."""
    from esarm_env.corpus import open_corpus
    from esarm_env.rewards import registry

    monkeypatch.setattr(registry.REWARDS, "_registered", {})
    monkeypatch.chdir(tmp_path)  # where it leaves its files
    names: dict[str, object] = {"some": open_corpus("synthetic-mini").split("validation")[:3]}
    for source in code_of(path):
        shorter = source.replace("n_tokens = 2_000", "n_tokens = 1")
        shorter = shorter.replace("n_episodes=16", "n_episodes=4")
        shorter = shorter.replace(", held_out)", ", held_out, utterances=some)")
        shorter = shorter.replace("n_utterances = 40", "n_utterances = 3")
        shorter = shorter.replace("epochs=10", "epochs=1")
        exec(compile(shorter, str(path), "exec"), names)
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs(path):
    """Outputs are megabytes in git, and go stale."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
