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

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.cloning.cloning import BehaviourCloning
    from agents.cloning.config import CloneConfig
    from agents.cloning.demonstrations import Demonstrations
    from agents.cloning.trainer import CloneTrainer
else:  # settings are read without torch
    import lazy_loader

    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "cloning": ["BehaviourCloning"],
            "config": ["CloneConfig"],
            "demonstrations": ["Demonstrations"],
            "trainer": ["CloneTrainer"],
        },
    )

__all__ = ["BehaviourCloning", "CloneConfig", "CloneTrainer", "Demonstrations"]
