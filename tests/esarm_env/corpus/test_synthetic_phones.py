"""Phone classes of synthetic utterances: spoken again, they are those that the face was made of."""

from __future__ import annotations

import re
from itertools import groupby

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus import open_corpus
from esarm_env.corpus.synthetic.phones import PHONE_CLASSES, phone_classes


def test_phones_are_those_of_the_sentence_frame_by_frame() -> None:
    """Another draw of the voice's rate would shift every label against the sound."""
    corpus = open_corpus("synthetic-mead", size=8, seed=0)
    index = next(i for i, record in enumerate(corpus.records) if record.text.startswith("Bob"))
    (classes,) = phone_classes("synthetic-mead", [index], size=8)
    assert abs(len(classes) - corpus.records[index].n_frames) <= 1
    said = [PHONE_CLASSES[number] for number, _ in groupby(classes.tolist())]
    assert said[:4] == ["pause", "bilabial", "open", "bilabial"]  # Bob
    assert said[-2:] == ["sibilant", "pause"]  # falls


def test_an_unknown_corpus_is_refused() -> None:
    """Before a process is started for it."""
    with pytest.raises(InputError, match=re.escape("got 'mead'")):
        phone_classes("mead", [0])
