"""Compact corpus format, a few megabytes: speech as Opus, curves in 255 steps, one JSON index.

- `corpus`: reader (`CompactCorpus`), writer (`write_compact`) and the packing of curves.
- `speech`: reproducible Ogg Opus encoding.

| file | holds |
|---|---|
| `corpus.json` | one entry per utterance, where it was chosen from, SHA-256 of the other two |
| `speech.opus` | a chained Ogg Opus file, one link per utterance; FFmpeg plays all of it |
| `motion.npz` | `steps` uint8 (52, frames), see `pack_motion`; `captured` bool (52,) |
"""

from esarm_env.corpus.compact.corpus import CompactCorpus, write_compact

__all__ = ["CompactCorpus", "write_compact"]
