"""The speech encoder: audio of a whole utterance to content and emotion streams (imports torch).

- `adversary`: a classifier that looks for the emotion in the content.
- `block`: transformer block.
- `config`: settings of the encoder and its training.
- `data`: training data, padded to minibatches.
- `losses`: vertex loss of face curves, in millimetres.
- `network`: the network: streams, and a regressor from them to face curves.
- `parallel`: pairs of utterances that say the same with two emotions, aligned in time.
- `prosody`: statistics of pitch, loudness, pace, voicing and colour over an utterance.
- `shape`: sizes of the network.
- `streaming`: the streams of an utterance while its features come.
- `training`: the resumable training loop.
- `voice`: which emotion a voice tells, and how sure that is.
"""
