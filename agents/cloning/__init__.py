"""Behaviour cloning: the warm start, and the reference of the KL term.

- `cloning`: behaviour cloning as a Stable-Baselines3 algorithm: `BehaviourCloning(policy,
  env).learn()`.
- `config`: settings of behaviour cloning.
- `demonstrations`: whole sequences of tokens, recorded or made, each for an
  utterance of a task.
- `losses`: cross-entropy, with labels that may be smooth or know distances.
- `minari`: demonstrations to and from Minari data sets (needs the extra `minari`).
- `trainer`: trainer of behaviour cloning: cross-entropy on whole demonstrated sequences, epoch by
  epoch.
"""

import lazy_loader

# Names are in `__init__.pyi`, each loaded at its first use: settings are read without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
