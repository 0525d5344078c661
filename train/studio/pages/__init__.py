"""Pages of the studio: a module for each, with its routes in `ROUTES`; its view is in `web/`.

- `animate`: speech becomes animations, one for each sample.
- `compare`: two to four methods on one utterance of the corpus, with errors and scores over time.
- `judge`: raters compare two animations of an utterance, blind.
- `watch`: the trainings of the run, as their `metrics.csv` tell of them.
"""
