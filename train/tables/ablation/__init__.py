"""`esarm ablate`: variants of a finished run, trained from the stage that they change.

- `ablate`: trains and measures what is asked for.
- `variants`: what each variant changes, as data.
- `measures`: true errors and metrics of one variant under one seed, kept as CSV.
- `page`: `ablation.md`, `.csv` and `.json`.
"""
