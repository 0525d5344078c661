"""Tables of results that one command each makes from finished runs.

- `noise`: arithmetic of Table II: monotone, ratio, label validity, and the paper's own columns.
- `noise_measures`: true errors of noisy roll-outs and of damage to them, kept as CSV.
- `table2`: `esarm table2`: noise and damage over runs of several seeds and corpora.
- `table2_page`: `table2.md`, `.csv`, `.json` and `.png`.
"""
