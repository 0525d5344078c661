"""The reward model that knows better faces from good ones: consensus of the policy's own samples.

Many animations of one utterance, drawn from one policy, disagree about the details; the animation
that is nearest to all others has the least error that the policy itself expects (minimum Bayes
risk: Kumar & Byrne 2004; as a reward for speech-driven faces it is ours). No recording is needed to
tell, the scale is millimetres, and the same figure can be worked out for any motion.

- `errors`: the expected error of a motion against a policy's samples, chunk by chunk.
- `data`: what the model learns from: samples, noise levels, recordings, damage.
- `member`, `network`: the model; it hears the speech, imagines a few faces, and measures how far
  off one is.
- `hearing`: what a member heard, kept for the next animation of the same speech.
- `losses`, `training`: its training, also of the ceiling: the same network on true errors.
- `settings`: sizes and settings.
"""

import lazy_loader

# Names are in `__init__.pyi`, each loaded at its first use: settings are read without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
