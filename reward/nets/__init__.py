"""Reward models of one's own: their base class, and the files that hold their weights.

- `base`: base class of reward models, `RewardNet`: what `forward` gets and returns.
- `checks`: checks of a reward model before it is trained: signature, shapes, padding, sizes.
- `files`: files of reward models, and whose class is trusted to be built from one.
"""
