"""A made corpus beside a captured one: which of its figures lie in the range of real takes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from esarm_env.corpus.realism.description import Description, describe
from esarm_env.corpus.realism.published import PUBLISHED
from esarm_env.types import Corpus

TOLERANCE_ERRORS = 2.0
FROM_TAKES = "takes"


@dataclass(frozen=True)
class Row:
    """One figure of both corpora.

    Attributes:
        figure: Its name.
        synthetic: Of the corpus under test; nan where undefined.
        real: Of the captured corpus; nan where it did not measure that.
        low: Lower end of the range.
        high: Upper end of the range.
        verdict: `inside` the range, `near` it (within two standard errors of one take's own
            value), `outside`, or `n/a` where either side has no figure.
        source: Where the range is from: `takes` for the real corpus, else a publication.
    """

    figure: str
    synthetic: float
    real: float
    low: float
    high: float
    verdict: str
    source: str


@dataclass(frozen=True)
class Comparison:
    """Two corpora side by side.

    Attributes:
        synthetic: Description of the corpus under test.
        real: Description of the captured one.
        rows: One per figure.
    """

    synthetic: Description
    real: Description
    rows: tuple[Row, ...]

    def count(self, verdict: str) -> int:
        """Return the number of rows with this verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything printed as plain values, nan as None."""
        sides = {}
        for side in ("synthetic", "real"):
            description: Description = getattr(self, side)
            sides[side] = {
                "corpus": description.corpus,
                "emotions": list(description.emotions),
                "n_utterances": description.n_utterances,
                "duration_s": round(description.duration_s, 2),
                "groups": list(description.groups),
            }
        counts = {verdict: self.count(verdict) for verdict in ("inside", "near", "outside")}
        rows = [{key: _plain(value) for key, value in asdict(row).items()} for row in self.rows]
        return {**sides, "counts": counts, "rows": rows}


def compare(synthetic: Description, real: Description) -> Comparison:
    """Set two descriptions side by side.

    The range of a figure goes from the least to the greatest of the real corpus's groups and of all
    of them together. Where the real corpus did not measure a figure, the range is the published
    one, if there is any.
    """
    rows = []
    for name, ours in synthetic.figures.items():
        theirs = real.figures[name]
        low, high, error, source = theirs.low, theirs.high, theirs.error, FROM_TAKES
        if math.isnan(theirs.value) and name in PUBLISHED:
            known = PUBLISHED[name]
            low, high, error, source = known.low, known.high, 0.0, known.source
        verdict = _verdict(ours.value, low, high, tolerance=TOLERANCE_ERRORS * error)
        rows.append(Row(name, ours.value, theirs.value, low, high, verdict, source))
    return Comparison(synthetic, real, tuple(rows))


def compare_corpora(
    synthetic: Corpus, real: Corpus, *, sample: int = 400, seed: int = 0
) -> Comparison:
    """Describe both corpora and compare them, on the emotions that the real one has.

    Args:
        synthetic: The corpus under test.
        real: The captured one.
        sample: How many utterances of each are looked at, at most.
        seed: Of the draw.

    Raises:
        InputError: If the corpora share no emotion, or `sample` is below 1.
    """
    described = describe(real, sample=sample, seed=seed)
    ours = describe(synthetic, sample=sample, seed=seed, emotions=described.emotions)
    return compare(ours, described)


def _verdict(value: float, low: float, high: float, *, tolerance: float) -> str:
    if math.isnan(value) or math.isnan(low):
        return "n/a"
    if low <= value <= high:
        return "inside"
    return "near" if low - tolerance <= value <= high + tolerance else "outside"


def _plain(value: Any) -> Any:
    """Return `value` as JSON can hold it."""
    return None if isinstance(value, float) and math.isnan(value) else value
