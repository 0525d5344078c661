"""The folders are the architecture: who imports whom, what importing costs, and how big things are.

esarm_env <- reward <- train; `agents` stands beside them on the ground floor `esarm_env.core`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import esarm_env

ROOT = Path(esarm_env.__file__).parents[1]
OURS = {"esarm_env", "agents", "reward", "train"}
CORE = "esarm_env.core"
# What a room may import of ours, anywhere; the first room that a module lies in counts.
ALLOWED = {
    CORE: {CORE},
    "esarm_env": {"esarm_env", CORE},
    "agents": {"agents", CORE},
    "reward": {"reward", "esarm_env", CORE},
    "train": OURS | {CORE},
}
CORE_LIBRARIES = {"numpy", "safetensors"}
# Inside functions alone: a reader of types waits for none of them.
CORE_LATER = {"torch", "rich", "ray", "accelerate", "huggingface_hub"}
MOST_MODULES, MOST_LINES = 12, 400
TABLES = {"esarm_env/corpus/synthetic/rules"}  # data, counted apart
LONGEST_CHAIN = 11


@dataclass
class Imports:
    """Dotted names that a module imports, `package.name` for each name of a `from` import."""

    at_import: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)  # in functions, or for annotations alone

    @property
    def all(self) -> set[str]:
        return self.at_import | self.later

    def read(self, nodes: Iterable[ast.AST], *, later: bool = False) -> Imports:
        """Add what stands in `nodes` and below them."""
        for node in nodes:
            names = self.later if later else self.at_import
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "imports are absolute, so that they can be read"
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                self.read(node.body, later=True)
                self.read(node.orelse, later=later)
            else:
                function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                self.read(ast.iter_child_nodes(node), later=later or function)
        return self


def imports_of(source: str) -> Imports:
    """Return what `source` imports."""
    return Imports().read(ast.parse(source).body)


@functools.cache
def imports_in(path: Path) -> Imports:
    """Return what the module at `path` imports; every file is read once."""
    return imports_of(path.read_text())


def room_of(name: str) -> str | None:
    """Return the room of `ALLOWED` that the dotted `name` lies in; None if it is none of ours."""
    return next((room for room in ALLOWED if f"{name}.".startswith(f"{room}.")), None)


@functools.cache
def sources() -> list[Path]:
    return [path for package in sorted(OURS) for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    """Return the dotted name of the module at `path`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def libraries(names: Iterable[str]) -> set[str]:
    """Return the top-level names of `names` that are neither ours nor Python's own."""
    return {name.split(".")[0] for name in names} - OURS - sys.stdlib_module_names


each_source = pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))


@each_source
def test_packages_import_only_what_stands_below_them(path: Path) -> None:
    """One import upwards, and an algorithm can no longer be swapped without the environment."""
    room = room_of(name_of(path))
    assert room is not None, path
    found = {room_of(name) for name in imports_in(path).all} - {None}
    assert found <= ALLOWED[room], f"{room} must not import {found - ALLOWED[room]}"


def test_the_ground_floor_needs_arrays_and_a_weights_format_alone() -> None:
    """`agents` stands on it: what it needs, every user of one algorithm must install and load."""
    for path in sorted((ROOT / "esarm_env" / "core").rglob("*.py")):
        imports = imports_in(path)
        assert libraries(imports.at_import) <= CORE_LIBRARIES, path
        assert libraries(imports.later) <= CORE_LIBRARIES | CORE_LATER, path


def test_the_reader_of_imports_sees_them_all() -> None:
    """A reader that misses imports would pass whatever is written."""
    source = """
import os, reward.ranking.network
from esarm_env.task.animation_task import AnimationTask
if TYPE_CHECKING:
    from esarm_env.core import types
else:
    import agents
class A:
    from train import cli
def later():
    import train.run.loop
    class B:
        import train
"""
    imports = imports_of(source)
    task = "esarm_env.task.animation_task.AnimationTask"
    assert imports.at_import == {"os", "reward.ranking.network", task, "agents", "train.cli"}
    assert imports.later == {"esarm_env.core.types", "train.run.loop", "train"}
    rooms = [room_of(name) for name in ("esarm_env.core.types", "esarm_env.corpus", "numpy")]
    assert rooms == ["esarm_env.core", "esarm_env", None]
    assert libraries(imports.all | {"torch.nn"}) == {"torch"}
    assert len(sources()) > 50, "the packages must be found"


FRONT_DOORS = [path for path in sources() if path.name == "__init__.py"]
# Where a package names what it loads when it is first used.
STUBS = [path.with_suffix(".pyi") for path in FRONT_DOORS if path.with_suffix(".pyi").is_file()]


def names_in_stub(path: Path) -> set[str]:
    """Return the dotted names that a stub takes from the modules of its package."""
    package, tree = name_of(path), ast.parse(path.read_text())
    parts = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {f"{package}.{node.module}.{alias.name}" for node in parts for alias in node.names}


def test_names_of_stubs_exist() -> None:
    """A name that is gone fails where it is first used, in somebody's training."""
    assert len(STUBS) == 6
    for stub in STUBS:
        package = importlib.import_module(name_of(stub))
        assert package.__all__ == sorted(t.rpartition(".")[2] for t in names_in_stub(stub))
        for name in package.__all__:
            assert not inspect.ismodule(getattr(package, name)), f"{stub}: {name}"


# Modules by dotted name, and what each takes names from while it is imported.
Graph = dict[str, set[str]]


@functools.cache
def graph() -> Graph:
    """Return the imports among our modules; a name that an `__init__` re-exports leads home."""
    imports = {name_of(path): imports_in(path) for path in sources()}
    homes = {
        f"{package}.{target.rpartition('.')[2]}": target
        for package, named in (
            *((name_of(path), imports[name_of(path)].all) for path in FRONT_DOORS),
            *((name_of(path), names_in_stub(path)) for path in STUBS),
        )
        for target in named
    }
    modules = set(imports)
    return {
        name: {home(target, modules, homes) for target in found.at_import} - {None, name}
        for name, found in imports.items()
    }


def home(target: str, modules: set[str], homes: dict[str, str]) -> str | None:
    """Return the module that defines the dotted name `target`; None if it is none of ours."""
    if target in modules:
        return target
    if target in homes and homes[target] != target:
        return home(homes[target], modules, homes)
    package = target.rpartition(".")[0]
    return home(package, modules, homes) if package else None


def longest_chain(edges: Graph) -> list[str]:
    """Return the modules of the longest chain of imports; an `__init__` counts nothing.

    Raises:
        AssertionError: If imports go in a circle.
    """
    chains: dict[str, list[str]] = {}

    def chain(name: str, above: tuple[str, ...] = ()) -> list[str]:
        assert name not in above, f"imports go in a circle: {above[above.index(name) :]}"
        if name not in chains:
            below = [chain(target, (*above, name)) for target in sorted(edges[name])]
            longest = max(below, key=len, default=[])
            is_package = (ROOT / name.replace(".", "/")).is_dir()
            chains[name] = longest if is_package else [name, *longest]
        return chains[name]

    return max((chain(name) for name in edges), key=len)


def test_imports_form_no_circle_and_no_long_chain() -> None:
    """A circle breaks by the order of imports; down a long chain nobody reads to the ground."""
    chain = longest_chain(graph())
    assert len(chain) <= LONGEST_CHAIN, f"{len(chain)} modules: {' <- '.join(reversed(chain))}"


def test_the_measure_of_chains_sees_circles_and_length() -> None:
    """A measure that stops early would hold whatever is written."""
    assert longest_chain({"a": {"b", "c"}, "b": set(), "c": {"b"}}) == ["a", "c", "b"]
    with pytest.raises(AssertionError, match="imports go in a circle"):
        longest_chain({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    homes = {"p.x": "p.inner.x", "p.inner.x": "p.inner.deep.x", "p.numpy": "numpy"}
    modules = {"p", "p.inner", "p.inner.deep"}
    found = [home(name, modules, homes) for name in ("p.x", "p.inner", "p.own", "numpy.abs")]
    assert found == ["p.inner.deep", "p.inner", "p", None]


def folders() -> Iterator[Path]:
    yield from sorted({path.parent for path in sources()})


def test_no_folder_holds_more_than_a_dozen_modules() -> None:
    """A longer list is searched and not read."""
    for folder in folders():
        count = len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
        name = folder.relative_to(ROOT).as_posix()
        assert count <= MOST_MODULES or name in TABLES, f"{count} modules in {name}"


@each_source
def test_no_file_is_longer_than_a_sitting(path: Path) -> None:
    """Beyond this, a file holds two thoughts."""
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{lines} lines"


@pytest.mark.parametrize(
    "module",
    [
        "esarm_env",
        "train.run.config",
        "train.run.run_folder",
        "train.run.named_policies",
        "train.experiments.folders",
    ],
)
def test_what_every_command_begins_with_loads_nothing_heavy(module: str) -> None:
    """Seconds of torch before `--help` prints a line, or a mistyped setting is told."""
    heavy = {"torch", "librosa", "transformers", "scipy", "numba", "stable_baselines3", "soundfile"}
    heavy |= {"ray", "accelerate", "huggingface_hub", "httpx2"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"importing {module} loaded {done.stdout}"


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


def test_every_package_says_what_its_modules_are() -> None:
    """A folder whose page leaves a module out is searched file by file."""
    for package in OURS - {CORE}:
        for init in sorted((ROOT / package).rglob("__init__.py")):
            modules = [path.stem for path in init.parent.glob("[!_]*.py")]
            if init.parent.parent == ROOT or len(modules) < 2:
                continue  # front doors list public names
            doc = ast.get_docstring(ast.parse(init.read_text())) or ""
            missing = [name for name in modules if f"`{name}`" not in doc]
            assert not missing, f"{init} must name its modules, {missing} are left out"
