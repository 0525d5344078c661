"""Terminals that lack letters: output is printed with near ones, `->` for an arrow, `+-` for ±.

Apart from the command line, as whoever prints a report in a script of their own may want it, too.
Files are not concerned: they are written in UTF-8.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import sys
import unicodedata

# Beside what Unicode itself calls compatible, such as 2 for a raised 2.
_NEAR = {
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MIDDLE DOT}": "*",
    "\N{DEGREE SIGN}": " deg",
    "\N{MICRO SIGN}": "u",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{BOX DRAWINGS LIGHT VERTICAL}": "|",
    **dict.fromkeys(map(chr, range(0x2503, 0x2580)), "+"),
    **dict.fromkeys("\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}", '"'),
    **dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'"),
}


def print_near_letters() -> None:
    """Let standard output and error write near letters for those that their encoding lacks."""
    codecs.register_error("esarm", _near_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            # A descriptor that was turned into a pipe under the stream has no place to go on from.
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="esarm")


def _near_letters(error: UnicodeError) -> tuple[str, int]:
    """Return what is printed for letters that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    parted = unicodedata.normalize("NFKD", "".join(_NEAR.get(each, each) for each in lacking))
    near = "".join(each for each in parted if not unicodedata.combining(each))
    return near.encode("ascii", "replace").decode("ascii"), error.end
