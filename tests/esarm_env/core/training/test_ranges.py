"""Ranges of settings: the usual ones, those of a class, and what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.training.ranges import (
    ABOVE_0,
    ABOVE_0_TO_1,
    AT_LEAST_2,
    BELOW_1,
    BETWEEN_0_AND_1,
    MAY_BE_0,
    SHARE,
    check_ranges,
    ranges,
)


@ranges(
    some=MAY_BE_0, pairs=AT_LEAST_2, rate=ABOVE_0, dropout=BELOW_1, share=SHARE,
    crop=ABOVE_0_TO_1, confidence=BETWEEN_0_AND_1,
)  # fmt: skip
@dataclass(frozen=True)
class _Settings:
    count: int = 1
    some: int = 0
    pairs: int = 2
    weight: float = 0.0
    rate: float = 1e-9
    dropout: float = 0.0
    share: float = 1.0
    crop: float = 1.0
    confidence: float = 0.5
    name: str = "text"
    flag: bool = False
    levels: tuple[float, ...] = (-1.0,)


def test_settings_at_their_limits_are_allowed() -> None:
    """What is no number is left to others; a truth value is none."""
    check_ranges(_Settings())
    check_ranges(_Settings(share=0.0, dropout=0.999, crop=1e-9, count=2**31 - 1))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("count", 0, "at least 1"),
        ("count", 2**31, "at most 2147483647"),
        ("some", -1, "at least 0"),
        ("pairs", 1, "at least 2"),
        ("weight", -0.1, "at least 0 and finite"),
        ("weight", float("inf"), "at least 0 and finite"),
        ("weight", float("nan"), "at least 0 and finite"),
        ("rate", 0.0, "above 0 and finite"),
        ("rate", 0, "above 0"),  # a whole number where another would do
        ("dropout", 1.0, "at least 0 and below 1"),
        ("share", 1.01, "at least 0 and at most 1"),
        ("share", 2, "at most 1"),
        ("crop", 0.0, "above 0 and at most 1"),
        ("confidence", 1.0, "above 0 and below 1"),
        ("confidence", 0.0, "above 0 and below 1"),
    ],
)
def test_settings_out_of_range_are_named(name: str, value: float, rule: str) -> None:
    """One rule for trainer and run, in one wording."""
    message = f"`{name}` must be {rule}, got {value}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_ranges(replace(_Settings(), **{name: value}))


def test_a_range_of_no_field_is_refused() -> None:
    """A misspelt name would leave the setting unchecked."""
    with pytest.raises(TypeError, match=re.escape("fields of _Settings, got {'drop'}")):
        ranges(drop=BELOW_1)(_Settings)
