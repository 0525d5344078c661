"""Definition of a metric: `Variant` and `Quantity` (name, variant and unit of a table's column).

Papers print one name for different numbers: CodeTalker squares the distance, FaceFormer does not,
MeshTalk removes the lips' own translation first, DEEPTalk averages over the vertices. A `Variant`
states these choices of a vertex error. Tables take their columns as `Quantity`, so that no figure
can be printed without its definition. Nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from esarm_env.core.errors import InputError

DIRECTIONS = {"lower": "↓", "higher": "↑", "zero": "→0", "none": ""}
UNITS = ("mm", "m", "norm")  # norm: a data set's own scale, which has no length (BIWI)

_NAMES = {
    "lips": "LVE",
    "upper": "EVE",
    "upper_without_lids": "EVE without eyelids",
    "all": "MVE",
}
_VERTICES = {
    "lips": "lip",
    "upper": "eye and forehead",
    "upper_without_lids": "non-lid eye and forehead",
    "all": "all",
}


@dataclass(frozen=True)
class Quantity:
    """Name, exact definition, unit and direction of a metric: a column of a table.

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


class MeshOptions(TypedDict):
    """The keyword arguments of `vertex_error_of_meshes` that a variant decides."""

    reduce: str
    power: int
    centre: str
    unit: str


class VariantOptions(MeshOptions):
    """The keyword arguments of `vertex_error` that a variant decides."""

    region: str


@dataclass(frozen=True)
class Variant:
    """Definition of a vertex error, passed as `vertex_error(..., **variant.options)`.

    Attributes:
        region: "lips", "upper" (eyes and forehead), "upper_without_lids" (of these what a blink
            leaves at rest), "all" or any region of the head.
        reduce: "max" or "mean" over the region's vertices; frames are always averaged.
        power: 1 for the distance, 2 for its square.
        centre: "lips" takes each side's mean over the region off first; "none" does not.
        unit: "mm", "m" or "norm" (a data set's own scale); squared with `power=2`.
    """

    region: str
    reduce: str = "max"
    power: int = 1
    centre: str = "none"
    unit: str = "mm"

    def __post_init__(self) -> None:
        """Refuse an unknown choice."""
        for name, allowed in (
            ("reduce", ("max", "mean")),
            ("power", (1, 2)),
            ("centre", ("none", "lips")),
            ("unit", UNITS),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"`{name}` must be one of {allowed}, got {value!r}")

    @property
    def options(self) -> VariantOptions:
        """Return the variant as keyword arguments of `vertex_error`."""
        return VariantOptions(region=self.region, **self.mesh_options)

    @property
    def mesh_options(self) -> MeshOptions:
        """Return the variant as keyword arguments of `vertex_error_of_meshes`.

        The caller names the region's vertices, which differ from mesh to mesh.
        """
        return MeshOptions(reduce=self.reduce, power=self.power, centre=self.centre, unit=self.unit)

    @property
    def key(self) -> str:
        """Return a name for code and files, for instance `lve_max_l2_mm`."""
        parts = [
            _NAMES.get(self.region, f"{self.region}_vertex_error").lower().replace(" ", "_"),
            self.reduce,
            "l2" if self.power == 1 else "squared_l2",
            *(["centred"] if self.centre == "lips" else []),
            self.unit if self.power == 1 else f"{self.unit}2",
        ]
        return "_".join(parts)

    @property
    def quantity(self) -> Quantity:
        """Return the variant as a column of a table."""
        vertices = _VERTICES.get(self.region, self.region)
        parts = [
            f"mean over frames of {self.reduce} over {vertices} vertices",
            "L2" if self.power == 1 else "squared L2",
            *(["centred"] if self.centre == "lips" else []),
        ]
        unit = self.unit if self.power == 1 else f"{self.unit}²"
        return Quantity(_NAMES.get(self.region, "vertex error"), ", ".join(parts), unit)

    @property
    def label(self) -> str:
        """Return the metric's name with its variant, as it must stand in every table."""
        return self.quantity.label


def variant_label(
    region: str,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    unit: str = "mm",
) -> str:
    """Return the metric's name with its variant, as it must stand in every table.

    >>> variant_label("lips", "max", 1, "none", "mm")
    'LVE (mean over frames of max over lip vertices, L2, mm)'
    """
    return Variant(region, reduce, power, centre, unit).label
