"""Deprecated place of `open_task` and its like, which are in `esarm_env.task.opening` now."""

from __future__ import annotations

from esarm_env.core.deprecation import moved

_NAMES = (
    "open_task",
    "open_problem",
    "open_run_corpus",
    "assemble_task",
    "read_corpus_file",
    "training_speakers",
)

__getattr__ = moved(__name__, {name: f"esarm_env.task.opening:{name}" for name in _NAMES})
