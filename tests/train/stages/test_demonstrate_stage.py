"""The stage that lets the clone demonstrate: the plain recipe, its card and its audit."""

import json

import numpy as np
import pytest

from agents.rollout.animation import animate_utterances
from agents.rollout.generation import Decoding
from agents.weights import load_policy
from esarm_env.core.run_layout import AUDIT_FILE, DEMONSTRATIONS_FILE, POLICY_FILE
from esarm_env.corpus import SPLITS
from esarm_env.task.opening import open_task
from reward.demonstrations import load_demonstrations
from train.run.run_folder import RunFolder
from train.stages.demonstrate import run_demonstrate


@pytest.fixture(scope="module")
def folder(finished_run):
    return finished_run / "demonstrate"


def test_the_plain_recipe_is_the_papers_ladder(finished_run, folder):
    """The clone's own tokens at each of the five levels, as they always were."""
    made = load_demonstrations(folder / DEMONSTRATIONS_FILE)
    np.testing.assert_allclose(made.levels, [0.02, 0.25, 0.5, 0.75, 1.0])
    assert set(made.making.source) == {"policy"}
    task = open_task(finished_run)
    clone = load_policy(finished_run / "clone" / POLICY_FILE)
    utterances = np.concatenate([task.corpus.split(split) for split in SPLITS])
    for number, level in ((0, 0.02), (3, 0.75)):
        mine = made[made.epsilon == np.float32(level)].trajectories
        expected = animate_utterances(
            clone, task, utterances, decoding=Decoding(epsilon=level), seed=0, sample=number
        )
        np.testing.assert_array_equal(mine.utterance, utterances)
        np.testing.assert_array_equal(mine.tokens, expected.tokens)


def test_card_and_audit_stand_beside_the_roll_outs(folder):
    """Nobody should train on labels without seeing how often they are right."""
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert "the clone of the run `tiny`" in card and "| ε = 0.25 |" in card
    levels = json.loads((folder / AUDIT_FILE).read_text())["levels"]
    assert {(cell["better"], cell["worse"]) for cell in levels} >= {(0.02, 1.0), (0.75, 1.0)}
    assert len(levels) == 10 and all(cell["n_pairs"] > 0 for cell in levels)
    assert "ε = 0.02, 0.25" in (folder / "audit.md").read_text(encoding="utf-8")


def test_one_level_is_no_ladder_and_has_no_audit(finished_run, tmp_path):
    """Whoever collects a single level wants roll-outs, not a crash at the end of them."""
    for name in ("corpus", "prior", "encoder", "clone"):
        (tmp_path / name).symlink_to(finished_run / name)
    text = (finished_run / "config.yaml").read_text()
    begin, end = text.index("  epsilons:"), text.index("  rollouts:")
    (tmp_path / "config.yaml").write_text(text[:begin] + "  epsilons: [0.5]\n" + text[end:])
    summary = run_demonstrate(RunFolder.open(tmp_path))
    assert summary["epsilons"] == [0.5]
    assert not (tmp_path / "demonstrate" / AUDIT_FILE).exists()
    assert (tmp_path / "demonstrate" / "card.md").is_file()
