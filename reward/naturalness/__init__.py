"""The reward model's second head: does a face look recorded, or written by a policy?

A reward of expected error has its optimum in the middle of what a policy would write, and a middle
face is dull. This head is learned on recordings *through the tokenizer* against greedy,
expected-distance and sampled animations (Ho and Ermon 2016, arXiv:1606.03476, on whole animations),
and learned again each round against the newest policy.

- `settings`: sizes and settings.
- `network`: the model; it hears speech and sees about a second of motion.
- `data`: recordings and animations that it learns from.
- `training`: its training, which stops where held-out utterances say so.
- `heads`: both heads as one reward model.
- `tradeoff`: what more weight on naturalness costs and gives, as a curve.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reward.naturalness.data import NaturalnessData, collect_naturalness, with_animations
    from reward.naturalness.heads import TwoHeadedModel
    from reward.naturalness.network import NaturalnessModel, load_naturalness
    from reward.naturalness.settings import NaturalnessConfig
    from reward.naturalness.tradeoff import TradeOff, trade_off
    from reward.naturalness.training import NaturalnessTrainer, recordings_above
else:  # settings are read without torch
    import lazy_loader

    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "data": ["NaturalnessData", "collect_naturalness", "with_animations"],
            "heads": ["TwoHeadedModel"],
            "network": ["NaturalnessModel", "load_naturalness"],
            "settings": ["NaturalnessConfig"],
            "tradeoff": ["TradeOff", "trade_off"],
            "training": ["NaturalnessTrainer", "recordings_above"],
        },
    )

__all__ = [
    "NaturalnessConfig",
    "NaturalnessData",
    "NaturalnessModel",
    "NaturalnessTrainer",
    "TradeOff",
    "TwoHeadedModel",
    "collect_naturalness",
    "load_naturalness",
    "recordings_above",
    "trade_off",
    "with_animations",
]
