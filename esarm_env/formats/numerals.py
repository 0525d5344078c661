"""Numbers as spreadsheets write them: decimal comma, thousands, spaces, and words for nothing.

The decimal sign belongs to the table, not to the cell: `1,234` is one number in Berlin and another
in Boston, so all cells of a table are read by the sign that its clear ones tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from esarm_env.core.errors import InputError

# What programs write for a number that is not there.
_MISSING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "-", "--"})
_SPACES = " '\u2019\u00a0\u202f"  # between thousands in Swiss, French and SI tables
_NUMERAL = re.compile(rf"[-+\u2212]?[\d.,{_SPACES}]+(?:[eE][-+]?\d+)?")
# Either sign may part the thousands here; everywhere else it must be the decimal one.
_MAY_BE_THOUSANDS = re.compile(r"[-+\u2212]?[1-9]\d{0,2}[.,]\d{3}")
_PATTERNS = {
    sign: re.compile(
        rf"([-+\u2212]?)((?:[1-9]\d{{0,2}}(?:[{re.escape(thousands)}{_SPACES}]\d{{3}})+|\d*)"
        rf"(?:{re.escape(sign)}\d*)?(?:[eE][-+]?\d+)?)"
    )
    for sign, thousands in ((".", ","), (",", "."))
}


def decimal_sign(cells: Iterable[str], *, unclear: str) -> str:
    """Return the decimal sign, `.` or `,`, that the numbers among `cells` are written with.

    Args:
        cells: Of one table, words among them.
        unclear: The sign where no cell tells.

    Raises:
        InputError: If some tell one and some the other.
    """
    clear: dict[str, str] = {}
    for cell in map(str.strip, cells):
        if ("," in cell or "." in cell) and _NUMERAL.fullmatch(cell):
            sign = _sign_of(cell)
            if sign is not None:
                clear.setdefault(sign, cell)
    if len(clear) > 1:
        raise InputError(
            "numbers must have one decimal sign in all cells, "
            f"got {clear['.']!r} and {clear[',']!r}"
        )
    return next(iter(clear), unclear)


def _sign_of(cell: str) -> str | None:
    """Return the decimal sign of a numeral with a comma or a point; None if both are possible."""
    commas, points = cell.count(","), cell.count(".")
    if commas and points:
        return "," if cell.rindex(",") > cell.rindex(".") else "."
    if commas > 1 or points > 1:  # thousands
        return "." if commas else ","
    if _MAY_BE_THOUSANDS.fullmatch(cell):
        return None
    return "," if commas else "."


def number(cell: str, *, sign: str = ".") -> float:
    """Return the number in a cell; NaN for an empty one.

    Raises:
        ValueError: If it is no number by that decimal sign.
    """
    text = cell.strip()
    if text.lower() in _MISSING:
        return math.nan
    if sign == "." and "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass
    found = _PATTERNS[sign].fullmatch(text)
    if found is None:
        if text.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
            return float(text)
        raise ValueError(f"not a number: {text[:40]!r}")
    thousands = "," if sign == "." else "."
    digits = found[2].translate(dict.fromkeys(map(ord, thousands + _SPACES))).replace(sign, ".")
    return float(found[1].replace("\u2212", "-") + digits)
