"""Tables: no figure without its variant and unit."""

from __future__ import annotations

import re
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from esarm_env.metrics import Quantity, Variant, table

_COLUMNS = {
    "lve": Variant("lips").quantity,
    "f1": Quantity("F1", "of closures", unit="1", better="higher"),
    "speed": Quantity("speed", "of lips", unit="mm/s", better="none"),
}
_ROWS: dict[str, Any] = {
    "clone": {"lve": 2.345, "f1": (0.5, 0.25, 1.0), "speed": 12345.6},
    "a|b": {"lve": 12.0, "f1": float("nan")},
}


def test_markdown_names_variant_unit_and_direction() -> None:
    """The exact text: reports are compared line by line."""
    assert table(_ROWS, _COLUMNS, first="animation").splitlines() == [
        "| animation | LVE (mean over frames of max over lip vertices, L2, mm) ↓ "
        "| F1 (of closures, no unit) ↑ | speed (of lips, mm/s) |",
        "|---|---:|---:|---:|",
        "| clone | 2.3 | 0.50 [0.25, 1.00] | 12346 |",
        "| a\\|b | 12.0 | n/a | n/a |",
    ]


def test_plain_text_has_a_line_for_each_quantity() -> None:
    """Headings with variants are too long to stand side by side on a terminal."""
    long = Quantity("FDD", "of vertices " * 6 + "all of them", unit="mm²", better="zero")
    lines = table({"ours": {"a": 1.5}}, {"a": long}, first="metric", style="plain").splitlines()
    assert [line.split("  ")[0].rstrip() for line in lines[:1]] == ["metric"]
    assert lines[0].endswith("ours")
    assert set(lines[1]) == {"-"}
    assert " ".join(line.strip() for line in lines[2:]).split("  ")[0].startswith("FDD (of vert")
    assert re.sub(r"\s+", " ", " ".join(lines[2:])) == f"{long.heading} 1.50"
    assert len(lines[0]) == len(lines[-1]) == len(lines[1])


@pytest.mark.parametrize("n_letters", range(50, 80))
def test_the_arrow_stays_with_the_unit(n_letters: int) -> None:
    """Alone on a line it seems to belong to nothing."""
    long = Quantity("x", "y " + "z" * n_letters, unit="mm", better="higher")
    lines = table({"ours": {"a": 1.5}}, {"a": long}, style="plain").splitlines()
    assert "mm) ↑" in lines[-1], lines


@pytest.mark.parametrize(
    ("figures", "texts"),
    [
        ([0.0, 0.0], ["0.00", "0.00"]),
        ([4.891e-5, 1e-6], ["4.89e-05", "1.00e-06"]),
        ([0.0123, 0.001], ["0.0123", "0.0010"]),
        ([2.5e8], ["2.50e+08"]),
        ([99.96, 1.0], ["100.0", "1.0"]),
        ([float("inf"), 1.0], ["inf", "1.00"]),
        ([None, 1.0], ["n/a", "1.00"]),
        ([(1.0, float("nan"), 2.0)], ["n/a"]),
        ([-23.4], ["-23.4"]),
        ([-0.0004, -5.5], ["0.00", "-5.50"]),
        ([(-0.001, -2.0, 0.5)], ["0.00 [-2.00, 0.50]"]),
    ],
)
def test_figures_of_a_column_share_their_decimals(figures: list[Any], texts: list[str]) -> None:
    """Squared metres need an exponent where mm would be printed as 0.00."""
    rows = {str(index): {"lve": figure} for index, figure in enumerate(figures)}
    lines = table(rows, {"lve": _COLUMNS["lve"]}).splitlines()[2:]
    assert [line.split(" | ")[1].removesuffix(" |") for line in lines] == texts


def test_digits_are_as_asked() -> None:
    """The argument must reach the figures."""
    row = {"x": {"lve": 2.345678}}
    assert "| 2.34568 |" in table(row, _COLUMNS, digits=6)
    assert "| 2 |" in table(row, _COLUMNS, digits=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "html"}, "`style` must be one of ('markdown', 'plain'), got 'html'"),
        ({"digits": 0}, "`digits` must be at least 1, got 0"),
        (
            {"rows": {"clone": {"lvee": 1.0}}},
            "`rows['clone']` must hold keys of `columns`, got ['lvee']",
        ),
    ],
)
def test_a_table_that_would_lose_figures_is_refused(change: dict[str, Any], message: str) -> None:
    """A misspelt key would leave a column of n/a."""
    with pytest.raises(InputError, match=re.escape(message)):
        table(**{"rows": _ROWS, "columns": _COLUMNS, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "`name` must not be empty, got ''"),
        ({"variant": " "}, "`variant` must not be empty, got ' '"),
        ({"unit": ""}, "`unit` must not be empty, got ''"),
        ({"better": "up"}, "`better` must be one of ('lower', 'higher', 'zero', 'none'), got 'up'"),
    ],
)
def test_a_quantity_that_does_not_say_what_it_is_is_refused(
    change: dict[str, str], message: str
) -> None:
    """This is the rule all tables rest on."""
    with pytest.raises(InputError, match=re.escape(message)):
        Quantity(**{"name": "LVE", "variant": "max", "unit": "mm", **change})
