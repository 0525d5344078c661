"""Text rasteriser: lines of text as masks, in the font that Pillow brings.

No font of the system is needed. That font has the letters of English. Others lose their accents,
and a text in another script is left out, since a row of empty boxes tells nobody anything.
"""

from __future__ import annotations

import bisect
import functools
import math
import unicodedata
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from PIL import ImageFont

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

ELLIPSIS = "\u2026"
_UNKNOWN = "?"
_NO_CHARACTER = "\uffff"  # Unicode promises never to give it a shape
_LONGEST = 400  # characters; no picture has room for more, and measuring them takes time
_LEAST_KNOWN = 0.5
# Letters that Unicode normalisation does not decompose.
_SPELLED = str.maketrans(
    {"\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-"}
    | {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
)


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font at `size` pixels.

    Raises:
        InputError: If Pillow was built without FreeType.
        MissingExtraError: If Pillow is not installed.
    """
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise MissingExtraError("pillow", extra="render", purpose="`render_mode`") from error
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise InputError(
            "Pillow must have FreeType to write captions, got a build without it; "
            "run `pip install --force-reinstall pillow`"
        )
    return loaded


@functools.cache
def _has(character: str) -> bool:
    """Return whether the font has a glyph for a character."""
    shapes = [bytes(font(16).getmask(one)) for one in (character, _NO_CHARACTER)]
    return character.isspace() or shapes[0] != shapes[1]


def legible(text: str) -> str:
    """Return `text` on one line, in characters that the font has.

    Accents are dropped and other unknown characters become question marks; where these would be
    more than half of a text, it is left out: the result is empty.
    """
    plain = " ".join(text[:_LONGEST].translate(_SPELLED).split())
    folded = [_folded(character) for character in plain]
    known = sum(one != _UNKNOWN or own == _UNKNOWN for one, own in zip(folded, plain, strict=True))
    return "".join(folded) if known > _LEAST_KNOWN * len(plain) else ""


def _folded(character: str) -> str:
    """Return a character, or what is left of it without marks, or a question mark."""
    if _has(character):
        return character
    parts = unicodedata.normalize("NFKD", character)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    if not plain and unicodedata.combining(character):
        return ""  # a mark written after its letter
    return plain if plain and all(map(_has, plain)) else _UNKNOWN


def width_of(text: str, size: int) -> int:
    """Return the width of a line in pixels."""
    return math.ceil(font(size).getlength(text))


def shortened(text: str, *, size: int, width: int, middle: bool = False) -> str:
    """Return `text`, or as much of it as fits into `width` pixels and an ellipsis.

    Args:
        text: One line.
        size: Of the font, in pixels.
        width: In pixels.
        middle: Whether to leave out the middle instead of the end: names often differ at the end.
    """
    if width_of(text, size) <= width:
        return text

    def kept(count: int) -> str:
        head = (count + 1) // 2 if middle else count
        return text[:head].rstrip() + ELLIPSIS + text[len(text) - (count - head) :].lstrip()

    def too_wide(count: int) -> bool:
        return width_of(kept(count), size) > width

    return kept(max(0, bisect.bisect_left(range(len(text)), True, key=too_wide) - 1))


def wrapped(text: str, *, size: int, width: int, n_lines: int) -> list[str]:
    """Return `text` broken at spaces into at most `n_lines` lines, the last one shortened."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < n_lines - 1:
        counts = range(1, len(words) + 1)
        fits = [width_of(" ".join(words[:count]), size) <= width for count in counts]
        count = max(1, sum(fits))
        lines.append(shortened(" ".join(words[:count]), size=size, width=width))
        words = words[count:]
    rest = shortened(" ".join(words), size=size, width=width)
    return [*lines, rest] if rest else lines


@functools.lru_cache(maxsize=512)
def mask(text: str, size: int) -> npt.NDArray[np.float32]:
    """Return the coverage mask of a line, shape (line height, width), 0..1, read-only."""
    from PIL import Image, ImageDraw

    area = (max(1, width_of(text, size)), line_height(size))
    image = Image.new("L", area)
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font(size))
    ink = np.asarray(image, dtype=np.float32) / 255.0
    ink.setflags(write=False)
    return ink


def line_height(size: int) -> int:
    """Return the height of a line's mask in pixels."""
    return sum(font(size).getmetrics())


def draw(
    picture: Picture,
    text: str,
    *,
    x: int,
    y: int,
    size: int,
    colour: Colour,
    align: Literal["left", "centre", "right"] = "left",
) -> None:
    """Draw one line into `picture` (H, W, 3), clipped at its borders.

    Args:
        picture: Changed in place.
        text: One line.
        x: Left border, middle or right border of the line, as `align` says.
        y: Top of the line.
        size: Of the font, in pixels.
        colour: Of the ink, sRGB in 0..255.
        align: What `x` means.
    """
    ink = mask(text, size)  # (h, w)
    left = x - {"left": 0, "centre": ink.shape[1] // 2, "right": ink.shape[1]}[align]
    ink = ink[: max(0, len(picture) - y), max(0, -left) : picture.shape[1] - left]
    blend(picture[y:, max(0, left) :], ink, colour)


def blend(picture: Picture, ink: npt.NDArray[np.float32], colour: Colour) -> None:
    """Alpha-blend `colour` into the top left corner of `picture` (H, W, 3) by mask `ink` (h, w).

    The picture is changed in place.
    """
    under = picture[: ink.shape[0], : ink.shape[1]]
    under[:] = np.rint(under + ink[..., None] * (np.array(colour, dtype=np.float32) - under))
