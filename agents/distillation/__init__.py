"""Distillation into the policy of what is better than its samples: expert iteration.

`distillation` is the algorithm, `config` its settings, `teachers` says which sequences are written
down as targets, `losses` how the policy is fitted to them, and `answering` how recordings make a
better teacher of the clone first. `bond` turns any reward into one whose optimum is the best of n
samples, for the other algorithms.
"""

import lazy_loader

# Names are in `__init__.pyi`, each loaded at its first use: settings are read without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
