"""Before and after: means, intervals and what was forgotten, said as it is."""

import re

import numpy as np
import pytest

from train.speech.comparison import compare, forgotten, page, verdict
from train.speech.measures import Measured

KINDS = {
    "error": Measured("error (mm)", -1),
    "share": Measured("share", 1),
    "speed": Measured("speed (mm/s)", 0),
    "unknown": Measured("never measured", 1),
}


def figures(error, share, speed):
    """Return the figures of four recordings."""
    nothing = np.full(4, np.nan)
    rows = {"error": error, "share": share, "speed": speed, "unknown": nothing}
    return {"deterministic": {key: np.asarray(row, dtype=float) for key, row in rows.items()}}


BEFORE = figures([2, 2, 2, 2], [0.5, 0.5, np.nan, 0.5], [10, 10, 10, 10])


def test_means_are_over_recordings_that_both_know():
    """One recording without a p would shift a mean that it is not in."""
    after = figures([1, 2, 1, 2], [1.0, 0.5, 1.0, 0.75], [20, 20, 20, 20])
    rows = {row.key: row for row in compare(BEFORE, after, KINDS, confidence=0.95)}
    assert set(rows) == {"error", "share", "speed"}
    share = rows["share"]
    assert (share.recordings, share.before, share.after) == (3, 0.5, 0.75)
    assert share.change[0] == pytest.approx(0.25) and share.worse == pytest.approx(-0.5)
    assert rows["error"].worse == pytest.approx(-0.25)
    assert np.isnan(rows["speed"].worse) and rows["speed"].change == (10.0, 10.0, 10.0)


def test_what_is_worse_is_said_with_how_sure_it_is():
    """A mean that is worse by chance, and one that is worse for sure, are two things."""
    after = figures([2.1, 2.1, 2.1, 2.1], [0.8, 0.1, 0.5, 0.5], [10, 10, 10, 10])
    rows = compare(BEFORE, after, KINDS, confidence=0.95)
    assert [row.key for row in forgotten(rows)] == ["share", "error"]
    assert verdict(rows) == (
        "Worse by more than 2% on the run's own recordings: share, deterministic, by 6.7% (within "
        "the noise of so few recordings); error (mm), deterministic, by 5.0%."
    )
    little = figures([2.02] * 4, [0.5] * 4, [30] * 4)
    said = verdict(compare(BEFORE, little, KINDS, confidence=0.95))
    assert said == (
        "No figure of the run's own recordings is worse by more than 2% (the most, +1.0%: "
        "error (mm), deterministic)."
    )
    better = figures([1.0] * 4, [0.6] * 4, [30] * 4)
    assert "(none at all" in verdict(compare(BEFORE, better, KINDS, confidence=0.95))
    assert verdict([]) == "Of the run's own recordings no figure is known."


def test_the_page_holds_every_figure_and_what_was_left_out():
    """Who reads the page alone must learn what was not used."""
    rows = compare(BEFORE, BEFORE, KINDS, confidence=0.95)
    part = {"recordings": 3, "duration_s": 9.5}
    speech = {"train": part, "test": part, "with_motion": 0, "left_out": ["a.wav: is silent"]}
    said = {"policy": "clone", "reward": "learned", "speech": speech, "verdict": "Nothing."}
    text = page(said, rows, rows[:1])
    assert "| error (mm) | 4 | 2 | 2 | +0 [+0, +0] |" in text
    assert text.count("| error (mm) |") == 2 and text.count("| speed (mm/s) |") == 1
    for line in ("## Voices it had not heard, deterministic", "- a.wav: is silent", "Nothing."):
        assert re.search(rf"^{re.escape(line)}$", text, re.MULTILINE), line
