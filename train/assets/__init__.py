"""Make what ships with the package: a small corpus, and the weights of a finished run.

- `builder`: builder of the shipped folder from a finished run; weights in half precision.
- `figures`: evaluation of the shipped weights: true errors beside the learned score.
- `scores`: measurement of the reference scores (`esarm scores --measure`).
- `selection`: selection of the utterances of the shipped corpus.
"""
