"""Caption layout: utterance, condition, text, progress and scores around the head.

Above the head stand the utterance and the condition, below it the text, the step, the time and a
bar that fills up. At the end a panel with the scores and errors lies over the neck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import N_INTENSITIES
from esarm_env.rendering import text

if TYPE_CHECKING:
    from esarm_env.rendering.text import Colour, Picture

BACKGROUND: Colour = (226, 229, 234)
_INK: Colour = (38, 44, 54)
_FAINT: Colour = (96, 104, 117)
_ACCENT: Colour = (46, 104, 176)
_TRACK: Colour = (205, 210, 218)
_CARD: Colour = (250, 251, 252)

# In pixels of a picture of 480 by 480; smaller pictures have smaller letters, down to the least.
_NORMAL_SIDE = 480
_LEAST_FONT = 9
_TITLE, _SPOKEN, _SMALL, _VALUE = 17, 17, 14, 19
_MARGIN, _BAR, _GAP = 14, 5, 6
_SPOKEN_LINES = 2
_CONDITION_SHARE = 0.56  # of the title, at most
_CARDS_PER_ROW, _CARD_ROWS = 4, 2
_CARD_COVERS = 0.92


@dataclass(frozen=True)
class Caption:
    """Content of a caption: labels, progress and results of an episode at one step.

    Attributes:
        utterance_id: Of the corpus.
        text: What is said, or None where the corpus does not tell.
        emotion: Asked for; may differ from the recording's.
        intensity: 1 to 3.
        speaker: None for the average speaker.
        step: Tokens so far.
        n_steps: Tokens of the whole episode.
        time_s: Of the frame that is seen.
        duration_s: Of the utterance.
        scores: Name and score of each reward term, once known.
        metrics: Name, value and unit of each metric, once known.
    """

    utterance_id: str
    text: str | None
    emotion: str
    intensity: int
    speaker: str | None
    step: int
    n_steps: int
    time_s: float
    duration_s: float
    scores: tuple[tuple[str, float], ...] = ()
    metrics: tuple[tuple[str, float, str], ...] = ()

    @property
    def condition(self) -> str:
        """Emotion, intensity and speaker as one line."""
        speaker = text.legible(self.speaker) if self.speaker else "average speaker"
        return f"{self.emotion} {self.intensity}/{N_INTENSITIES} \u00b7 {speaker}"

    @property
    def cards(self) -> list[tuple[str, str]]:
        """Label and value of each result; those that find no room are counted on one card."""
        metrics = [
            (text.legible(name.upper()), f"{value:.2f} {unit}".strip())
            for name, value, unit in self.metrics
        ]
        metrics = _fitting(metrics, _CARDS_PER_ROW, called="metrics")
        scores = [(text.legible(name), f"{value:.4g}") for name, value in self.scores]
        room = _CARDS_PER_ROW * _CARD_ROWS - len(metrics)
        return _fitting(scores, room, called="terms") + metrics


def _fitting(cards: list[tuple[str, str]], room: int, *, called: str) -> list[tuple[str, str]]:
    """Return at most `room` cards, the last of which counts those left out."""
    hidden = len(cards) - room + 1
    return cards if hidden < 2 else [*cards[: room - 1], (called, f"+{hidden} more")]


class CaptionWriter:
    """Draws captions into pictures of one size."""

    def __init__(self, *, height: int, width: int) -> None:
        """Lay out the caption for pictures of `height` by `width` pixels."""
        self._height, self._width = height, width
        self._unit = min(height, width) / _NORMAL_SIDE
        small, spoken = (text.line_height(self._font(size)) for size in (_SMALL, _SPOKEN))
        self._margin, self._gap = self._scaled(_MARGIN), self._scaled(_GAP)
        self._bar_top = height - self._scaled(_BAR)
        self._status_top = self._bar_top - self._gap - small
        self._spoken_top = self._status_top - self._gap - _SPOKEN_LINES * spoken
        self.top = self._margin + text.line_height(self._font(_TITLE))
        self.bottom = self._spoken_top - self._gap

    def draw(self, picture: Picture, caption: Caption) -> None:
        """Draw `caption` into `picture` (height, width, 3), in place.

        Rows `top` to `bottom` stay free for the head, but for the results at the end.
        """
        self._draw_title(picture, caption)
        self._draw_spoken(picture, caption)
        self._draw_status(picture, caption)
        self._draw_cards(picture, caption.cards)

    def _scaled(self, pixels: int) -> int:
        return max(1, round(pixels * self._unit))

    def _font(self, pixels: int) -> int:
        return max(_LEAST_FONT, self._scaled(pixels))

    @property
    def _inside(self) -> int:
        return self._width - 2 * self._margin

    def _draw_title(self, picture: Picture, caption: Caption) -> None:
        """Write the utterance on the left and the condition on the right."""
        size, widest = self._font(_TITLE), round(_CONDITION_SHARE * self._inside)
        condition = text.shortened(caption.condition, size=size, width=widest)
        left = self._inside - self._margin - text.width_of(condition, size)
        name = text.legible(caption.utterance_id)
        name = text.shortened(name, size=size, width=left, middle=True)
        right = self._width - self._margin
        y = self._margin
        text.draw(picture, name, x=self._margin, y=y, size=size, colour=_INK)
        text.draw(picture, condition, x=right, y=y, size=size, colour=_ACCENT, align="right")

    def _draw_spoken(self, picture: Picture, caption: Caption) -> None:
        size, middle = self._font(_SPOKEN), self._width // 2
        said = text.legible(caption.text or "")
        lines = text.wrapped(said, size=size, width=self._inside, n_lines=_SPOKEN_LINES)
        y = self._status_top - self._gap - len(lines) * text.line_height(size)
        for line in lines:
            text.draw(picture, line, x=middle, y=y, size=size, colour=_INK, align="centre")
            y += text.line_height(size)

    def _draw_status(self, picture: Picture, caption: Caption) -> None:
        size, y = self._font(_SMALL), self._status_top
        step = f"step {caption.step} of {caption.n_steps}"
        time = f"{caption.time_s:.2f} / {caption.duration_s:.2f} s"
        right = self._width - self._margin
        text.draw(picture, step, x=self._margin, y=y, size=size, colour=_FAINT)
        text.draw(picture, time, x=right, y=y, size=size, colour=_FAINT, align="right")
        done = round(self._width * caption.step / caption.n_steps)
        picture[self._bar_top :, :done] = _ACCENT
        picture[self._bar_top :, done:] = _TRACK

    def _draw_cards(self, picture: Picture, cards: list[tuple[str, str]]) -> None:
        """Draw a panel with one cell per result over the lowest part of the head's rows."""
        if not cards:
            return
        label, value, pad = self._font(_SMALL), self._font(_VALUE), self._gap
        per_row = min(len(cards), _CARDS_PER_ROW)
        n_rows = -(-len(cards) // per_row)
        height = text.line_height(label) + text.line_height(value) + pad
        top = self.bottom - n_rows * height
        cover = np.full((n_rows * height, self._inside), _CARD_COVERS, dtype=np.float32)
        text.blend(picture[top:, self._margin :], cover, _CARD)
        cell = self._inside // per_row
        for number, (name, shown) in enumerate(cards):
            row, column = divmod(number, per_row)
            x, y = self._margin + column * cell + cell // 2, top + row * height + pad // 2
            name = text.shortened(name, size=label, width=cell - pad)
            shown = text.shortened(shown, size=value, width=cell - pad)
            text.draw(picture, name, x=x, y=y, size=label, colour=_FAINT, align="centre")
            y += text.line_height(label)
            text.draw(picture, shown, x=x, y=y, size=value, colour=_INK, align="centre")
