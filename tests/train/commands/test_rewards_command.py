"""`esarm rewards`: the list a user chooses from."""

import json
import re

import pytest

from esarm_env.core.errors import InputError
from esarm_env.rewards import register_reward, registry
from train.commands.installation import command_rewards


class Silent:
    needs_ground_truth = None


def broken(task, run):
    """Never seen."""


@pytest.fixture(autouse=True)
def own_rewards(monkeypatch):
    """Two rewards of this process: one without a word of documentation, one broken."""
    monkeypatch.setattr(registry.REWARDS, "_registered", {})
    register_reward("silent", lambda task, run: Silent())
    find = registry.find_rewards

    def with_broken():
        def fail():
            raise ImportError("no module 'theirs'\nand more")

        return find() | {"theirs": registry.InstalledReward("theirs", "theirs 1.2", fail)}

    monkeypatch.setattr("esarm_env.rewards.find_rewards", with_broken)


def test_every_reward_is_one_line(capsys):
    """Name, whether it looks at the truth, package, and what it is."""
    command_rewards()
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"reward +ground truth +package", lines[0])
    text = "\n".join(lines)
    for pattern in (
        r"^accuracy +yes +esarm \S+ +Minus the mean of the true errors LVE and EVE, in mm\.$",
        r"^learned\[:ARGUMENT\] +no +esarm \S+ +Learned from animations",
        r"^silent +\? +this process$",
        r"^theirs +\? +theirs 1\.2 +cannot be used: ImportError: no module 'theirs'$",
    ):
        assert re.search(pattern, text, re.MULTILINE), pattern
    starts = {line.index(word) for line, word in zip(lines[:2], ("package", "esarm"), strict=True)}
    assert len(starts) == 1, "columns are aligned"


def test_the_list_is_written_as_json(tmp_path, capsys):
    """For scripts that sweep over rewards."""
    path = tmp_path / "rewards.json"
    command_rewards(json=path)
    rewards = json.loads(path.read_text())["rewards"]
    assert rewards["lve"] == {
        "usage": "lve",
        "description": "Minus the true error of the lips, LVE, in mm.",
        "needs_ground_truth": True,
        "argument": "none",
        "package": rewards["accuracy"]["package"],
        "error": None,
    }
    assert rewards["learned"]["argument"] == "optional"
    assert rewards["silent"]["needs_ground_truth"] is None
    assert rewards["theirs"]["error"].startswith("ImportError: no module 'theirs'")
    names = [name for name in rewards if name != "theirs"]  # added behind those that were found
    assert names == sorted(names)


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    """One line instead of a traceback."""
    with pytest.raises(InputError, match="must be a file in a writable folder, got"):
        command_rewards(json=tmp_path)
