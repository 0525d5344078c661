"""Realism of a corpus: its statistics against those of a captured one.

- `signals`: loudness, smoothing and turning points of curves.
- `measures`: statistics of one utterance, poolable over any set of utterances.
- `description`: statistics of a corpus, their range over takes and bootstrap errors.
- `comparison`: a generated corpus against a captured one, with published human ranges.
"""

from esarm_env.corpus.realism.comparison import (
    Comparison,
    Row,
    compare,
    compare_corpora,
    comparison_markdown,
    print_comparison,
)
from esarm_env.corpus.realism.description import Description, Figure, describe

__all__ = [
    "Comparison",
    "Description",
    "Figure",
    "Row",
    "compare",
    "compare_corpora",
    "comparison_markdown",
    "describe",
    "print_comparison",
]
