"""Phone classes of synthetic utterances, frame by frame: what was spoken is known, not recognised.

The corpus keeps no phonemes, so the utterances are spoken once more, which gives the same sound. A
process of its own does it (`python -m`), as in `worker`, and keeps espeak-ng out of the caller.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import esarm_env
from esarm_env.core.types import FRAME_RATE_HZ, IntArray
from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.design import plan, synthetic_design
from esarm_env.corpus.synthetic.worker import speak

PHONE_CLASSES = ("pause", *rules.SOUNDS)
_CLASS_OF = {sound: name for name, sounds in rules.SOUNDS.items() for sound in sounds}
_MODULE = "esarm_env.corpus.synthetic.phones"


def phone_classes(
    name: str, utterances: Sequence[int], *, size: int | None = None, seed: int = 0
) -> list[IntArray]:
    """Return the class of the phone in the middle of every frame, by utterance.

    Args:
        name: `synthetic-mead` or `synthetic-ravdess`.
        utterances: Indices into that corpus.
        size: Of the corpus; None is its default.
        seed: Of the corpus.

    Returns:
        For each utterance (T,), positions in `PHONE_CLASSES`; T may exceed the motion by a frame.

    Raises:
        InputError: If there is no such corpus.
        RuntimeError: If espeak-ng is missing or fails; the message is what it said.
    """
    synthetic_design(name, size=size, seed=seed)
    asked = {"name": name, "size": size, "seed": seed, "utterances": [int(i) for i in utterances]}
    done = subprocess.run(
        [sys.executable, "-m", _MODULE],
        input=json.dumps(asked).encode(),
        cwd=Path(esarm_env.__file__).parents[1],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit code {done.returncode}"
        raise RuntimeError(f"phones could not be spoken again: {reason}")
    return [np.array(row, dtype=np.int64) for row in json.loads(done.stdout)]


def _classes_of(name: str, size: int | None, seed: int, utterances: list[int]) -> list[list[int]]:
    design = synthetic_design(name, size=size, seed=seed)
    lines = plan(design)
    rows = []
    for index in utterances:
        phonemes = speak(design, lines[index]).phonemes
        ends = np.array([phoneme.end_s for phoneme in phonemes])
        middles = (np.arange(int(ends[-1] * FRAME_RATE_HZ) + 1) + 0.5) / FRAME_RATE_HZ
        places = np.searchsorted(ends, middles).clip(max=len(phonemes) - 1)
        # Of a diphthong or affricate, the first sound.
        named = [_first_class(phoneme.ipa) for phoneme in phonemes]
        rows.append([named[place] for place in places.tolist()])
    return rows


def _first_class(ipa: str) -> int:
    return PHONE_CLASSES.index(next((_CLASS_OF[c] for c in ipa if c in _CLASS_OF), "pause"))


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(_classes_of(asked["name"], asked["size"], asked["seed"], asked["utterances"])))
