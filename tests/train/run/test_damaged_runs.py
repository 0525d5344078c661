"""A run with any damaged file: one clear line or a whole result, never another exception."""

import json
import shutil

import pytest

import train.report
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import STAGES
from esarm_env.task.opening import open_task
from reward.demonstrations import load_demonstrations
from train.animate import SpeechAnimator
from train.report import write_report
from train.run.run_folder import RunFolder


def summaries(path):
    """Return what all stages noted."""
    run = RunFolder.open(path)
    return [run.summary(stage) for stage in STAGES]


READERS = {
    "summaries": summaries,
    "report": lambda run: write_report(RunFolder.open(run)),
    "animator": SpeechAnimator,
    "task": open_task,
    "policy": load_policy,
    "demonstrations": lambda run: load_demonstrations(run / "demonstrate" / "demonstrations.npz"),
}
# By file name: who reads it.
READ_BY = {
    "corpus.json": ("task", "animator"),
    "summary.json": ("summaries", "report", "animator"),
    "metrics.csv": ("report",),
    "tokenizer.safetensors": ("task", "animator"),
    "policy.safetensors": ("animator", "policy"),
    "demonstrations.npz": ("demonstrations",),
}
VALUES = (None, 5, "x", [], {}, True)


def damages(path):
    """Yield what may stand in a file's place: bytes, None for a folder, False for nothing."""
    content = path.read_bytes()
    yield from (b"", content[: len(content) // 2], b"\xff" + content[1:], None, False)
    if path.suffix == ".json":
        yield from (b"5", b"[]", b"null", b"{}", b'"x"', b'{"a": NaN}', b"[" * 5000)
        whole = json.loads(content)
        for number, key in enumerate(whole):
            yield json.dumps(whole | {key: VALUES[number % len(VALUES)]}).encode()
            yield json.dumps({name: whole[name] for name in whole if name != key}).encode()
    if path.suffix == ".csv":
        yield from (b"step,loss\n1,x\n", b"step\n1,2,3\n", b"\n" * 3)


def put(path, content):
    """Let `content` stand at `path` in place of whatever is there."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    if content is None:
        path.mkdir()
    elif content is not False:
        path.write_bytes(content)


@pytest.fixture(scope="module")
def copy(finished_run, tmp_path_factory):
    """A copy of a finished run, which every test leaves as it was."""
    path = tmp_path_factory.mktemp("copies") / "run"
    shutil.copytree(finished_run, path)
    return path


@pytest.mark.parametrize("name", READ_BY)
def test_a_damaged_file_is_one_clear_line(copy, monkeypatch, name):
    """A disk, an editor or a copy that was cut: a traceback tells nobody what to delete."""

    def draw_nothing(run):
        for path in run.path.rglob("metrics.csv"):
            train.report._read_rows(path)

    monkeypatch.setattr(train.report, "_draw", draw_nothing)  # pictures take seconds
    monkeypatch.setattr(train.report, "faces_section", lambda run: "")
    n_refused = 0
    for path in sorted(copy.rglob(name)):
        whole = path.read_bytes()
        for content in damages(path):
            put(path, content)
            for reader in READ_BY[name]:
                try:
                    READERS[reader](copy)
                except InputError as error:
                    n_refused += 1
                    assert "\n" not in str(error) and ", got " in str(error), error
        put(path, whole)
    assert n_refused >= 5


def test_a_report_of_a_damaged_stage_names_its_file(copy):
    """`KeyError: 'wall_s'` names neither the file nor the remedy."""
    path = copy / "clone" / "summary.json"
    whole = path.read_bytes()
    path.write_text("{}")
    rule = r"\*/summary.json must be as the stage wrote it, got KeyError\('wall_s'\); delete the"
    with pytest.raises(InputError, match=rule):
        write_report(RunFolder.open(copy))
    path.write_bytes(whole)
