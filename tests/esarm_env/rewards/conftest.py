"""Rewards of other packages, written to disk as pip would install them, and an empty registry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esarm_env.rewards import registry

MakePackage = Callable[..., None]


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registered: names are taken for the whole process."""
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Return a function that installs a package of one module: `make(name, source, **rewards)`.

    Each reward is `name="object of the module"`; `_` in a name stands for `-`.
    """
    made: list[str] = []

    def make(package: str, source: str, *, version: str = "1.2", **rewards: str) -> None:
        folder = tmp_path / package
        info = folder / f"{package}-{version}.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        lines = [
            f"{name.replace('_', '-')} = {package}:{target}" for name, target in rewards.items()
        ]
        (info / "entry_points.txt").write_text("[esarm.rewards]\n" + "\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(folder))
        made.append(package)

    yield make
    for package in made:
        sys.modules.pop(package, None)
