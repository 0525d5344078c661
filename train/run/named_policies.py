"""Policies of a run by name, looked for without torch: a mistyped name is told at once.

`train.animate.find_policy` loads what is found here.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CORPUS_FILE,
    TOKENIZER_FILE,
    is_finished,
    need_file,
    run_policies,
)
from esarm_env.core.shipped import MANIFEST_FILE
from train.run.run_folder import RunFolder


def check_animates(run_path: Path) -> None:
    """Check that a run is finished as far as animation needs it.

    Raises:
        InputError: If a stage is missing. Training it is one remedy; what ships with the package is
            the other.
    """
    try:
        for name in (CORPUS_FILE, TOKENIZER_FILE):
            need_file(run_path, name)
        _policies(run_path)
    except InputError as error:
        remedy = "or leave out `--run`: the policy that ships with the package animates"
        raise InputError(f"{error}; {remedy}") from error


def named_policy(run_path: Path, policy: str) -> tuple[str, Path | None]:
    """Return the name of a policy, and its weights in the run; `auto` is the best on validation.

    Args:
        run_path: A run folder, finished at least up to `clone`.
        policy: Of the run, of its experiments or its speech; or the path of a policy file, which
            comes back as the name, without weights in the run.

    Raises:
        InputError: If there is none of that name.
    """
    found = _policies(run_path)
    name = _best_policy(run_path) if policy == "auto" else policy
    if name in found:
        return name, found[name]
    path = Path(name)
    if path.exists() or path.name != name or path.suffix:
        return name, None
    near = difflib.get_close_matches(name, found, n=1)
    remedy = f"did you mean {near[0]}?" if near else _more_policies(run_path)
    names = ", ".join(sorted(found, key="clone".__eq__))  # last
    raise InputError(f"`policy` must be one of {names}, got {policy!r}; {remedy}")


def _policies(run_path: Path) -> dict[str, Path]:
    """Return the weights of all policies of a run by name; an export may have no clone."""
    return run_policies(run_path) or {"clone": need_file(run_path, CLONE_FILE)}


def _best_policy(run_path: Path) -> str:
    """Return the policy that had the least true error on validation; the clone before that."""
    if not is_finished(run_path, "improve"):
        return "clone"
    best = RunFolder.open(run_path).summary("improve").get("best_on_validation")
    name = best.get("policy") if isinstance(best, dict) else None
    if not isinstance(name, str):
        raise InputError(
            f"{run_path}: the summary of `improve` must name the best policy, got {best!r:.40}; "
            "say which with --policy"
        )
    return name


def _more_policies(run_path: Path) -> str:
    """Return where policies come from that a run does not have."""
    if (run_path / MANIFEST_FILE).is_file():
        return "what ships with the package has no others, a finished run (--run RUN) may"
    return "stage `improve` trains what its setting `improve.algorithms` names"
