"""Strips: one picture of methods (rows) by time (columns), rendered on the head.

Letters are Pillow's own. Rows say the method and its error, columns the time, the phone that is
spoken there, and why the frame was chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.encoders.phone_classes import BILABIALS
from esarm_env.core.cache import new_file
from esarm_env.core.errors import MissingExtraError
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.face.render import Palette, Renderer, View
from esarm_env.rendering import text
from train.figure5.moments import EVEN, OPEN, SHUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from esarm_env.face.head import Head
    from esarm_env.rendering.text import Colour, Picture
    from train.figure5.methods import Row
    from train.figure5.moments import Moment
    from train.figure5.subject import Subject

CELL = (176, 150)  # height and width of a frame in pixels
LABEL_WIDTH = 196
GAP, MARGIN = 4, 16
TITLE, SMALL, LABEL = 20, 14, 15
_FOOT_LINES = 3  # which frames, phones, notes
# The face fills the cell: hair and neck move with nothing.
FACE = View(yaw_deg=12.0, zoom=1.72, shift=(0.01, -0.01))
_PAPER: Colour = (255, 255, 255)
_INK: Colour = (30, 36, 46)
_FAINT: Colour = (98, 106, 118)
_ACCENT: Colour = (176, 66, 30)
_BACKGROUND = Palette(background=(244, 245, 247))


def need_pillow() -> None:
    """Refuse to begin what cannot be drawn.

    Raises:
        MissingExtraError: If Pillow is not installed.
    """
    try:
        import PIL.Image  # noqa: F401 - whether it is there
    except ImportError as error:
        raise MissingExtraError("pillow", extra="render", purpose="`esarm figure5`") from error


def face_renderer(head: Head) -> Renderer:
    """Return the renderer of all frames of the figure."""
    return Renderer(head, size=CELL, view=FACE, palette=_BACKGROUND, samples=2)


def cell_origin(row: int, column: int, *, top: int) -> tuple[int, int]:
    """Return x and y of the top left corner of a frame."""
    return MARGIN + LABEL_WIDTH + column * (CELL[1] + GAP), top + row * (CELL[0] + GAP)


def strips_top(subject: Subject) -> int:
    """Return the y at which the frames begin, below title, text and times."""
    lines = [TITLE, SMALL, *([SMALL] if subject.text else [])]
    return MARGIN + sum(map(text.line_height, lines)) + GAP + 2 * text.line_height(SMALL) + 2 * GAP


def draw_strips(
    subject: Subject,
    rows: Sequence[Row],
    moments: Sequence[Moment],
    *,
    frames: Mapping[tuple[int, int], Picture],
    beside: Sequence[str],
    title: str,
    legend: Picture | None = None,
) -> Picture:
    """Return the picture, shape (H, W, 3), uint8.

    Args:
        subject: What is animated.
        rows: Top row first.
        moments: Columns.
        frames: Picture of `CELL` by row and column.
        beside: A line below the label of each row, such as its error.
        title: First line.
        legend: A picture below the frames, such as a colour bar.
    """
    top = strips_top(subject)
    width = MARGIN + LABEL_WIDTH + len(moments) * (CELL[1] + GAP) + MARGIN - GAP
    if legend is not None:  # wider than two columns
        width = max(width, legend.shape[1] + 2 * MARGIN)
    foot = _FOOT_LINES * text.line_height(SMALL) + (0 if legend is None else len(legend) + GAP)
    height = top + len(rows) * (CELL[0] + GAP) + foot + MARGIN
    picture = np.full((height, width, 3), _PAPER, dtype=np.uint8)
    _draw_head_lines(picture, subject, title)
    _draw_columns(picture, subject, moments, y=top - 2 * text.line_height(SMALL) - GAP)
    for number, (row, said) in enumerate(zip(rows, beside, strict=True)):
        _draw_label(picture, row.label, said, y=cell_origin(number, 0, top=top)[1])
        for column in range(len(moments)):
            x, y = cell_origin(number, column, top=top)
            picture[y : y + CELL[0], x : x + CELL[1]] = frames[number, column]
    _draw_foot(picture, subject, legend, moments, y=top + len(rows) * (CELL[0] + GAP))
    return picture


def _draw_head_lines(picture: Picture, subject: Subject, title: str) -> None:
    width, y = picture.shape[1] - 2 * MARGIN, MARGIN
    lines = [(title, TITLE, _INK)]
    if subject.text:
        lines.append((f"\u201c{subject.text}\u201d", SMALL, _INK))
    lines.append((f"{subject.name}: {subject.condition}", SMALL, _FAINT))
    for line, size, colour in lines:
        shown = text.shortened(text.legible(line), size=size, width=width)
        text.draw(picture, shown, x=MARGIN, y=y, size=size, colour=colour)
        y += text.line_height(size)


def _draw_columns(picture: Picture, subject: Subject, moments: Sequence[Moment], *, y: int) -> None:
    for column, moment in enumerate(moments):
        x = cell_origin(0, column, top=0)[0] + CELL[1] // 2
        time = f"{moment.frame / FRAME_RATE_HZ:.2f} s"
        text.draw(picture, time, x=x, y=y, size=SMALL, colour=_INK, align="centre")
        text.draw(
            picture,
            column_label(subject, moment),
            x=x,
            y=y + text.line_height(SMALL),
            size=SMALL,
            colour=_FAINT if moment.why == EVEN else _ACCENT,
            align="centre",
        )


def column_label(subject: Subject, moment: Moment) -> str:
    """Return phone and lips at a column; what was recorded of the lips outweighs what was heard.

    A phone that a recogniser heard there although the recorded lips contradict it (p, b or m with
    lips wide open, another with lips shut) is a slip of the recogniser, or of its times.
    """
    heard = subject.phone_at(moment.frame)
    if moment.why in (SHUT, OPEN) and (heard in BILABIALS) != (moment.why == SHUT):
        heard = ""
    phone = text.legible(spelled(heard))
    parts = [f"/{phone}/" if phone else "", "" if moment.why == EVEN else f"lips {moment.why}"]
    return ", ".join(part for part in parts if part)


def _draw_label(picture: Picture, label: str, said: str, *, y: int) -> None:
    lines = text.wrapped(text.legible(label), size=LABEL, width=LABEL_WIDTH - 2 * GAP, n_lines=3)
    y += (CELL[0] - (len(lines) + bool(said)) * text.line_height(LABEL)) // 2
    for line in lines:
        text.draw(picture, line, x=MARGIN, y=y, size=LABEL, colour=_INK)
        y += text.line_height(LABEL)
    if said:
        shown = text.shortened(text.legible(said), size=SMALL, width=LABEL_WIDTH - 2 * GAP)
        text.draw(picture, shown, x=MARGIN, y=y, size=SMALL, colour=_FAINT)


def _draw_foot(
    picture: Picture, subject: Subject, legend: Picture | None, moments: Sequence[Moment], *, y: int
) -> None:
    if legend is not None:
        picture[y : y + len(legend), MARGIN : MARGIN + legend.shape[1]] = legend
        y += len(legend) + GAP
    seen = "where the recorded lips shut and open widest"
    why = seen if subject.index is not None else "where lips should be shut by the phones"
    said = "frames: the same for every row, evenly spaced"
    if any(moment.why != EVEN for moment in moments):
        said += f", and {why}"
    for line in (said, subject.phones_note, "; ".join(subject.notes)):
        shown = text.shortened(text.legible(line), size=SMALL, width=picture.shape[1] - 2 * MARGIN)
        text.draw(picture, shown, x=MARGIN, y=y, size=SMALL, colour=_FAINT)
        y += text.line_height(SMALL)


_DIPHTHONGS = {
    "o\u028a": "oh", "e\u026a": "ay", "a\u026a": "eye", "a\u028a": "ow", "\u0254\u026a": "oy",
    "t\u0361\u0283": "ch", "d\u0361\u0292": "j",
}  # fmt: skip
# IPA that Pillow's own font lacks, as Americans spell it.
_SPELLED = {
    "\u0259": "uh", "\u025b": "eh", "\u026a": "ih", "\u028a": "oo", "\u028c": "uh", "\u0251": "ah",
    "\u0254": "aw", "\u00e6": "ae", "\u025a": "er", "\u025d": "er", "\u025c": "er", "\u0250": "ah",
    "\u0252": "o", "\u0283": "sh", "\u0292": "zh", "\u03b8": "th", "\u00f0": "dh", "\u014b": "ng",
    "\u0279": "r", "\u027e": "d", "\u0294": "", "\u026b": "l", "\u0261": "g", "\u02b0": "",
    "\u02d0": "", "\u0361": "", "\u0268": "ih", "\u02de": "r", "\u026f": "u",
}  # fmt: skip


def spelled(phone: str) -> str:
    """Return a phone in letters that every font has."""
    for diphthong, letters in _DIPHTHONGS.items():
        phone = phone.replace(diphthong, letters)
    return "".join(_SPELLED.get(letter, letter) for letter in phone)


def save_picture(picture: npt.NDArray[np.uint8], target: Path) -> None:
    """Write a picture (H, W, 3) as PNG.

    Raises:
        MissingExtraError: If Pillow is not installed.
        InputError: If it cannot be written.
    """
    need_pillow()
    from PIL import Image

    with new_file(target, keep_suffix=True) as draft:
        Image.fromarray(picture).save(draft)
