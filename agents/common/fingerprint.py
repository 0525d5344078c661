"""Which task an agent was trained on: its tokens mean nothing with another tokenizer.

A task tells by an attribute `fingerprint`, a digest by part (`tokenizer`, `corpus`). Tasks without
it are taken as they are.
"""

from __future__ import annotations

from typing import Any

Fingerprint = dict[str, str]


def fingerprint_of(task: Any) -> Fingerprint | None:
    """Return a copy of the fingerprint of `task`, None if it has none."""
    found = getattr(task, "fingerprint", None)
    return None if found is None else dict(found)


def check_fingerprint(found: Fingerprint | None, *, trained: Fingerprint | None) -> None:
    """Check that a task is the one that an agent was trained on, as far as both can tell.

    Args:
        found: Of the task.
        trained: Of the agent.

    Raises:
        ValueError: If a part differs.
    """
    ours, theirs = trained or {}, found or {}
    others = [part for part in sorted(ours.keys() & theirs.keys()) if ours[part] != theirs[part]]
    if others:
        details = ", ".join(f"{p} {theirs[p]:.12} instead of {ours[p]:.12}" for p in others)
        raise ValueError(
            f"`env` must have the {' and the '.join(others)} that the agent was trained with, got "
            f"{details}; to go on with it all the same, pass "
            "`custom_objects={'task_fingerprint': None}` to `load`, or set `task_fingerprint` to "
            "None before `set_env`"
        )
