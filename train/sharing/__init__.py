"""What of a run is given to others: `esarm export`.

- `card`: the Markdown card of an export.
- `export`: an export of a run, one policy and what it needs.
- `licences`: licences and terms of what a run was trained on.
"""
