"""Judging: which pairs a rater is shown, what is answered, and how far answers agree.

No page and no sound in here: the Judge page of `esarm studio` and simulated raters use it alike.

- `pool`: pool of animations to judge, in a folder, under names that do not tell who wrote them.
- `choosing`: choice of the next pair: by chance, or where the members of a reward disagree most.
- `log`: log of answers, `preferences.jsonl`: whole after every answer, shared by several raters.
- `session`: session of a rater: next pair, answer, undo, hidden repeats; it goes on where it ended.
- `agreement`: agreement of raters with themselves, with each other, and with a reward.
"""

from reward.judging.agreement import Agreement, agreement_of, agreement_with_scores
from reward.judging.choosing import ActivePairs, RandomPairs
from reward.judging.log import JudgementLog
from reward.judging.pool import (
    NewAnimation,
    Pool,
    PooledAnimation,
    extend_pool,
    open_pool,
    write_pool,
)
from reward.judging.session import Judging, JudgingSettings, Session, ShownPair

__all__ = [
    "ActivePairs",
    "Agreement",
    "JudgementLog",
    "Judging",
    "JudgingSettings",
    "NewAnimation",
    "Pool",
    "PooledAnimation",
    "RandomPairs",
    "Session",
    "ShownPair",
    "agreement_of",
    "agreement_with_scores",
    "extend_pool",
    "open_pool",
    "write_pool",
]
