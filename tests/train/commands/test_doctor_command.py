"""`esarm doctor`: its lines, its exit code, its JSON."""

import json
import re
import sys

import gymnasium
import pytest
import tyro

from esarm_env.core.errors import InputError
from esarm_env.doctor import Check, CheckFailed, CheckSkipped
from train.commands.installation import command_doctor

MODULE = '''
"""An environment of a user's own, and one that shares its observations."""

import gymnasium
import numpy as np


class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    metadata = {"render_modes": []}

    def __init__(self, steps=4, shares=False):
        self.steps, self.shares, self.kept = steps, shares, np.zeros(2, np.float32)

    def observe(self):
        self.kept[:] = self.np_random.uniform(-1, 1, 2)
        return self.kept if self.shares and self.left == 1 else self.kept.copy()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.steps
        return self.observe(), {}

    def step(self, action):
        self.left -= 1
        return self.observe(), 0.0, self.left == 0, False, {}


gymnasium.register("Mine-v0", Mine)
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A working folder with a module that registers `Mine-v0`, of which Python knows nothing."""
    (tmp_path / "my_faces.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield "my_faces:Mine-v0"
    gymnasium.registry.pop("Mine-v0", None)
    sys.modules.pop("my_faces", None)


@pytest.fixture(autouse=True)
def own_threads(monkeypatch):
    """The command sets this for its process; here it must not stay."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def doctor(*arguments):
    """Run the command as the command line does; return its exit code."""
    try:
        tyro.cli(command_doctor, args=[str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def statuses(text):
    """Return the status of each check, by name."""
    found = re.findall(r"^  (ok|FAIL|skipped) +[\d.]+ s  (\S.*?)  ", text, re.MULTILINE)
    return {name: status for status, name in found}


def test_a_healthy_environment_of_ones_own_exits_with_0(mine, capsys):
    """The module is found in the working folder; only the environment is looked at."""
    assert doctor("--env", mine) == 0
    text = capsys.readouterr().out
    found = statuses(text)
    assert found["gymnasium checker"] == found["memory"] == "ok"
    assert "python" not in found and "Installation" not in text
    assert re.search(r"^\d+ ok, 0 failed, \d+ skipped in \d+\.\d s$", text, re.MULTILINE)


def test_a_fault_exits_with_1_and_a_remedy(mine, tmp_path, capsys):
    """One line of the fault, one of the remedy, never a traceback; all of it in the JSON."""
    file = tmp_path / "found.json"
    arguments = '{"shares": true, "steps": 9}'
    assert doctor("--env", mine, "--kwargs", arguments, "--json", file) == 1
    captured = capsys.readouterr()
    assert captured.err == "" and "Traceback" not in captured.out
    assert "\x1b" not in captured.out, "colours are for terminals"
    lines = captured.out.splitlines()
    assert lines[0] == f'{mine} {{"shares": true, "steps": 9}}'
    (place,) = (number for number, line in enumerate(lines) if line.startswith("  FAIL"))
    assert "memory" in lines[place]
    assert "obs of step 8 and obs of step 8 of episode 2 share memory" in lines[place]
    assert lines[place + 1].strip().startswith("-> return new arrays")
    found = json.loads(file.read_text())
    assert (found["env"], found["kwargs"]) == (mine, {"shares": True, "steps": 9})
    assert found["healthy"] is False
    failed = [check for check in found["checks"] if check["status"] == "FAIL"]
    assert [check["name"] for check in failed] == ["memory"]
    assert set(failed[0]) == {
        "section",
        "name",
        "status",
        "seconds",
        "text",
        "details",
        "remedy",
    }


def test_an_unknown_environment_is_a_failed_check(capsys):
    """As anything else that is raised."""
    assert doctor("--env", "ESARN-v0") == 1
    text = capsys.readouterr().out
    assert "Environment `ESARN` doesn't exist. Did you mean: `ESARM`?" in text
    assert "skipped" in text and "`make` failed" in text


@pytest.mark.parametrize("text", ["observation=flat", "[1]", "", "'flat'"])
def test_arguments_that_are_no_json_object_are_refused(text):
    """A misread argument would check another variant than was asked for."""
    message = re.escape('`kwargs` must be a JSON object such as \'{"split": "test"}\', got')
    with pytest.raises(InputError, match=message):
        command_doctor(kwargs=text)


def test_without_options_the_installation_is_checked_too(monkeypatch, capsys):
    """Sections in order, each with its heading; a skipped check is no failure."""

    def skip(_):
        raise CheckSkipped("[no such] thing")

    monkeypatch.setattr(
        "esarm_env.doctor.INSTALLATION_CHECKS",
        (Check("Files", "drafts", lambda _: "2 found\ndelete [this]", "mend it"),),
    )
    monkeypatch.setattr("esarm_env.doctor.ENVIRONMENT_CHECKS", (Check("Env", "x", skip, "-"),))
    assert doctor() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines if line] == [
        "ESARM-v0",
        "Files",
        "ok       0.00 s  drafts              2 found",
        "delete [this]",
        "Env",
        "skipped  0.00 s  x                   [no such] thing",
        "1 ok, 0 failed, 1 skipped in 0.0 s",
    ]


def test_an_interrupt_keeps_the_lines_so_far(monkeypatch, capsys):
    """Ctrl-C ends it, and the command line says so; it is no failed check."""

    def interrupt(_):
        raise KeyboardInterrupt("by the test")

    checks = (Check("Some", "a", lambda _: "fine", "-"), Check("Some", "b", interrupt, "-"))
    monkeypatch.setattr("esarm_env.doctor.ENVIRONMENT_CHECKS", checks)
    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        command_doctor(env="ESARM-v0")
    assert statuses(capsys.readouterr().out) == {"a": "ok"}


def test_a_json_file_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    """With the name of the option, as by every command."""

    def fail(_):
        raise CheckFailed("not so")

    monkeypatch.setattr("esarm_env.doctor.ENVIRONMENT_CHECKS", (Check("A", "a", fail, "-"),))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="must be a file in a writable folder"):
        command_doctor(env="ESARM-v0", json=tmp_path / "file" / "found.json")


def test_the_current_folder_is_only_looked_into_for_an_environment_of_ones_own(
    mine, monkeypatch, capsys
):
    """A user's `agents.py` would run in place of ours, of an editable installation."""
    before = list(sys.path)
    monkeypatch.setattr("esarm_env.doctor.run_checks", lambda *_: [])
    command_doctor()
    assert sys.path == before
    command_doctor(env=mine)
    assert sys.path[:-1] == before
