"""Times as text: ISO 8601, `hh:mm:ss.mmm`, pandas' durations, and timecodes among them.

A clock without a date starts again at midnight; a date and time counts from 1970, in its time zone
where it says one.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.formats.timecodes import parse_timecodes

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

_DAY_S = 24 * 3600
_LONGEST = 64  # letters of a time
_ZONE = r"\s*(?:(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?"
_PARTS = r"(?P<m>\d{1,2}):(?P<s>\d{1,2})(?:[.,](?P<part>\d{1,12}))?"
_DATE = re.compile(
    r"(?P<date>\d{4}-?\d{2}-?\d{2}|\d{4}/\d{2}/\d{2})(?:\s*T\s*|\s+|_)"
    r"(?P<h>\d{2}):?(?P<m>\d{2}):?(?P<s>\d{2})(?:[.,](?P<part>\d{1,12}))?" + _ZONE,
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(r"(?P<sign>-?)(?:(?P<h>\d{1,3}):)?" + _PARTS + _ZONE, re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"(?P<sign>-?)(?P<days>\d{1,5}) days?,? (?P<h>\d{1,2}):" + _PARTS, re.ASCII)
_TIMECODE = re.compile(
    r"\d{1,2}:\d{1,2}:\d{1,2}(?::\d{1,3}(?:[.,:;]\d{1,12})?|;\d{1,3}(?:[.,]\d{1,12})?)", re.ASCII
)


def clock_seconds(texts: Sequence[str]) -> DoubleArray:
    """Return the times in texts in seconds, shape (T,); NaN for a text that is none.

    Args:
        texts: One per frame; timecodes if most of them are.

    Raises:
        InputError: If timecodes go back in time.
    """
    trimmed = [text.strip() if len(text) <= _LONGEST else "" for text in texts]
    coded = [place for place, text in enumerate(trimmed) if _TIMECODE.fullmatch(text)]
    if 2 * len(coded) > sum(map(bool, trimmed)):
        return _timecode_seconds(trimmed, coded)
    found = [_seconds(text) for text in trimmed]
    seconds = np.array([np.nan if each is None else each[0] for each in found])
    clocks = np.array([each is not None and not each[1] for each in found], dtype=np.bool_)
    steps = np.diff(seconds[clocks], prepend=seconds[clocks][:1])
    seconds[clocks] += _DAY_S * np.cumsum(steps < -_DAY_S / 2)  # midnight
    return seconds


def is_clock(text: str) -> bool:
    """Return whether a text is a time of day or a date and time, and no timecode."""
    text = text.strip()
    return len(text) <= _LONGEST and _seconds(text) is not None


def _seconds(text: str) -> tuple[float, bool] | None:
    """Return the seconds in a text, and whether it says the day; None if it is no time."""
    found = _CLOCK.fullmatch(text) or _DURATION.fullmatch(text) or _DATE.fullmatch(text)
    if found is None or int(found["m"]) > 59 or int(found["s"]) > 59:
        return None
    parts = found.groupdict()
    seconds = 3600 * int(parts["h"] or 0) + 60 * int(parts["m"]) + int(parts["s"])
    day = int(parts.get("days") or 0)
    if parts.get("date"):
        try:
            digits = re.sub(r"\D", "", parts["date"])
            date = datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            return None
        day = (date - datetime.date(1970, 1, 1)).days
    if parts.get("zone"):
        seconds -= _zone_s(parts["zone"])
    total = day * _DAY_S + seconds + int(parts["part"] or 0) / 10 ** len(parts["part"] or "")
    return -total if parts.get("sign") else total, found.re is not _CLOCK


def _zone_s(zone: str) -> int:
    """Return how many seconds a time zone is ahead."""
    digits = re.sub(r"\D", "", zone).ljust(4, "0")
    ahead = 3600 * int(digits[:2]) + 60 * int(digits[2:])
    return -ahead if zone.startswith("-") else ahead


def _timecode_seconds(texts: Sequence[str], coded: Sequence[int]) -> DoubleArray:
    """Return the seconds from the first timecode on."""

    def fault(row: int, got: str) -> InputError:
        return InputError(f"times must be timecodes, got {got} at frame {coded[row]}")

    codes = parse_timecodes([texts[place] for place in coded], fault)
    seconds = np.full(len(texts), np.nan)
    seconds[list(coded)] = codes.frames / codes.rate_hz
    return seconds
