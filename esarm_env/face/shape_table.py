"""Calibration table of the shipped head: size, place and direction of each ARKit shape's motion.

The columns of `TARGETS` follow measurements of a public, artist-made ARKit head; our own shapes are
scaled to them. A shape of the left side stands for both, its partner is its exact mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Vector = tuple[float, float, float]


class Target(NamedTuple):
    """Target measurement of a shape at weight 1: its largest displacement on the skin."""

    max_mm: float
    at: Vector
    """Where the largest displacement is, mm."""
    direction: Vector
    """The displacement there; only its direction counts."""


@dataclass(frozen=True)
class Push:
    """Gaussian displacement field around one point of the skin.

    Attributes:
        at: Its centre in x and y, mm.
        by: Displacement at the centre, mm before the shape is scaled to its target.
        radius: Standard deviations in x and y, mm.
        lips: Which side of the mouth slit it moves: "both", "upper" or "lower".
    """

    at: tuple[float, float]
    by: Vector
    radius: tuple[float, float]
    lips: str = "both"


TARGETS: dict[str, Target] = {
    "browDownLeft": Target(6.5, (40, 62, 97), (-4.6, -3.5, 2.9)),
    "browInnerUp": Target(6.1, (20, 53, 105), (0.6, 6.1, 0.1)),
    "browOuterUpLeft": Target(8.6, (46, 56, 95), (1.9, 7.9, -2.7)),
    "cheekPuff": Target(14.1, (26, -37, 101), (-2.4, 1.3, 13.8)),
    "cheekSquintLeft": Target(6.3, (53, 3, 88), (-0.8, 5.8, 2.2)),
    "eyeBlinkLeft": Target(9.6, (34, 40, 96), (-0.7, -9.6, 0.2)),
    "eyeLookDownLeft": Target(7.7, (34, 41, 97), (-0.2, -7.7, -0.1)),
    "eyeLookInLeft": Target(2.5, (40, 40, 95), (-2.2, -0.4, 1.0)),
    "eyeLookOutLeft": Target(2.5, (42, 38, 93), (1.7, 0.9, -1.7)),
    "eyeLookUpLeft": Target(3.7, (31, 40, 97), (0.3, 3.5, -1.1)),
    "eyeSquintLeft": Target(3.7, (28, 20, 95), (-2.7, 2.6, 0.3)),
    "eyeWideLeft": Target(3.5, (34, 40, 97), (0.4, 3.3, -1.1)),
    "jawForward": Target(11.2, (0, -69, 109), (0.0, -1.7, 11.0)),
    "jawLeft": Target(8.9, (9, -64, 109), (8.9, 0.3, -0.1)),
    "jawOpen": Target(42.0, (0, -65, 110), (0.0, -30.2, -29.2)),
    "mouthClose": Target(41.7, (0, -35, 114), (0.0, 38.2, 16.9)),
    "mouthDimpleLeft": Target(8.9, (25, -39, 102), (1.3, 5.8, -6.5)),
    "mouthFrownLeft": Target(6.1, (29, -34, 102), (1.9, -5.1, -2.7)),
    "mouthFunnel": Target(11.7, (8, -36, 114), (-0.5, -8.4, 8.1)),
    "mouthLeft": Target(18.8, (-22, -38, 104), (17.2, -0.4, 7.7)),
    "mouthLowerDownLeft": Target(4.6, (12, -45, 111), (1.0, -4.2, -1.6)),
    "mouthPressLeft": Target(4.3, (17, -68, 104), (-0.3, 4.1, 1.4)),
    "mouthPucker": Target(12.4, (21, -34, 101), (-5.1, 2.3, 11.0)),
    "mouthRollLower": Target(14.2, (0, -35, 109), (0.0, 0.5, -14.2)),
    "mouthRollUpper": Target(11.6, (0, -32, 116), (0.0, -0.9, -11.6)),
    "mouthShrugLower": Target(11.3, (0, -65, 110), (0.0, 11.1, 2.1)),
    "mouthShrugUpper": Target(6.2, (0, -29, 118), (0.0, 6.1, 1.0)),
    "mouthSmileLeft": Target(15.8, (24, -35, 102), (7.3, 10.5, -9.2)),
    "mouthStretchLeft": Target(10.3, (22, -34, 100), (7.5, -2.3, -6.7)),
    "mouthUpperUpLeft": Target(8.8, (24, -16, 104), (2.2, 8.1, -2.8)),
    "noseSneerLeft": Target(10.3, (26, -14, 102), (-1.5, 10.2, -0.1)),
    # Not measured there: a tongue put out by about the width of two fingers.
    "tongueOut": Target(34.0, (0, -48, 92), (0.0, 8.0, 33.0)),
}

# Opening and closing share one path and a blink must end on the other lid: scaled apart, neither
# would close. Their own geometry brings them within a few percent of the table.
UNSCALED = ("jawOpen", "mouthClose", "eyeBlinkLeft")

# Shares of a target: a full roll would drive our thinner lips through the teeth.
SCALES: dict[str, float] = {"mouthRollLower": 0.78, "mouthRollUpper": 0.85}

# Shapes made of bumps. In a shape without a side, a push off the midline is mirrored.
PUSHES: dict[str, tuple[Push, ...]] = {
    "browDownLeft": (
        Push((38, 60), (-4.2, -3.9, 2.6), (15, 10)),
        Push((17, 54), (-2.0, -3.0, 1.0), (8, 8)),
    ),
    "browInnerUp": (Push((19, 55), (0.6, 6.1, 0.1), (11, 12)),),
    "browOuterUpLeft": (Push((45, 57), (1.9, 7.9, -2.7), (13, 12)),),
    "cheekPuff": (
        Push((36, -33), (2.0, 1.3, 13.8), (12, 16)),
        Push((0, -26), (0.0, 0.0, 4.0), (14, 6), "upper"),
        Push((0, -46), (0.0, 0.0, 3.0), (14, 6), "lower"),
    ),
    "cheekSquintLeft": (
        Push((52, 3), (-0.8, 5.8, 2.2), (20, 18)),
        Push((30, 22), (0.0, 3.0, 1.0), (16, 9)),
        Push((30, -18), (1.0, 2.5, 0.5), (16, 14)),
    ),
    "eyeSquintLeft": (Push((29, 21), (-2.3, 3.0, 0.5), (13, 9)),),
    "mouthDimpleLeft": (Push((25, -37), (2.5, 5.0, -6.5), (10, 10)),),
    "mouthFrownLeft": (Push((27, -36), (1.9, -5.1, -2.7), (11, 12)),),
    "mouthFunnel": (
        Push((6, -39), (-0.5, -5.0, 5.0), (10, 9), "lower"),
        Push((7, -31), (-0.5, 4.0, 4.5), (10, 9), "upper"),
        Push((25, -35), (-6.5, 0.0, 4.0), (13, 16)),
    ),
    "mouthLeft": (
        Push((-20, -37), (17.2, -0.4, 6.5), (19, 18)),
        Push((18, -37), (9.0, 1.0, -4.0), (14, 16)),
    ),
    "mouthLowerDownLeft": (Push((12, -43), (1.0, -4.2, -1.6), (10, 9), "lower"),),
    "mouthPressLeft": (
        Push((17, -66), (-0.3, 4.1, 1.4), (15, 14)),
        Push((13, -42), (0.0, 2.4, -1.6), (12, 4.5), "lower"),
        Push((13, -29), (0.0, -2.2, -1.2), (12, 4.5), "upper"),
    ),
    "mouthPucker": (
        Push((22, -34), (-8.0, 1.2, 8.5), (12, 13)),
        Push((40, -28), (-3.0, 0.0, -1.0), (14, 18)),
        Push((0, -36), (0.0, 0.0, 7.0), (12, 12)),
    ),
    "mouthRollLower": (
        Push((0, -36), (0.0, 0.5, -14.2), (15, 4.5), "lower"),
        Push((0, -44), (0.0, 2.6, -1.0), (15, 6), "lower"),
    ),
    "mouthRollUpper": (
        Push((0, -33), (0.0, -0.4, -11.6), (15, 4.5), "upper"),
        Push((0, -26), (0.0, -2.6, -0.5), (15, 6), "upper"),
    ),
    "mouthShrugLower": (Push((0, -62), (0.0, 11.1, 2.1), (17, 15)),),
    "mouthShrugUpper": (Push((0, -31), (0.0, 6.1, 1.2), (15, 9)),),
    "mouthSmileLeft": (
        Push((25, -35), (7.6, 10.5, -7.5), (15, 15)),
        Push((9, -36), (1.0, -2.5, -2.5), (9, 9)),
        Push((43, -4), (1.0, 6.0, 5.0), (19, 19)),
        Push((56, -25), (3.5, 4.0, -1.0), (19, 24)),
        Push((20, -62), (2.0, 2.0, -1.5), (18, 14)),
    ),
    "mouthStretchLeft": (Push((24, -36), (7.5, -2.3, -5.5), (12, 14)),),
    "mouthUpperUpLeft": (
        Push((23, -18), (2.0, 7.6, -1.8), (13, 14), "upper"),
        Push((36, 2), (0.5, 2.5, 1.0), (15, 15)),
        Push((11, -31), (0.0, 5.0, 0.5), (8, 7), "upper"),
    ),
    "noseSneerLeft": (
        Push((25, -14), (-1.5, 7.5, 0.0), (13, 13), "upper"),
        Push((13, 6), (0.0, 4.5, 2.0), (7, 12)),
        Push((40, 2), (-1.0, 4.0, 2.0), (20, 19)),
        Push((20, 53), (-1.5, -2.5, 0.5), (14, 10)),
    ),
}
