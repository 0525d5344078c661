"""Sections of a run's report (`train.report`), by subject.

- `cells`: header, row and cell of its tables.
- `comparisons`: policies against the regressor, the clone, and the clone by expected distance.
- `samples`: energy scores of samples, temperatures of the clone, the order of intensities.
"""
