"""The speech encoder: audio of a whole utterance to content and emotion streams (imports torch).

- `config`: settings of the encoder and its training.
- `data`: training data, padded to minibatches.
- `heard`: the streams of a whole corpus, computed once and cached.
- `losses`: vertex loss of face curves, in millimetres.
- `network`: the network: streams, and a regressor from them to face curves.
- `parallel`: pairs of utterances that say the same with two emotions, aligned in time.
- `training`: the resumable training loop.
- `voice_bar`: log-mel features without the voice bar, which recorded voices alone have.
"""
