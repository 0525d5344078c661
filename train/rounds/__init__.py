"""Iterating: collect from the improved policy, rank, train the reward on, improve again.

- `folders`: folders of the rounds of improvement: run folders whose clone is the policy of the
  round before.
- `rounds`: rounds of improvement: run, suspicious samples, and what each round is worth.
"""
