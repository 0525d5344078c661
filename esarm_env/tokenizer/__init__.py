"""The motion prior: an autoencoder between face motion and discrete tokens.

- `shape`: the sizes of a tokenizer, and what older files called them.
- `quantisers`: residual VQ and residual FSQ behind one face.
- `streams`: the networks, one autoencoder per part of the face, and how far their decoders see.
- `components`: principal components in millimetres, where the linear path begins.
- `vq`: the tokenizer over both streams, and its file.
- `distances`: how far apart two codes look once decoded, in mm on the head, by slot.
- `answers`: the code that brings what was written nearest to a recording.
- `medians`: tokens that write the median of several animations.
- `packed`: decoding of many sequences laid end to end, without padding.
- `pieces`: decoding of tokens that come in pieces, without seams.
- `config`: settings of the tokenizer and its training.
- `training`: loss in millimetres, and the resumable training loop.
"""

import lazy_loader

# Names are in `__init__.pyi`, each loaded at its first use: settings are read without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
