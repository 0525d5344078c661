"""The folders are the architecture: who imports whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import esarm_env

ROOT = Path(esarm_env.__file__).parents[1]
OURS = {"esarm_env", "agents", "reward", "train"}
# May be imported anywhere; `agents` may look at nothing of ours while it is imported.
ALLOWED = {
    "esarm_env": {"esarm_env"},
    "agents": {"agents"},
    "reward": {"reward", "esarm_env"},
    "train": OURS,
}


def nodes_run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from nodes_run_at_import(node)


def imported(source: str, *, everywhere: bool) -> set[str]:
    """Return the top-level packages of ours that `source` imports."""
    tree = ast.parse(source)
    names: list[str] = []
    for node in ast.walk(tree) if everywhere else nodes_run_at_import(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            names.append(node.module or "")
    return {name.split(".")[0] for name in names} & OURS


def sources() -> list[Path]:
    return [path for package in sorted(OURS) for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_packages_import_only_what_stands_below_them(path: Path) -> None:
    """One import upwards, and an algorithm can no longer be swapped without the environment."""
    package = path.relative_to(ROOT).parts[0]
    found = imported(path.read_text(), everywhere=package != "agents")
    assert found <= ALLOWED[package], f"{package} must not import {found - ALLOWED[package]}"


def test_the_reader_of_imports_sees_them_all() -> None:
    """A reader that misses imports would pass whatever is written."""
    source = """
import os, reward.ranking.network
from esarm_env.task.animation_task import AnimationTask
if True:
    import agents
class A:
    from train import cli
def later():
    import train.run.loop
    class B:
        import train
"""
    assert imported(source, everywhere=True) == OURS
    assert imported(source.replace("class A", "def a()"), everywhere=False) == OURS - {"train"}
    assert len(sources()) > 50, "the packages must be found"


def test_importing_the_environment_loads_nothing_heavy() -> None:
    """Seconds of torch before `--help` prints a line, or before a worker finds its folder."""
    heavy = {"torch", "librosa", "transformers", "scipy", "numba", "stable_baselines3", "soundfile"}
    code = f"import sys, esarm_env; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"importing esarm_env loaded {done.stdout}"


def test_importing_the_environment_registers_it() -> None:
    """`gymnasium.make("ESARM-v0")` needs no more than the import."""
    code = "import gymnasium, esarm_env; print(gymnasium.spec('ESARM-v0').entry_point)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "esarm_env.envs.registration:make_env"


def test_public_names_exist() -> None:
    """A name in `__all__` that is gone breaks `from esarm_env import *` alone."""
    for name in esarm_env.__all__:
        assert hasattr(esarm_env, name), name
    assert sorted(esarm_env.__all__) == sorted(set(esarm_env.__all__)), "a name stands there twice"
