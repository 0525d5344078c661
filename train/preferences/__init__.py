"""Preferences of raters in a run: what is judged, what the reward learns of it, what it changes.

- `pool`: pool of animations of a run's utterances, for raters to judge.
- `learning`: the part of the stage `reward` that learns from judged pairs, for either recipe.
- `experiment`: an experiment that climbs a reward of its own, corrected by raters.
- `section`: section of the reward report about raters.
"""
