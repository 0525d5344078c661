"""Cut a compact corpus out of another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.corpus.compact.corpus import FORMAT, INDEX_FILE, MOTION_FILE, SPEECH_FILE
from esarm_env.corpus.compact.motion import pack_motion
from esarm_env.corpus.compact.speech import encode_speech
from esarm_env.corpus.splits import SPLITS
from esarm_env.types import Corpus, IntArray


def write_compact(
    corpus: Corpus,
    utterances: IntArray,
    folder: Path,
    *,
    name: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write `utterances` of `corpus` as a compact corpus; equal input, equal bytes.

    Args:
        corpus: Where they are from; their splits are kept.
        utterances: Indices, in the order of the new ones.
        folder: Made here; must not hold a corpus yet.
        name: Of the new corpus.
        provenance: Plain values that say how the corpus came about.
    """
    split_of = {int(index): split for split in SPLITS for index in corpus.split(split)}
    folder.mkdir(parents=True, exist_ok=True)
    rows, streams, motions = [], [], []
    for number, index in enumerate(utterances.tolist()):
        utterance = corpus[index]
        streams.append(encode_speech(utterance.audio, serial=number + 1))
        motions.append(utterance.motion)
        sizes = {"n_samples": len(utterance.audio), "n_bytes": len(streams[-1])}
        rows.append(vars(utterance.record) | sizes | {"split": split_of[index]})
    (folder / SPEECH_FILE).write_bytes(b"".join(streams))
    with (folder / MOTION_FILE).open("wb") as file:
        np.savez_compressed(file, steps=pack_motion(motions), captured=corpus.captured)
    digests = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in (SPEECH_FILE, MOTION_FILE)
    }
    index = {
        "format": FORMAT,
        "name": name,
        "provenance": dict(provenance),
        "sha256": digests,
        "utterances": rows,
    }
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n", newline="\n")
