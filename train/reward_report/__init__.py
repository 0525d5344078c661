"""The report on a run's reward model: `esarm reward-report`.

- `animations`: held-out animations that a reward model is tried on, and how many of them.
- `answers`: the report's first section: what the reward knows, in sentences.
- `band_figures`: rank correlations within an utterance, best-of-n, and extrapolation beyond
  training.
- `figures`: collection of all figures of the reward report from a run folder.
- `inputs`: inputs of all figures: scores of every animation by every scorer, and true errors.
- `pair_figures`: pair accuracy by distance, family, emotion and speaker, and hacking probes.
- `pictures`: the report's pictures.
- `scorers`: scorers of the report: the reward, the ceiling, the plain recipe, the baselines.
- `tables`: the report's sections, as Markdown.
- `trust_figures`: ensemble agreement and calibration of the reward.
- `verdicts`: our own criteria of a reward model beside what was measured, for `--bars`.
- `writer`: `report.md`, its pictures, and `figures.json`.
"""
