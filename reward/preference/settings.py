"""Settings of learning from raters: files and how much they count; both recipes read them."""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.core.training.ranges import BELOW_1, MAY_BE_0, ranges


@ranges(share=BELOW_1, chance=BELOW_1, held_out=BELOW_1, doubt=MAY_BE_0)
@dataclass(frozen=True)
class PreferenceConfig:
    """What raters prefer, beside either recipe of the reward model.

    Attributes:
        files: Files `preferences.jsonl` of pairs that raters judged; none leaves the reward as it
            is.
        share: Share of raters: recipe `consensus`, of what they prefer in the reward, both parts
            being equally far spread among an utterance's judged animations; recipe `paper`, of
            their pairs in the loss.
        chance: Share of answers that are taken to be chance: a rater's choice counts as a
            probability of 1 less half of that, a tie as one half.
        held_out: Share of the judged utterances on which agreement with raters is measured, by a
            reward that did not learn from them; recipe `consensus` learns from them afterwards.
        doubt: Number of answers at which what was learned from them gets half of its weight, so
            that a few correct the reward a little (recipe `consensus`).
        members: Number of fits to answers drawn with replacement; where they disagree, raters are
            asked next (recipe `consensus`).
    """

    files: tuple[str, ...] = ()
    share: float = 0.85
    chance: float = 0.2
    held_out: float = 0.2
    doubt: int = 10
    members: int = 4
