"""The ground floor: what all four packages share; needs numpy and safetensors only.

- `cache`: cache folder for computed arrays, and atomic writes into it.
- `deprecation`: old spellings: they work for one version, and warn with the new one.
- `errors`: exceptions: `InputError` for input that cannot be used, `MissingExtraError` for an
  absent extra.
- `intervals`: bootstrap intervals (percentile method, Efron 1979) of everything that is reported.
- `plugins`: plug-in registry: objects by name, from entry points of packages and from this
  process.
- `processors`: number of processors that this process may use, hence of workers worth starting.
- `progress`: progress bars by `rich` (extra `progress`); where it is not installed, a line for
  each task.
- `run_layout`: layout of a run folder: the name of every file in it, and what to do if one is
  missing.
- `seeds`: seeds of single sequences, and the ranges of sample numbers that keep their randomness
  apart.
- `shipped`: shipped files: a run folder of a small corpus, checked against a manifest.
- `training`: training loops that several packages share (a folder).
- `types`: data types that pass between the packages: frozen dataclasses with checked shapes, and
  protocols.
- `weights`: network weights on disk: `.safetensors` with the constructor arguments; no pickle.
"""
