"""`esarm plugins`: one list of everything that can be plugged in."""

import json
import re

import pytest

from agents.registry import ALGORITHMS
from esarm_env.core.errors import InputError
from esarm_env.core.plugins import Plugin
from esarm_env.core.shipped import shipped_run
from esarm_env.rewards import find_rewards
from esarm_env.rewards.registry import REWARDS
from esarm_env.task.opening import open_task
from reward.plugins.heads import open_naturalness
from train.cli import main
from train.commands.plugins import command_plugins, installed_plugins


def test_every_kind_is_listed_with_name_package_and_a_line(capsys):
    """Who looks for an algorithm must not have to know that rewards have a list of their own."""
    command_plugins()
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"kind +name +package +ground truth", lines[0])
    text = "\n".join(lines)
    for pattern in (
        r"^reward +learned\[:ARGUMENT\] +esarm \S+ +not needed +Learned from animations",
        r"^reward +lve +esarm \S+ +needed +\S+",
        r"^algorithm +grpo +esarm \S+ +\S+",
        r"^layout +3d-etf +esarm \S+ +audio/NAME\.wav",
        r"^exporter +livelink +esarm \S+ +\S+",
    ):
        assert re.search(pattern, text, re.MULTILINE), pattern


def test_a_column_says_which_rewards_need_the_ground_truth(tmp_path):
    """`animate --best-of` refuses those that do, and sends its reader here."""
    command_plugins(json=tmp_path / "plugins.json")
    found = json.loads((tmp_path / "plugins.json").read_text())
    needs = {name: reward["needs_ground_truth"] for name, reward in found["reward"].items()}
    told = {name: reward.needs_ground_truth for name, reward in find_rewards().items()}
    assert needs == told and set(needs.values()) == {True, False, None}
    assert needs["bond"] is None  # as that of the reward that it compares
    assert "ground truth as `REWARD`" in found["reward"]["bond"]["description"]
    assert needs["lve"] and not needs["learned"] and not needs["jerk"]
    assert found["exporter"]["livelink"]["needs_ground_truth"] is None


def test_a_reward_that_cannot_tell_before_it_is_made_has_a_question_mark(monkeypatch, capsys):
    """`not needed` would be a promise."""
    monkeypatch.setattr(REWARDS, "_registered", {"theirs": lambda task, run: None})
    command_plugins()
    pattern = r"^reward +theirs +this process +\?(  |$)"
    assert re.search(pattern, capsys.readouterr().out, re.MULTILINE)


def test_ours_are_all_there_and_healthy():
    """An entry point that names a module which has moved would be found by users first."""
    found = installed_plugins()
    assert {name: len(plugins) for name, plugins in found.items()} == {
        "reward": 18,
        "algorithm": 5,
        "layout": 7,
        "exporter": 11,
        "metric": 2,
        "reward net": 0,
    }
    faults = [p["error"] for plugins in found.values() for p in plugins.values() if p["error"]]
    assert faults == []


def test_a_broken_one_is_listed_with_its_reason(monkeypatch, capsys, tmp_path):
    """One package whose import exits must not take the list away."""

    def leave():
        raise SystemExit("no licence")

    broken = Plugin("theirs", "theirs 1.2", leave, lambda value: value, "algorithm")
    monkeypatch.setattr(ALGORITHMS, "find", lambda: {"theirs": broken})
    command_plugins(json=tmp_path / "plugins.json")
    pattern = r"^algorithm +theirs +theirs 1\.2 +cannot be used: SystemExit: no licence$"
    assert re.search(pattern, capsys.readouterr().out, re.MULTILINE)
    entry = json.loads((tmp_path / "plugins.json").read_text())["algorithm"]["theirs"]
    assert entry["error"] == "SystemExit: no licence"


def test_what_ships_says_that_it_has_no_second_head(tmp_path):
    """The remedy was to train what nobody had trained, in a folder of the package."""
    message = "got what ships with the package, whose reward model tells expected errors alone"
    with pytest.raises(InputError, match=message):
        open_naturalness(open_task(), shipped_run())


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    """One line instead of a traceback."""
    with pytest.raises(InputError, match="must be a file in a writable folder, got"):
        command_plugins(json=tmp_path)


def test_the_old_command_still_lists_rewards_and_names_the_new_one(capsys):
    """Scripts go on for one version, and their owners learn what to change."""
    main(["rewards"])
    said = capsys.readouterr()
    assert "accuracy" in said.out and "grpo" not in said.out
    assert (
        "`esarm rewards` is deprecated and goes with the next version; use `esarm plugins`"
        in said.err
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[esarm.rewards]\nno equals sign\n", "TypeError|missing"),
        (b"\xff\xfe[esarm.rewards]\nx = y:z\n", "codec can't decode"),
    ],
)
def test_a_package_with_damaged_entry_points_is_listed_with_the_reason(
    content, reason, tmp_path, monkeypatch, capsys
):
    """Python's reader stops at the first damaged file, and with it went the whole list."""
    info = tmp_path / "damaged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    command_plugins()
    text = capsys.readouterr().out
    assert re.search(r"^reward +learned\[:ARGUMENT\] +esarm", text, re.MULTILINE)
    line = re.search(r"^reward +all of damaged +damaged +(.*)$", text, re.MULTILINE)
    assert line and "cannot be used: LookupError: its entry_points.txt cannot be read" in line[1]
    assert re.search(reason, line[1])


def test_damaged_entry_points_of_an_unrelated_package_are_no_matter(tmp_path, monkeypatch, capsys):
    """It could have brought nothing of ours."""
    info = tmp_path / "damaged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nno equals sign\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    command_plugins()
    text = capsys.readouterr().out
    assert "esarm" in text and "damaged" not in text
