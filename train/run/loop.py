"""Training loop of a stage: progress bar, metrics on disk, checkpoints, resuming."""

from __future__ import annotations

import csv
import pickle
import time
from pathlib import Path
from typing import Any, Protocol

import torch

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.progress import Progress, open_progress
from esarm_env.core.run_layout import CHECKPOINT_FILE, METRICS_FILE

CHECKPOINT_EVERY_S = 20.0


class Trainer(Protocol):
    """What the loop needs: `advance` does one unit of work and returns a row of figures."""

    @property
    def n_done(self) -> int:
        """Units done so far."""

    @property
    def n_total(self) -> int:
        """Units in all; may shrink (early stopping)."""

    def advance(self) -> dict[str, float]:
        """Do one unit."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that `load_state_dict` goes on from."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


def drive(trainer: Trainer, folder: Path, *, title: str, shown: str) -> list[dict[str, float]]:
    """Advance `trainer` to its end and return all rows, those before an interruption included.

    Args:
        trainer: Fresh; it is wound forward if `folder` holds a checkpoint.
        folder: Gets `metrics.csv`, TensorBoard events (if installed), and the checkpoint, which
            goes when training ends.
        title: Text of the progress bar.
        shown: Name of the figure beside it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CHECKPOINT_FILE
    rows = _resume(trainer, path) if path.is_file() else []
    saved_at = time.monotonic()
    try:
        with open_progress(with_note=True) as bar:
            task = bar.add_task(title, total=trainer.n_total, completed=trainer.n_done, note="")
            while trainer.n_done < trainer.n_total:
                rows.append({"step": trainer.n_done + 1, **trainer.advance()})
                note = f"{shown} {rows[-1][shown]:.3f}" if shown in rows[-1] else ""
                bar.update(task, total=trainer.n_total, completed=trainer.n_done, note=note)
                if time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
                    _save(trainer, rows, path)
                    saved_at = time.monotonic()
    except KeyboardInterrupt:
        if rows and rows[-1]["step"] == trainer.n_done:  # not in the middle of a unit
            _save(trainer, rows, path)
        raise
    write_rows(rows, folder / METRICS_FILE)
    _write_events(rows, folder)
    path.unlink(missing_ok=True)
    return rows


def write_rows(rows: list[dict[str, float]], path: Path) -> None:
    """Write `rows` as CSV; columns are the union of their keys."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with new_file(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def progress_track(title: str, total: int) -> Progress:
    """Return a started-by-`with` progress bar that holds one task called `title`."""
    bar = open_progress(with_note=True)
    bar.add_task(title, total=total, note="")
    return bar


def _save(trainer: Trainer, rows: list[dict[str, float]], path: Path) -> None:
    with new_file(path) as draft:
        torch.save({"trainer": trainer.state_dict(), "rows": rows}, draft)


def _resume(trainer: Trainer, path: Path) -> list[dict[str, float]]:
    try:
        state = torch.load(path, weights_only=True)
        trainer.load_state_dict(state["trainer"])
        rows: list[dict[str, float]] = state["rows"]
    except (OSError, RuntimeError, KeyError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: must be a whole checkpoint, got {reason}; delete it to start the stage anew"
        ) from error
    return rows


def _write_events(rows: list[dict[str, float]], folder: Path) -> None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # the extra `tensorboard` is not installed; metrics.csv has it all
        return
    with SummaryWriter(str(folder)) as writer:
        for row in rows:
            for name, value in row.items():
                if name != "step":
                    writer.add_scalar(name, value, int(row["step"]))
