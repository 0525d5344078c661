"""`esarm figure5`: methods by time as strips, curves by emotion, and the same as a web page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.metrics.mouth import mouth_opening
from train.figure5.emotion_curves import emotion_contrast
from train.figure5.error_colours import (
    colour_bar,
    error_colours,
    errors_mm,
    scale_of,
)
from train.figure5.methods import RECORDING, method_label
from train.figure5.moments import COLUMNS, choose_moments
from train.figure5.quantities import quantities_of
from train.figure5.strip import SMALL, draw_strips, face_renderer, save_picture
from train.figure5.web.page import page_data, picture_uri, write_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from esarm_env.face.head import Head
    from esarm_env.rendering.text import Picture
    from train.figure5.emotion_curves import Curves
    from train.figure5.methods import Row
    from train.figure5.moments import Moment
    from train.figure5.subject import Subject

STRIPS, ERRORS, EMOTIONS_PICTURE = "figure5.png", "figure5_errors.png", "figure5_emotions.png"
PAGE, FIGURES = "figure5.html", "figure5.json"
_PAGE_SCALE_MM = 10.0
CONTRAST = (
    "How far apart the emotions lie (standard deviation over emotions of the mean height), in "
    "parts of the recordings': 1 as there, 0 where all look alike."
)


@dataclass(frozen=True)
class Shown:
    """What the figure shows.

    Attributes:
        subject: The sentence.
        rows: Methods, the recording on top where there is one.
        errors: `lve` and `eve` in mm of each row; None where there is nothing to compare with.
        emotions: Collects the curves by emotion, which takes most of the time; None where there
            are none.
    """

    subject: Subject
    rows: Sequence[Row]
    errors: Sequence[dict[str, float] | None]
    emotions: Callable[[], Curves] | None = None

    @property
    def beside(self) -> list[str]:
        """A line for each row: its errors, empty where there are none."""
        return ["" if errors is None else error_line(errors) for errors in self.errors]


def error_line(errors: Mapping[str, float]) -> str:
    """Return errors in mm as a line; one that was never captured is left out."""
    parts = [f"{name.upper()} {value:.2f}" for name, value in errors.items() if value == value]
    return ", ".join(parts) + " mm" if parts else ""


def draw_figure(
    shown: Shown,
    out: Path,
    *,
    head: Head,
    columns: int = COLUMNS,
    error_map: bool = False,
    written: Callable[[Path], object] = lambda path: None,
) -> dict[str, Any]:
    """Write all files of the figure; return what was written, as `figure5.json` has it.

    Each is written as soon as it is ready, so that whoever interrupts keeps what was finished:
    strips, error map, curves by emotion (collected only now), page, and `figure5.json`.

    Args:
        shown: What the figure shows.
        out: Folder.
        head: Drawn.
        columns: Frames of the strips.
        error_map: Whether to write strips of the error in mm, too.
        written: Told of each file when it is there.

    Raises:
        InputError: If a file cannot be written, `columns` is below 2, or an error map is asked for
            where there is no recording.
        MissingExtraError: If Pillow is not installed.
    """
    subject, rows = shown.subject, shown.rows
    truth = next((row for row in rows if row.name == RECORDING), None)
    if error_map and truth is None:
        raise InputError(
            "`error_map` must be left out where the recording is no row: there is no error to show"
        )
    moments = moments_of(shown, head=head, columns=columns)
    files = {"strips": STRIPS}
    title = "What each method makes of one sentence"
    draw_strip(shown, moments, out / STRIPS, head=head, title=title)
    written(out / STRIPS)
    if error_map and truth is not None:
        save_picture(_error_strips(shown, truth, moments, head=head), out / ERRORS)
        files["errors"] = ERRORS
        written(out / ERRORS)
    notes: list[str] = []
    curves = None if shown.emotions is None else shown.emotions()
    contrast = {} if curves is None else emotion_contrast(curves, truth=method_label(RECORDING))
    emotions = None if curves is None else _emotions(curves, contrast, out, notes)
    if emotions is not None:
        files["emotions"] = EMOTIONS_PICTURE
        written(out / EMOTIONS_PICTURE)
    quantities = [q for q in quantities_of(head).values() if q.measured(subject.captured)]
    data = page_data(
        subject,
        rows,
        head=head,
        quantities=quantities,
        beside=shown.beside,
        title=f"Figure 5: {subject.name}",
        scale_mm=_PAGE_SCALE_MM,
        emotions=emotions,
    )
    write_page(data, out / PAGE)
    written(out / PAGE)
    files |= {"page": PAGE, "figures": FIGURES}
    figures = _figures(shown, moments, contrast, files, notes)
    write_text(out / FIGURES, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    written(out / FIGURES)
    return figures


def moments_of(shown: Shown, *, head: Head, columns: int = COLUMNS) -> list[Moment]:
    """Return the frames of the strips, the same for every row.

    Raises:
        InputError: If `columns` is below 2.
    """
    subject, opening = shown.subject, None
    truth = next((row for row in shown.rows if row.name == RECORDING), None)
    if truth is not None:
        opening = mouth_opening(truth.motion, head=head, captured=subject.captured)
    return choose_moments(
        subject.n_frames, opening_mm=opening, phones=subject.phones, columns=columns
    )


def draw_strip(
    shown: Shown, moments: Sequence[Moment], target: Path, *, head: Head, title: str
) -> None:
    """Write the strips of all rows as PNG.

    Raises:
        InputError: If the file cannot be written.
        MissingExtraError: If Pillow is not installed.
    """
    rows, renderer = shown.rows, face_renderer(head)
    frames = _frames(rows, moments, lambda row, frame: renderer.frame(row.motion[frame]))
    picture = draw_strips(
        shown.subject, rows, moments, frames=frames, beside=shown.beside, title=title
    )
    save_picture(picture, target)


def _frames(
    rows: Sequence[Row], moments: Sequence[Moment], draw: Callable[[Row, int], Picture]
) -> dict[tuple[int, int], Picture]:
    """Return the picture of each row and column."""
    return {
        (number, column): draw(row, moment.frame)
        for number, row in enumerate(rows)
        for column, moment in enumerate(moments)
    }


def _error_strips(shown: Shown, truth: Row, moments: Sequence[Moment], *, head: Head) -> Picture:
    """Return strips of the heads in the colours of their errors, with a bar; not of the truth."""
    rows = [row for row in shown.rows if row is not truth]
    said = [line for row, line in zip(shown.rows, shown.beside, strict=True) if row is not truth]
    errors = {
        (number, moment.frame): errors_mm(
            head, row.motion[moment.frame], truth.motion[moment.frame]
        )
        for number, row in enumerate(rows)
        for moment in moments
    }
    scale = scale_of(np.stack(list(errors.values())) if errors else np.zeros(0))
    renderer = face_renderer(head)
    number_of = {id(row): number for number, row in enumerate(rows)}

    def draw(row: Row, frame: int) -> Picture:
        colours = error_colours(errors[number_of[id(row)], frame], scale_mm=scale)
        return renderer.frame(row.motion[frame], paint=colours)

    return draw_strips(
        shown.subject,
        rows,
        moments,
        frames=_frames(rows, moments, draw),
        beside=said,
        title=f"Error against the recording in mm, up to {scale:g} mm",
        legend=colour_bar(scale_mm=scale, size=SMALL),
    )


def _emotions(
    curves: Curves, contrast: Mapping[str, Mapping[str, float]], out: Path, notes: list[str]
) -> dict[str, Any] | None:
    """Draw the curves by emotion; return picture and text for the page, None if undrawn."""
    try:
        from train.figure5.emotion_picture import draw_emotion_curves
    except MissingExtraError as error:
        notes.append(f"no picture of the curves by emotion: {error}")
        return None
    labels = list(dict.fromkeys(label for rows in curves.values() for label in rows))
    draw_emotion_curves(
        curves,
        out / EMOTIONS_PICTURE,
        truth=method_label(RECORDING),
        labels=labels,
        title="Height over rest, mean and spread over test utterances; time from start to end",
    )
    return {
        "picture": picture_uri(out / EMOTIONS_PICTURE),
        "text": CONTRAST,
        "table": contrast_table(contrast),
    }


def contrast_table(contrast: Mapping[str, Mapping[str, float | None]]) -> list[list[str]]:
    """Return how far apart emotions lie: a header, and a line for each method; None is unknown."""
    labels = dict.fromkeys(label for by_label in contrast.values() for label in by_label)
    lines = [
        [label, *(_ratio_text(by_label[label]) for by_label in contrast.values())]
        for label in labels
    ]
    return [["", *contrast], *lines]


def _ratio_text(ratio: float | None) -> str:
    return "nan" if ratio is None else f"{ratio:.2f}"


def _figures(
    shown: Shown,
    moments: Sequence[Moment],
    contrast: Mapping[str, Mapping[str, float]],
    files: Mapping[str, str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return what `figure5.json` holds."""
    subject = shown.subject
    finite = {
        name: {label: None if ratio != ratio else ratio for label, ratio in by_label.items()}
        for name, by_label in contrast.items()
    }
    return {
        "subject": subject.name,
        "condition": subject.condition,
        "text": subject.text,
        "frames": [{"frame": moment.frame, "why": moment.why} for moment in moments],
        "rows": [
            {
                "method": row.name,
                "label": row.label,
                "errors_mm": {
                    name: None if value != value else value
                    for name, value in (errors or {}).items()
                },
            }
            for row, errors in zip(shown.rows, shown.errors, strict=True)
        ],
        "emotion_contrast": finite,
        "files": dict(files),
        "notes": [*subject.notes, *notes],
    }
