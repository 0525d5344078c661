"""The task behind an environment: corpus, audio features, motion tokenizer and head.

- `animation_task`: `AnimationTask`, which answers by utterance index: audio windows, conditions,
  recorded tokens, decoded motion, errors.
- `conditions`: one-hot encoding of emotion, intensity and speaker.
- `opening`: a task from a run folder, a corpus, or the files that ship with the package.
"""
