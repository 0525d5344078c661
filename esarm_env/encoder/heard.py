"""What a policy hears of a corpus: the encoder's streams of every utterance, computed once.

Environments, vector environments, trainers and stock algorithms look them up by utterance index,
so all see the same numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.audio.store import FeatureStore, open_rows

if TYPE_CHECKING:
    from esarm_env.core.types import Corpus
    from esarm_env.encoder.network import SpeechEncoder


def open_heard(
    corpus: Corpus, features: FeatureStore, encoder: SpeechEncoder, *, cache: Path, key: str
) -> FeatureStore:
    """Open the cached streams of `corpus`, (T, encoder.dim) each; the first call computes them.

    Args:
        corpus: Gives the lengths.
        features: Audio features of the same utterances.
        encoder: Of the run.
        cache: Folder of all cached features.
        key: Tells what `features` depend on besides the corpus: the audio encoder's key.

    Raises:
        InputError: If the cache cannot be written, or the disk is full.
    """
    return open_rows(
        f"{corpus.content_hash}/{key}/{encoder.content_hash()}",
        lambda index: encoder.encode(features[index]),
        corpus=corpus,
        dim=encoder.dim,
        cache=cache,
        title="Speech streams",
    )
