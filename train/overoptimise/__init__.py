"""Proxy against gold: what becomes of the true error as a reward is climbed (Gao et al. 2022).

- `best_of_n`: best-of-n curve: of n samples of the clone the one with the highest score.
- `climb`: PPO curve: a policy trained on the reward, measured on held-out utterances along the
  way.
- `curve`: over-optimisation curve of a series of policies, and the settings of measuring one.
- `findings`: findings from the curves: changes against the clone with intervals, a verdict per KL
  strength.
- `measurement`: measurement of all curves of a run, each in a folder of its own; finished ones
  are kept.
- `report`: report on over-optimisation: CSV, JSON, plot and text.
"""
