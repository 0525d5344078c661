"""The speech encoder: audio of a whole utterance to content and emotion streams (imports torch).

- `config`: settings of the encoder and its training.
- `data`: training data, padded to minibatches.
- `heard`: the streams of a whole corpus, computed once and cached.
- `losses`: vertex loss of face curves, in millimetres.
- `network`: the network: streams, and a regressor from them to face curves.
- `parallel`: pairs of utterances that say the same with two emotions, aligned in time.
- `streaming`: the streams of an utterance while its features come.
- `training`: the resumable training loop.
"""
