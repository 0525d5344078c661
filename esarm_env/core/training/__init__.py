"""Training loops that several packages share; torch is loaded where it is used.

- `epochs`: base of trainers that stop early and go on from a saved state, bit for bit.
- `minibatches`: steps over minibatches: learning rate, order, an epoch's row.
- `ranges`: ranges of settings, stated once beside their class.
- `replicas`: several processes that share out each minibatch.
- `states`: checks of saved weights and optimiser states, made before anything is loaded.
"""
