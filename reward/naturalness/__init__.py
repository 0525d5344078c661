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

import lazy_loader

# Names are in `__init__.pyi`, each loaded at its first use: settings are read without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
