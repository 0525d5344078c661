"""Human figures from the literature, for what a captured corpus did not measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A range and who found it."""

    low: float
    high: float
    source: str


# No rate of brow raises and no size of gaze shifts stands here: we know of no figure that fits.
PUBLISHED: Mapping[str, Published] = {
    "blinks: rate (1/min)": Published(
        10.5, 32.5, "95 % of adults in conversation: Doughty 2001, Optom Vis Sci 78:712"
    ),
    "blinks: duration (s)": Published(0.1, 0.4, "Schiffman 2001, Sensation and Perception"),
    # Speakers look at the listener for 93.9 frames and away for 27.8, at 30 fps; in free viewing
    # eyes jump three times a second.
    "gaze shifts: rate (1/min)": Published(
        29.6, 180.0, "speaking: Lee et al. 2002 (Eyes Alive); free viewing: Rayner 1998"
    ),
}
