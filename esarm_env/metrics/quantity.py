"""What a figure is: its name, the variant that was computed and the unit.

Nothing here computes anything; tables take their columns as `Quantity`, so that no figure can be
printed without saying which of the field's many definitions it follows.
"""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.errors import InputError

DIRECTIONS = {"lower": "↓", "higher": "↑", "zero": "→0", "none": ""}


@dataclass(frozen=True)
class Quantity:
    """A column of a table.

    Attributes:
        name: Short name, for instance "LVE".
        variant: What exactly is computed; never empty.
        unit: For instance "mm"; "1" for a ratio. Never empty.
        better: "lower", "higher", "zero" (the nearer the better) or "none" (says nothing alone).
    """

    name: str
    variant: str
    unit: str
    better: str = "lower"

    def __post_init__(self) -> None:
        """Refuse a figure that does not say what it is."""
        for field in ("name", "variant", "unit"):
            value = getattr(self, field)
            if not value.strip():
                raise InputError(f"`{field}` must not be empty, got {value!r}")
        if self.better not in DIRECTIONS:
            rule = f"one of {tuple(DIRECTIONS)}"
            raise InputError(f"`better` must be {rule}, got {self.better!r}")

    @property
    def label(self) -> str:
        """Return name, variant and unit, for instance `LVE (..., L2, mm)`."""
        unit = "no unit" if self.unit == "1" else self.unit
        return f"{self.name} ({self.variant}, {unit})"

    @property
    def heading(self) -> str:
        """Return the label with an arrow that tells which way is better."""
        return f"{self.label} {DIRECTIONS[self.better]}".rstrip()
