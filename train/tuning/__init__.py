"""`esarm tune`: sweeps over settings of a stage on Ray Tune, with Optuna and ASHA.

| module | holds |
|---|---|
| `space` | which settings are tried, and where |
| `trials` | records of trials, on disk and not pickled |
| `figures` | what a trial is measured by on validation utterances, and the baseline |
| `work` | a trial in its worker process |
| `search` | Optuna's proposals and ASHA's pruning |
| `records` | what is noted of trials at work |
| `sweep` | the sweep from beginning to end |
| `page`, `pictures` | `tune.md`, `trials.csv`, plots, the best settings |
"""
