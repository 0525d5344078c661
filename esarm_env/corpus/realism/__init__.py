"""How real a corpus looks, in figures: describe one, compare it with a captured one, print both."""

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
