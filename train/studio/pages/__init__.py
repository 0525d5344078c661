"""Pages of the studio: a module for each, with its routes in `ROUTES`; its view is in `web/`.

- `animate`: speech becomes animations, one for each sample.
- `judge`: raters compare two animations of an utterance, blind.
"""
