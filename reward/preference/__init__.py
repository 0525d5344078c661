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

import lazy_loader

# Names are in `__init__.pyi`, each loaded at its first use: settings are read without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
