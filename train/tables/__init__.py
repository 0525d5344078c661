"""Tables of results, one command each: Table I, Table II, ablations; other systems' predictions.

- `predictions`: motion of any system by utterance, written and read.
- `gltf_curves`: motion in `.glb` and `.gltf` files.
- `table1`: the paper's Table I, methods by corpora (a package).
- `table2`: `esarm table2`: noise and damage over runs of several seeds and corpora.
- `table2_page`: `table2.md`, `.csv`, `.json` and `.png`.
- `noise`: arithmetic of Table II: monotone, ratio, label validity, and the paper's own columns.
- `noise_measures`: true errors of noisy roll-outs and of damage to them, kept as CSV.
- `ablate`: `esarm ablate`: variants of a finished run, trained from the stage that they change.
- `variants`: what each variant changes, as data.
- `ablation_measures`: true errors and metrics of one variant under one seed, kept as CSV.
- `ablation_page`: `ablation.md`, `.csv` and `.json`.
"""
