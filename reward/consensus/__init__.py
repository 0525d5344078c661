"""The reward model that knows better faces from good ones: consensus of the policy's own samples.

Many animations of one utterance, drawn from one policy, disagree about the details; the animation
that is nearest to all others has the least error that the policy itself expects (minimum Bayes
risk: Kumar & Byrne 2004; as a reward for speech-driven faces it is ours). No recording is needed to
tell, the scale is millimetres, and the same figure can be worked out for any motion.

- `errors`: the expected error of a motion against a policy's samples, chunk by chunk.
- `data`: what the model learns from: samples, noise levels, recordings, damage.
- `member`, `network`: the model; it hears the speech, imagines a few faces, and measures how far
  off one is.
- `hearing`: what a member heard, kept for the next animation of the same speech.
- `losses`, `training`: its training, also of the ceiling: the same network on true errors.
- `settings`: sizes and settings.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reward.consensus.data import ConsensusData, collect_consensus
    from reward.consensus.errors import ExpectedErrors
    from reward.consensus.network import ConsensusModel
    from reward.consensus.settings import ConsensusConfig
    from reward.consensus.training import ConsensusTrainer, with_true_errors
else:  # settings are read without torch
    import lazy_loader

    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "data": ["ConsensusData", "collect_consensus"],
            "errors": ["ExpectedErrors"],
            "network": ["ConsensusModel"],
            "settings": ["ConsensusConfig"],
            "training": ["ConsensusTrainer", "with_true_errors"],
        },
    )

__all__ = [
    "ConsensusConfig",
    "ConsensusData",
    "ConsensusModel",
    "ConsensusTrainer",
    "ExpectedErrors",
    "collect_consensus",
    "with_true_errors",
]
