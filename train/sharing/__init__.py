"""What of a run is given to others: `esarm export`, `esarm push`, `esarm pull`.

- `card`: the Markdown card of an export.
- `commands`: `esarm push` and `esarm pull`.
- `export`: an export of a run, one policy and what it needs.
- `front_matter`: head of a card in YAML, with the model index.
- `licences`: licences and terms of what a run was trained on.
- `parts`: a run, or one part of it, on the Hub.
"""
