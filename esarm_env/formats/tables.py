"""CSV in the dialects that programs and spreadsheets write.

Told from the file itself: the encoding by its mark, the separator by the header (comma, semicolon,
tab, bar or spaces), the decimal sign by the numbers. Quotes, comment lines, `sep=;`, empty lines
and cells behind the last column are understood. A row that is wrong costs itself: `numbers` returns
NaN for it and says why.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.formats.files import read_bytes
from esarm_env.formats.numerals import decimal_sign, number

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

# Rows, and columns, of which a table of a few bytes each would fill the memory.
MOST_ROWS, MOST_COLUMNS = 900_000, 2_000
_SEPARATORS = (",", ";", "\t", "|")
_SPACES = " "  # any number of them separates
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LARGEST_RECORDS, _MOST_RECORDS = 1 << 26, 300_000  # bytes, and rows: one for each take
_SAMPLED_ROWS = 2_000  # to tell the decimal sign
_LONGEST_CELL = 40  # of a message

Cells = list[str]


@dataclass(frozen=True)
class Table:
    """A table as text: its header, and its rows, not yet parted into cells.

    Attributes:
        path: The file.
        header: Names of the columns, stripped; empty where there is none.
        header_line: Where it stands in the file, from 1.
        lines: Number in the file and text of each row.
        separator: What parts the cells.
        kind: What it must be, for messages.
    """

    path: Path
    header: tuple[str, ...]
    header_line: int
    lines: tuple[tuple[int, str], ...]
    separator: str
    kind: str = "a table of numbers"

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Yield line number and cells of each row; cells behind the last column only if filled."""
        width = len(self.header)
        for line, text in self.lines:
            cells = split_line(text, self.separator)
            while len(cells) > width and not cells[-1].strip():
                cells.pop()
            if len(cells) < width and not any(self.header[len(cells) :]):
                cells += [""] * (width - len(cells))
            yield line, cells

    def sign(self) -> str:
        """Return the decimal sign of its numbers.

        Raises:
            InputError: If cells disagree.
        """
        if self.separator == "," and not any('"' in text for _, text in self.lines):
            return "."
        sample = itertools.islice(self.rows(), _SAMPLED_ROWS)
        cells = (cell for _, row in sample for cell in row)
        try:
            return decimal_sign(cells, unclear="," if self.separator == ";" else ".")
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def numbers(self, columns: Sequence[int]) -> tuple[DoubleArray, dict[int, str]]:
        """Return the numbers of some columns, and what is wrong with the rows that have none.

        Args:
            columns: Which, by place in the header.

        Returns:
            Shape (T, n), NaN in cells that are empty and in rows that are wrong; and what each of
            these has, with its line, by its number from 0.

        Raises:
            InputError: If numbers have two decimal signs, or half of the rows another width than
                the header.
        """
        sign, width = self.sign(), len(self.header)
        self._check_widths()
        values = np.full((len(self.lines), len(columns)), np.nan)
        wrong: dict[int, str] = {}
        for place, (line, cells) in enumerate(self.rows()):
            if len(cells) != width:
                wrong[place] = self.width_fault(place, line, len(cells))
                continue
            row, fault = _numbers([cells[column] for column in columns], sign)
            values[place] = row
            if fault is not None:
                wrong[place] = f"a value that is not a number ({fault!r}) in line {line}"
        return values, wrong

    def width_fault(self, place: int, line: int, width: int) -> str:
        """Return what is wrong with row `place`, which has another width than the header."""
        said = f"{width} columns instead of {len(self.header)} in line {line}"
        if place == len(self.lines) - 1 and width < len(self.header):
            said += ", the last one: it seems that the file was cut"
        return said

    def _check_widths(self) -> None:
        """Raise an error before rows of a few bytes get an array of the header's width."""
        others = [
            (line, len(cells)) for line, cells in self.rows() if len(cells) != len(self.header)
        ]
        if others and 2 * len(others) >= len(self.lines):
            line, width = others[0]
            raise InputError(
                f"{self.path}: must be {self.kind}, got {width} columns instead of "
                f"{len(self.header)} in line {line}"
                + (f"; and {len(others) - 1} more" if len(others) > 1 else "")
            )

    def column(self, place: int) -> DoubleArray:
        """Return the numbers of one column, shape (T,), whatever else is wrong with their rows."""
        sign = self.sign()
        found = (_numbers([cell], sign)[0][0] for cell in self.cells(place))
        return np.fromiter(found, dtype=np.float64, count=len(self.lines))

    def cells(self, place: int) -> Cells:
        """Return the text of one column, one cell per row."""
        return [_cell(text, self.separator, place) for _, text in self.lines]

    def ends_short(self) -> bool:
        """Return whether the last row has fewer cells than the header, as a cut line has."""
        last = dataclasses.replace(self, lines=self.lines[-1:])
        return any(len(cells) < len(self.header) for _, cells in last.rows())


def _cell(text: str, separator: str, place: int) -> str:
    """Return one cell of a line, an empty one behind its end; the rest is not parted."""
    if separator == _SPACES or '"' in text:
        cells = split_line(text, separator)
    else:
        cells = text.split(separator, place + 1)
    return cells[place] if place < len(cells) else ""


def _numbers(cells: Sequence[str], sign: str) -> tuple[list[float], str | None]:
    """Return numbers, or NaN for all and the first cell that is none."""
    if sign == ".":
        try:
            return list(map(float, cells)), None
        except ValueError:  # an empty cell, or rare signs
            pass
    numbers: list[float] = []
    for cell in cells:
        try:
            numbers.append(number(cell, sign=sign))
        except ValueError:
            return [np.nan] * len(cells), cell[:_LONGEST_CELL]
    return numbers, None


def read_table(path: Path) -> Table:
    """Read a CSV file of one header and rows of numbers.

    Comment lines begin with `#`; the last one before the numbers is the header if there is no
    other, as NumPy writes it. Letters that are no UTF-8 do not matter where numbers are meant.

    Raises:
        InputError: If the file cannot be read, is no text, or has no header.
    """
    text = decode(path, read_bytes(path), errors="replace")
    if text.count("\n") + text.count("\r") > 2 * MOST_ROWS:
        raise InputError(f"{path}: must have at most {MOST_ROWS} rows; cut it first")
    separator: str | None = None
    comments: list[tuple[int, str]] = []
    lines: list[tuple[int, str]] = []
    for place, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line.startswith("#"):
            comments += [(place, line.lstrip("# "))] if not lines else []
        elif not lines and line.lower().startswith("sep=") and len(line) == len("sep=") + 1:
            separator = line[-1]
        else:
            lines.append((place, line))
    if comments and (not lines or _is_numeric(lines[0][1], separator)):
        lines.insert(0, comments[-1])
    return _table(path, lines, separator)


def _table(path: Path, lines: list[tuple[int, str]], separator: str | None) -> Table:
    """Return the table of these lines, the first of them its header."""
    if len(lines) - 1 > MOST_ROWS:
        raise InputError(
            f"{path}: must have at most {MOST_ROWS} rows, got {len(lines) - 1}; cut it first"
        )
    if not lines:
        return Table(path, (), 0, (), ",")
    line, text = lines[0]
    separator = separator or separator_of(text, lines[1][1] if len(lines) > 1 else "")
    header = tuple(name.strip() for name in split_line(text, separator))
    if len(header) > MOST_COLUMNS:
        raise InputError(f"{path}: must have at most {MOST_COLUMNS} columns, got {len(header)}")
    if _is_numeric(text, separator):
        raise InputError(
            f"{path}: must have a header that names its columns, got numbers in line {line}"
        )
    return Table(path, header, line, tuple(lines[1:]), separator)


def decode(path: Path, content: bytes, *, errors: str = "strict") -> str:
    """Return the text of a CSV file: UTF-8, or what its mark says.

    Raises:
        InputError: If it is no text, or (unless `errors` forgives) in another encoding.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if encoding is None and 4 * content[:200].count(b"\0") > len(content[:200]):
        # Without a mark the zeros of English letters tell; on which side decides the order.
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
        errors = "strict"
    try:
        text = content.decode(encoding or "utf-8", errors if encoding is None else "strict")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: must be CSV text in UTF-8, or in UTF-16 with its mark, got {error}; "
            "save it as CSV in UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(f"{path}: must be CSV text in UTF-8, got zeros in it")
    return text


def separator_of(header: str, row: str = "") -> str:
    """Return what parts the cells of a table, by its header; spaces if they part the row alike."""
    outside = "".join(header.split('"')[::2])
    counts = {separator: outside.count(separator) for separator in _SEPARATORS}
    best = max(counts, key=lambda separator: counts[separator])
    if counts[best]:
        return best
    n_words = len(header.split())
    return _SPACES if n_words > 1 and n_words == len(row.split()) else ","


def split_line(text: str, separator: str) -> Cells:
    """Return the cells of one line; quotes hold a cell together and are taken off."""
    if separator == _SPACES:
        return text.split()
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return text.replace('"', "").split(separator)


def _is_numeric(text: str, separator: str | None) -> bool:
    """Return whether a line holds numbers alone, some at least."""
    cells = split_line(text, separator or separator_of(text, text))
    filled = [cell for cell in cells if cell.strip()]
    for cell in filled:
        try:
            number(cell, sign=".")
        except ValueError:
            return False
    return bool(filled)


def read_words(path: Path) -> tuple[str, bool]:
    """Return the text of a CSV file of words, and whether its encoding was guessed.

    Spreadsheets save in the encoding of their country; Windows-1252 is that of most.

    Raises:
        InputError: If the file cannot be read, is no text, or in another encoding.
    """
    content = read_bytes(path, largest=_LARGEST_RECORDS)
    try:
        return decode(path, content), False
    except InputError as error:
        cause = error.__cause__
        if not isinstance(cause, UnicodeDecodeError) or cause.encoding != "utf-8":
            raise
        if b"\0" in content:
            raise InputError(f"{path}: must be CSV text in UTF-8, got zeros in it") from None
        try:
            return content.decode("cp1252"), True
        except UnicodeDecodeError:
            raise error from None


def read_records(
    path: Path, text: str | None = None
) -> tuple[Cells, list[tuple[int, Cells]], list[tuple[int, str]]]:
    """Read a CSV file of words, in which quotes may hold separators and line breaks.

    Args:
        path: The file.
        text: Of the file, where it was read already.

    Returns:
        The header, stripped; line number and stripped cells of each row, as many as the header has
        unless there are more; and line number and fault of each row that is no CSV.

    Raises:
        InputError: If the file cannot be read or is no text.
    """
    if text is None:
        text, _ = read_words(path)
    first, _, rest = text.partition("\n")
    separator = separator_of(first)
    if first.lower().startswith("sep=") and len(first.strip()) == len("sep=") + 1:
        separator = first.strip()[-1]
        text = f"\n{rest}"  # so that lines keep their numbers
    rows, wrong = _parsed(text, separator)
    if len(rows) + len(wrong) > _MOST_RECORDS:
        got = f"{len(rows) + len(wrong)}"
        raise InputError(f"{path}: must have at most {_MOST_RECORDS} rows, got {got}")
    if not rows:
        return [], [], wrong
    header = rows[0][1]
    while header and not header[-1]:
        header.pop()
    for _, cells in rows[1:]:
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        cells += [""] * (len(header) - len(cells))
    return header, rows[1:], wrong


def _parsed(text: str, separator: str) -> tuple[list[tuple[int, Cells]], list[tuple[int, str]]]:
    """Return the rows of a text that hold anything, and those that are no CSV."""
    if text.count('"') % 2:  # one quote alone would swallow all that follows
        lines = enumerate(text.splitlines(), 1)
        split = ((line, split_line(row, separator)) for line, row in lines)
        return [
            (n, [c.strip() for c in cells]) for n, cells in split if any(map(str.strip, cells))
        ], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[tuple[int, Cells]] = []
    wrong: list[tuple[int, str]] = []
    while True:
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return rows, wrong
        except csv.Error as error:
            wrong.append((reader.line_num, f"is no row of CSV ({error})"))
        else:
            if any(cells):
                rows.append((reader.line_num, cells))
