"""Training loop of a stage: progress bar, metrics on disk, checkpoints, resuming.

A checkpoint is `MAGIC`, the SHA-256 of the rest, and what `torch.save` writes: torch checks no sum,
and weights with a changed byte would be trained on. It notes what was trained, and from what.
"""

from __future__ import annotations

import csv
import hashlib
import io
import time
from pathlib import Path
from typing import Any

import torch

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError, one_line
from esarm_env.core.progress import Progress, open_progress
from esarm_env.core.run_layout import CHECKPOINT_FILE, METRICS_FILE, ORIGIN_FILE
from train.distributed.lockstep import Build, Trainer, advancing
from train.run.loggers import training_logger

CHECKPOINT_EVERY_S = 20.0
ROWS_EVERY_S = 2.0  # so that whoever watches sees them; rows of shorter trainings come at the end
MAGIC = b"esarm checkpoint 1\n"
_N_DIGEST = hashlib.sha256().digest_size


def drive(
    trainer: Trainer,
    folder: Path,
    *,
    title: str,
    shown: str,
    keep_checkpoint: bool = False,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    elsewhere: Build | None = None,
) -> list[dict[str, float]]:
    """Advance `trainer` to its end and return all rows, those before an interruption included.

    Args:
        trainer: Fresh; it is wound forward if `folder` holds a checkpoint.
        folder: Gets `metrics.csv`, which grows as training goes on, what the logger writes (see
            `train.run.loggers`), and the checkpoint. That goes when training ends, unless it is
            kept.
        title: Text of the progress bar.
        shown: Name of the figure beside it.
        keep_checkpoint: Whether the caller removes it, when what was trained is safe on the disk.
        checkpoint_every_s: Seconds between two; 0 writes one after every unit, so that a kill costs
            the unit that is under way and no other.
        elsewhere: Builds the same trainer in the other processes of a `torchrun`, which then share
            the work, see `train.distributed.lockstep`. None trains in this process alone.

    Raises:
        InputError: If the checkpoint is damaged or of something else, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CHECKPOINT_FILE
    mark = _mark_of(folder, title)
    rows = _resume(trainer, path, mark) if path.is_file() else []
    saved_at, logger = time.monotonic(), training_logger()
    written_at = saved_at
    try:
        with open_progress(with_note=True) as bar, advancing(trainer, elsewhere) as advance:
            task = bar.add_task(title, total=trainer.n_total, completed=trainer.n_done, note="")
            while trainer.n_done < trainer.n_total:
                rows.append({"step": trainer.n_done + 1, **advance()})
                logger.row(folder, rows[-1])
                note = f"{shown} {rows[-1][shown]:.3f}" if shown in rows[-1] else ""
                bar.update(task, total=trainer.n_total, completed=trainer.n_done, note=note)
                if time.monotonic() - written_at > ROWS_EVERY_S:
                    write_rows(rows, folder / METRICS_FILE)
                    written_at = time.monotonic()
                if time.monotonic() - saved_at >= checkpoint_every_s:
                    _save(trainer, rows, path, mark)
                    saved_at = time.monotonic()
    except KeyboardInterrupt:
        if rows and rows[-1]["step"] == trainer.n_done:  # not in the middle of a unit
            _save(trainer, rows, path, mark)
        raise
    write_rows(rows, folder / METRICS_FILE)
    logger.end(folder, rows)
    if not keep_checkpoint:
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


def _save(trainer: Trainer, rows: list[dict[str, float]], path: Path, mark: str) -> None:
    save_checkpoint(trainer.state_dict(), rows, path, mark=mark)


def save_checkpoint(
    state: dict[str, Any], rows: list[dict[str, float]], path: Path, *, mark: str = ""
) -> None:
    """Write the state of a trainer and its rows, in one step.

    Raises:
        InputError: If the disk is full, or `path` cannot be written.
    """
    # By way of memory: written by torch, a full disk is a `RuntimeError` about a zip file.
    buffer = io.BytesIO()
    torch.save({"trainer": state, "rows": rows, "mark": mark}, buffer)
    content = buffer.getbuffer()
    with new_file(path) as draft, draft.open("wb") as file:
        file.writelines((MAGIC, hashlib.sha256(content).digest(), content))


def _mark_of(folder: Path, title: str) -> str:
    """Return what tells the training in `folder` from all others: its title and its origin."""
    digest = hashlib.sha256(title.encode())
    for place in (folder, folder.parent):
        if (place / ORIGIN_FILE).is_file():
            digest.update((place / ORIGIN_FILE).read_bytes())
            break
    return digest.hexdigest()


def _resume(trainer: Trainer, path: Path, mark: str = "") -> list[dict[str, float]]:
    try:
        state = torch.load(io.BytesIO(_content_of(path)), weights_only=True)
        if state["mark"] != mark:
            raise ValueError("one of other settings, data or algorithm")
        rows = _checked_rows(state["rows"])
        trainer.load_state_dict(state["trainer"])
    # What a file of something else does to a trainer cannot be listed: any error is the file's.
    except Exception as error:
        raise InputError(
            f"{path}: must be a whole checkpoint of this training, got {one_line(error)[:200]}; "
            "delete it to start the stage anew"
        ) from error
    return rows


def _content_of(path: Path) -> bytes:
    """Return what `torch.save` wrote.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is none of ours, cut, or altered.
    """
    written = path.read_bytes()
    if not written.startswith(MAGIC):
        raise ValueError("a file of something else, or of an older version")
    digest, content = written[len(MAGIC) :][:_N_DIGEST], written[len(MAGIC) + _N_DIGEST :]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("one that is cut or altered")
    return content


def _checked_rows(rows: Any) -> list[dict[str, float]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"rows {rows!r:.40}")
    return rows
