"""The layout of a run folder: one place for its names, one message for what is missing."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import esarm_env
from esarm_env.core import run_layout
from esarm_env.core.errors import InputError

ROOT = Path(esarm_env.__file__).parents[1]
HOME = "esarm_env/core/run_layout.py"
# Files elsewhere that happen to be called as one of a run.
NAMESAKES = {"corpus.json": "esarm_env/corpus/compact/corpus.py"}


def file_names() -> set[str]:
    """Return the names of all files in a run folder, without folders before them."""
    values = [value for name, value in vars(run_layout).items() if name.isupper()]
    return {v for v in values if isinstance(v, str) and "." in v and "/" not in v}


def texts(source: str) -> Iterator[str]:
    """Yield the string constants of a module, docstrings apart."""
    tree = ast.parse(source)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


@functools.cache
def texts_by_module() -> dict[str, tuple[str, ...]]:
    """Return `texts` of every module of ours, by its path below the root; each is parsed once."""
    return {
        path.relative_to(ROOT).as_posix(): tuple(texts(path.read_text()))
        for package in ("esarm_env", "agents", "reward", "train")
        for path in (ROOT / package).rglob("*.py")
    }


def homes_of(name: str) -> set[str]:
    """Return the modules of ours in whose strings `name` stands as a whole."""
    whole = re.compile(rf"(?<![\w.-]){re.escape(name)}(?!\w)")
    return {
        module
        for module, strings in texts_by_module().items()
        if any(whole.search(text) for text in strings)
    }


@pytest.mark.parametrize("name", sorted(file_names()))
def test_the_name_of_a_file_of_a_run_stands_in_one_module(name: str) -> None:
    """Renamed in one of two places, a stage would look for what no stage writes."""
    assert homes_of(name) - {NAMESAKES.get(name)} == {HOME}


def test_partial_folders_and_rounds_are_named_in_one_module() -> None:
    """A second spelling of a partial folder would leave a stage that never finishes."""
    for name in (".partial", run_layout.REWARD_REPORT_FOLDER, run_layout.OVEROPTIMISE_FOLDER):
        found = {
            module
            for module, strings in texts_by_module().items()
            if any(text == name or text.endswith(".partial") for text in strings)
        }
        # The command `overoptimise` is called as its folder.
        assert found - {"train/cli.py", "train/manual/pages.py"} == {HOME}, name


def test_the_reader_of_names_finds_them() -> None:
    """A reader that misses strings would pass whatever is written."""
    source = '"""In clone/policy.safetensors."""\nA = f"{b}/policy.safetensors: damaged"\n'
    assert list(texts(source)) == ["/policy.safetensors: damaged"]
    assert len(file_names()) >= 20
    assert homes_of("assets.json") == {"esarm_env/core/shipped.py"}


def test_the_layout_needs_the_standard_library_alone() -> None:
    """Whoever asks for a file's name must not wait for numpy."""
    beside = "esarm_env.core.hub.address"  # imported where a path is an address
    for file in (HOME, f"{beside.replace('.', '/')}.py"):
        tree = ast.parse((ROOT / file).read_text())
        plain = [
            name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
        ]
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        needed = {*(each.name for each in plain), *modules} - {beside, "esarm_env.core.errors"}
        assert needed <= sys.stdlib_module_names, file


@pytest.mark.parametrize("stage", run_layout.STAGES)
def test_a_missing_stage_names_the_command_that_runs_it(stage: str, tmp_path: Path) -> None:
    """One message, whoever misses the stage."""
    message = (
        f"{tmp_path}: must hold the stage `{stage}`, got none; "
        f"run `esarm {stage} --run {tmp_path}` first"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run_layout.need_stage(tmp_path, stage)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        run_layout.need_file(tmp_path, f"{stage}/file.bin")
    (tmp_path / stage).mkdir()
    assert run_layout.need_stage(tmp_path, stage) == tmp_path / stage
    (tmp_path / stage / "file.bin").touch()
    assert run_layout.need_file(tmp_path, f"{stage}/file.bin").is_file()


def test_improved_policies_are_found_by_algorithm(tmp_path: Path) -> None:
    """A folder without weights is an algorithm that was interrupted."""
    assert run_layout.improved_policies(tmp_path) == {}
    for name in ("ppo", "grpo", "half"):
        (tmp_path / "improve" / name).mkdir(parents=True)
    files = {name: tmp_path / "improve" / name / "policy.safetensors" for name in ("grpo", "ppo")}
    for file in files.values():
        file.touch()
    assert list(run_layout.improved_policies(tmp_path).items()) == list(files.items())


def test_the_run_itself_is_the_first_round(tmp_path: Path) -> None:
    """Counting from another number would train on a round twice."""
    assert run_layout.round_folder(tmp_path, 1) == tmp_path
    assert run_layout.round_folder(tmp_path, 2) == tmp_path / "rounds" / "2"


def test_a_folder_that_may_not_be_looked_into_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file may not be looked for, Python raises instead of answering."""

    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    monkeypatch.setattr(Path, "is_file", refuse)
    rule = "must be in a run folder that can be read, got Permission denied; mend its permissions"
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'clone'}: {rule}")):
        run_layout.need_stage(tmp_path, "clone")
    with pytest.raises(InputError, match=re.escape(f"corpus.json: {rule}")):
        run_layout.need_file(tmp_path, "corpus/corpus.json")
