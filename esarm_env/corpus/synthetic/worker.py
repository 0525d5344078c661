"""A worker process: makes one shard of a corpus, one byte on its output per finished utterance.

Started as `python -m`, not by `multiprocessing`: that would run the caller's script a second time
wherever it has no `if __name__ == "__main__"`. It also keeps espeak-ng out of the caller.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from esarm_env.corpus.synthetic.design import synthetic_design
from esarm_env.corpus.synthetic.plan import plan
from esarm_env.corpus.synthetic.utterance import make_utterance
from esarm_env.types import N_CHANNELS

AUDIO_FILE, MOTION_FILE, LENGTHS_FILE = "audio.int16", "motion.float16", "lengths.json"
AUDIO_TYPE, MOTION_TYPE = np.dtype("<i2"), np.dtype("<f2")
AUDIO_SCALE = 32_767


def shard_range(n_utterances: int, *, shard: int, n_shards: int) -> range:
    """Return the lines of the plan that shard number `shard` makes, in order."""
    return range(n_utterances * shard // n_shards, n_utterances * (shard + 1) // n_shards)


def main(arguments: list[str]) -> None:
    """Make a shard: name, size, seed, shard, n_shards, folder."""
    name, size, seed, shard, n_shards = arguments[0], *map(int, arguments[1:5])
    folder = Path(arguments[5])
    design = synthetic_design(name, size=size, seed=seed)
    lines = plan(design)
    lengths = []
    with open(folder / AUDIO_FILE, "wb") as audio_file, open(folder / MOTION_FILE, "wb") as motions:
        for index in shard_range(len(lines), shard=shard, n_shards=n_shards):
            audio, motion = make_utterance(design, lines[index])
            assert motion.shape[1] == N_CHANNELS, f"motion has {motion.shape[1]} channels"
            audio_file.write(np.round(audio * AUDIO_SCALE).astype(AUDIO_TYPE).tobytes())
            motions.write(motion.astype(MOTION_TYPE).tobytes())
            lengths.append((len(audio), len(motion)))
            os.write(sys.stdout.fileno(), b".")
    (folder / LENGTHS_FILE).write_text(json.dumps(lengths))


if __name__ == "__main__":
    main(sys.argv[1:])
