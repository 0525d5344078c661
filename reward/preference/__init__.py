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

from reward.preference.corrected import CorrectedModel, PreferredAlone
from reward.preference.data import Judged, agreement_on, read_judged
from reward.preference.network import PreferenceModel, load_preference
from reward.preference.settings import PreferenceConfig
from reward.preference.training import fit_preference

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
