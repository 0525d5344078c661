"""The reward model of the paper: a causal transformer trained on ranked pairs (Fig. 4, Eq. 1).

- `network`: the paper's reward network: audio and motion chunks interleaved in a causal
  transformer (Fig. 4).
- `pair_training`: trainer of the reward network on labelled pairs: ranks, scores, human
  preferences, or all.
- `settings`: its sizes and the settings of its training.
- `training`: trainer of the reward network on ranked demonstrations: one utterance, one crop, all
  levels.
"""
