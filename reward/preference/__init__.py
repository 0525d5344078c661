"""What raters prefer, learned from pairs that they judged: a correction of the recipe `consensus`.

The consensus model needs no rater and stays as it is; beside it stands a small model of what raters
prefer (Bradley and Terry 1952; for rewards, Christiano et al. 2017), and the reward is the weighted
sum of both. Without pairs there is no such model, and the reward is the consensus model's own.

- `settings`: which files, and how much they count.
- `network`: the model, chunk by chunk: of motion, and of what the other heads of the reward say.
- `corrected`: the sum of both as one reward model.
- `data`: judged pairs of several files, and which utterances are held out.
- `training`: the fit of the model to judged pairs.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reward.preference.corrected import CorrectedModel, PreferredAlone
    from reward.preference.data import Judged, agreement_on, read_judged
    from reward.preference.network import PreferenceModel, load_preference
    from reward.preference.settings import PreferenceConfig
    from reward.preference.training import fit_preference
else:  # settings are read without torch
    import lazy_loader

    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "corrected": ["CorrectedModel", "PreferredAlone"],
            "data": ["Judged", "agreement_on", "read_judged"],
            "network": ["PreferenceModel", "load_preference"],
            "settings": ["PreferenceConfig"],
            "training": ["fit_preference"],
        },
    )

__all__ = [
    "CorrectedModel",
    "Judged",
    "PreferenceConfig",
    "PreferenceModel",
    "PreferredAlone",
    "agreement_on",
    "fit_preference",
    "load_preference",
    "read_judged",
]
