"""Evaluation while training: held-out utterances, paired differences, reward hacking.

- `hacking`: reward hacking callback: warns or stops when the score rises and the true errors do,
  too.
- `held_out`: evaluation on held-out utterances: score, true errors, agreement of an ensemble.
"""
