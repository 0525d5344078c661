"""Table I of the paper, re-built: methods, corpora and seeds as cells, each cached by itself.

- `settings`: what a table is made of, and the presets.
- `benchmark`: what all methods of one corpus and seed share: run, utterances, judge.
- `methods`: the registry of methods, and how each animates.
- `measures`: figures of animations, one for each utterance.
- `cells`: one method, corpus and seed: animated, measured, kept.
- `errors`: errors of all cells in a file per seed, by which tables are put together.
- `making`: all cells of a table, one after the other.
- `statistics`: what the cells tell over seeds and utterances, and beside the paper.
- `page`, `picture`: `table1.md`, `.csv`, `.json` and `.png`.
- `score`: predictions of other systems, measured as a cell is.
"""
