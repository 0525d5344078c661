"""`esarm table2`: the paper's Table II, noise and damage over runs of several seeds and corpora.

- `report`: the figures of all runs.
- `noise`: arithmetic: monotone, ratio, label validity, and the paper's own columns.
- `measures`: true errors of noisy roll-outs and of damage to them, kept as CSV.
- `page`: `table2.md`, `.csv`, `.json` and `.png`.
"""
