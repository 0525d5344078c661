"""Watch: the trainings of the run, as their `metrics.csv` tell of them, finished or at work."""

from __future__ import annotations

import csv
import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from esarm_env.core.run_layout import (
    METRICS_FILE,
    STAGES,
    SUMMARY_FILE,
    finished_name,
    is_finished,
    partial_folder,
)
from train.studio.asking import studio_of, whole_in

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_TRAININGS, MOST_ROWS = 200, 20_000
_DEEPEST = 5  # folders below the run: experiments/NAME/improve/ALGORITHM, or a round's or seed's


def tell(request: Request) -> Response:
    """Tell which stages are finished or at work, and which trainings there are."""
    run = studio_of(request).run
    if run is None:
        return JSONResponse({"run": None, "stages": [], "trainings": []})
    return JSONResponse(
        {
            "run": run.resolve().name,
            "stages": [{"name": stage, "state": _state(run, stage)} for stage in STAGES],
            "trainings": [_told(run, path) for path in trainings(run)],
        }
    )


def tell_rows(request: Request) -> Response:
    """Tell the rows of one training, `?name=...&from=` the number of the first."""
    run, query = studio_of(request).run, request.query_params
    begin = whole_in(query.get("from", "0"), "from", 0, 10**9)
    known = {} if run is None else {_name(run, path): path for path in trainings(run)}
    name = query.get("name", "")
    if run is None or name not in known:
        raise HTTPException(404, "there is no training of that name")
    columns, rows = read_rows(known[name])
    told = _told(run, known[name])
    return JSONResponse({**told, "columns": columns, "count": len(rows), "rows": rows[begin:]})


def trainings(run: Path) -> list[Path]:
    """Return the `metrics.csv` files below a run, those at work first, then the newest.

    Links are not followed: the run's folder alone is read.
    """
    found: list[tuple[bool, float, Path]] = []
    for place, folders, names in os.walk(run):
        depth = len(Path(place).relative_to(run).parts)
        folders[:] = [] if depth == _DEEPEST else sorted(folders)
        file = Path(place, METRICS_FILE)
        if METRICS_FILE in names and file.is_file() and not file.is_symlink():
            found.append((not _is_partial(run, file), -file.stat().st_mtime, file))
    return [path for _, _, path in sorted(found)[:MOST_TRAININGS]]


def read_rows(path: Path) -> tuple[list[str], list[list[float | None]]]:
    """Return columns and rows of a `metrics.csv`; what is no number, or cut short, is None."""
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            lines = csv.reader(file)
            columns = next(lines, [])
            rows = [
                [_number(cell) for cell in row] + [None] * (len(columns) - len(row))
                for row, _ in zip(lines, range(MOST_ROWS), strict=False)
            ]
    except (OSError, csv.Error):  # replaced or removed at this moment: the next look has it
        return [], []
    return columns, [row[: len(columns)] for row in rows]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _told(run: Path, path: Path) -> dict[str, Any]:
    age = time.time() - path.stat().st_mtime if path.exists() else 0.0
    return {
        "name": _name(run, path),
        "at_work": _is_partial(run, path),
        "changed_s": round(max(age, 0.0), 1),
        "alarms": _alarms(path),
    }


def _name(run: Path, path: Path) -> str:
    """Return how a training is called: its folder below the run, at work or finished."""
    return "/".join(finished_name(part) for part in path.parent.relative_to(run).parts) or "run"


def _is_partial(run: Path, path: Path) -> bool:
    return any(finished_name(part) != part for part in path.parent.relative_to(run).parts)


def _state(run: Path, stage: str) -> str:
    if is_finished(run, stage):
        return "finished"
    return "at work" if partial_folder(run, stage).is_dir() else "to come"


def _alarms(path: Path) -> list[str]:
    """Return what alarms of a finished improvement said; the summary has it by algorithm."""
    file, algorithm = path.parent.parent / SUMMARY_FILE, path.parent.name
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        alarms = summary[algorithm]["alarms"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return [str(each)[:500] for each in alarms] if isinstance(alarms, list) else []


ROUTES = [Route("/api/watch", tell), Route("/api/watch/rows", tell_rows)]
