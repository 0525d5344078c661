"""Sections of a run's report (`train.report`), by subject.

- `verdict`: first section: best policy, what training changed, what the reward thinks.
- `faces`: a test utterance as recorded and as the best policy writes it, drawn.
- `results`: true errors beside the learned score: everything, by noise, by speaker.
- `comparisons`: policies against the regressor, the clone, and the clone by expected distance.
- `rewards`: how the learned score ranks, and the climbed reward beside it.
- `metrics`: all metrics by question, and whether the emotion is seen.
- `metric_rows`: all metrics per utterance of several animations, by row, which `metrics` shows.
- `samples`: energy scores of samples, temperatures of the clone, the order of intensities.
- `cells`: header, row and cell of the tables, and differences in words.
"""
