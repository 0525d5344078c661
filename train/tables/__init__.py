"""Tables of results that one command each makes from finished runs.

- `ablate`: `esarm ablate`: variants of a finished run, trained from the stage that they change.
- `ablation_measures`: true errors and metrics of one variant under one seed, kept as CSV.
- `ablation_page`: `ablation.md`, `.csv` and `.json`.
- `noise`: arithmetic of Table II: monotone, ratio, label validity, and the paper's own columns.
- `noise_measures`: true errors of noisy roll-outs and of damage to them, kept as CSV.
- `table2`: `esarm table2`: noise and damage over runs of several seeds and corpora.
- `table2_page`: `table2.md`, `.csv`, `.json` and `.png`.
- `variants`: what each variant changes, as data.
"""
