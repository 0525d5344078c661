"""`esarm bench workers`: what workers bring to an iteration here, and a model of many more.

- `measurement`: roll-outs by several numbers of workers, taking turns, and the learner.
- `model`: what more workers would bring, from part lengths, bytes and the learner's share.
- `table`: what was measured, for people.
"""
