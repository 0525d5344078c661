"""Miniature trees: empty files are enough, layouts look at names only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.corpus.layouts import Found, find_takes

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Return what makes empty files below a folder called `corpus`, and returns that folder."""
    root = tmp_path / "corpus"
    root.mkdir()

    def make(*paths: str) -> Path:
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        return root

    return make


@pytest.fixture
def find(plant: Plant) -> Callable[..., Found]:
    """Return what plants files and finds the takes among them."""
    return lambda *paths, layout="auto": find_takes(plant(*paths), layout)
