"""Presets: the variants of LVE and EVE that published systems report, by the system's name.

Even with the variant equal, figures compare only on one head, one set of lip vertices and one data
set: those of two papers hardly ever do. `Preset.note` tells the trap in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from esarm_env.core.errors import InputError
from esarm_env.core.plugins import did_you_mean
from esarm_env.metrics.variant import Variant

DEFAULT_PRESET = "esarm"


@dataclass(frozen=True)
class Preset:
    """The variants one system reports.

    Attributes:
        lve: Lip vertex error.
        eve: Emotional vertex error (eyes and forehead); None where the system reports none.
        source: Where the definition comes from.
        note: What makes its figures hard to compare.
        others: Further vertex errors it reports.
    """

    lve: Variant
    eve: Variant | None
    source: str
    note: str
    others: tuple[Variant, ...] = ()

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Return all vertex errors of the system, LVE first."""
        return (self.lve, *((self.eve,) if self.eve else ()), *self.others)


# CodeTalker's script on FLAME: metres, squared. Papers often print the result as "mm".
_SQUARED_LVE = Variant("lips", power=2, unit="m")
_SQUARED_EVE = Variant("upper", power=2, unit="m")

PRESETS = MappingProxyType(
    {
        "esarm": Preset(
            lve=Variant("lips"),
            eve=Variant("upper"),
            source="ESARM, Table I; the paper states neither unit nor reduction",
            note=(
                "Our default: maximum, L2, mm. The paper's LVE near 3 has the size of a mean over "
                "vertices in mm, its EVE near 2.5 that of a maximum: print both, never mix them."
            ),
        ),
        "faceformer": Preset(
            lve=Variant("lips"),
            eve=None,
            source="FaceFormer (CVPR 2022), its author in issue 14; code unreleased",
            note=(
                "On BIWI the unit is that data set's own. Users who rebuilt it got 7 to 8 where "
                "the paper prints 5.37 (issue 45)."
            ),
        ),
        "codetalker": Preset(
            lve=_SQUARED_LVE,
            eve=None,
            source="CodeTalker (CVPR 2023), released script; torchmetrics computes the same",
            note=(
                "Squared. On BIWI in normalised units² (printed x 1e-4; for meshes unit 'norm'), "
                "on FLAME in m². Mean over the frames of all utterances together: `pooled_mean`."
            ),
        ),
        "facediffuser": Preset(
            lve=_SQUARED_LVE,
            eve=None,
            source="FaceDiffuser (MIG 2023), after CodeTalker's script",
            note="As codetalker.",
        ),
        "probtalk3d": Preset(
            lve=_SQUARED_LVE,
            eve=None,
            source="ProbTalk3D (MIG 2024), released code",
            note=(
                "LVE squared (printed x 1e-5), MVE not. MEE is the LVE of the mean of 10 samples, "
                "CE the least LVE of the 10: see `samples`."
            ),
            others=(Variant("all", reduce="mean", unit="m"),),
        ),
        "meshtalk": Preset(
            lve=Variant("lips", centre="lips"),
            eve=None,
            source="MeshTalk (ICCV 2021), its author in issue 32",
            note="Lips centred on both sides first: blind to the jaw carrying the lips away.",
        ),
        "emotalk": Preset(
            lve=_SQUARED_LVE,
            eve=_SQUARED_EVE,
            source="EmoTalk (ICCV 2023), its author in issue 19: CodeTalker's script, FLAME masks",
            note="Squared metres by the script, 'mm' in print; EVE the same on eyes and forehead.",
        ),
        "deeptalk": Preset(
            lve=Variant("lips", reduce="mean"),
            eve=Variant("upper", reduce="mean"),
            source="DEEPTalk (AAAI 2025), `vertex_error` of the released code",
            note=(
                "Mean over vertices, a half to a third of the maximum. Its FDD sums coordinates "
                "without squaring and takes the deviation over vertices; ours follows CodeTalker."
            ),
        ),
        "unitalker": Preset(
            lve=Variant("lips"),
            eve=None,
            source="UniTalker (ECCV 2024), released code",
            note="Reports the squared error as well, in the unit of each data set.",
            others=(_SQUARED_LVE,),
        ),
    }
)


def preset(name: str) -> Preset:
    """Return the variants that the system called `name` reports.

    >>> preset("meshtalk").lve.label
    'LVE (mean over frames of max over lip vertices, L2, centred, mm)'

    Raises:
        InputError: If no preset is called that; the message lists all.
    """
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise InputError(f"`name` must be one of {tuple(PRESETS)}, got {name!r}{hint}")
    return PRESETS[name]
