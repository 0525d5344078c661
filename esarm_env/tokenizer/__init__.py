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

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esarm_env.tokenizer.config import PriorConfig
    from esarm_env.tokenizer.distances import code_distances
    from esarm_env.tokenizer.training import train_tokenizer
    from esarm_env.tokenizer.vq import VQMotionTokenizer, load_tokenizer
else:  # settings are read without torch
    import lazy_loader

    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "config": ["PriorConfig"],
            "distances": ["code_distances"],
            "training": ["train_tokenizer"],
            "vq": ["VQMotionTokenizer", "load_tokenizer"],
        },
    )

__all__ = [
    "PriorConfig",
    "VQMotionTokenizer",
    "code_distances",
    "load_tokenizer",
    "train_tokenizer",
]
