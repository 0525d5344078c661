"""`esarm_env.wrappers`: what it exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from esarm_env import wrappers
from esarm_env.wrappers import record_video, vector


def test_public_names_exist() -> None:
    """`RecordVideo` is loaded on demand: nothing but its first use would show that it is gone."""
    assert all(hasattr(wrappers, name) for name in wrappers.__all__)
    assert wrappers.RecordVideo is record_video.RecordVideo
    assert set(vector.__all__) <= set(wrappers.__all__), "twins have one name"


def test_other_names_fail_as_in_any_module() -> None:
    """A loader on demand that answers to everything hides misspelled imports."""
    with pytest.raises(
        AttributeError, match=r"module 'esarm_env\.wrappers' has no attribute 'Flat'"
    ):
        wrappers.Flat  # type: ignore[attr-defined]  # noqa: B018


def test_importing_wrappers_loads_nothing_heavy() -> None:
    """They are imported to be listed and documented, too, without seconds of torch."""
    heavy = {"torch", "librosa", "scipy", "stable_baselines3", "soundfile", "moviepy"}
    names = "esarm_env.wrappers, esarm_env.wrappers.vector"
    code = f"import sys, {names}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"importing the wrappers loaded {done.stdout}"
