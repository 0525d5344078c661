"""Stage 1: open the corpus and compute its audio features."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.audio.features import check_encoder, make_encoder, name_to_keep
from esarm_env.audio.store import open_features
from esarm_env.core.cache import cache_dir, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CORPUS_NOTE, TAKES_FILE
from esarm_env.core.types import FRAME_RATE_HZ, Corpus
from esarm_env.corpus import CORPUS_NAMES, SPLITS, FolderCorpus, open_corpus
from esarm_env.face.loaders import OWN_HEAD
from esarm_env.formats.spellings import printable
from esarm_env.task.run_corpus import (
    EMOTIONS_KEY,
    FROM_RUN_KEY,
    relative_place,
    training_emotions,
    training_speakers,
)
from train.parallel.stage_pool import stage_pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.corpus.takes import Fault
    from train.run.run_folder import RunFolder

_SHOWN = 8  # takes left out, or mended, in the summary


def run_corpus(run: RunFolder) -> dict[str, Any]:
    """Note which corpus the run learns from, with its hash, and fill the feature cache."""
    return run.perform("corpus", lambda folder: _open(run, folder))


def _open(run: RunFolder, folder: Path) -> dict[str, Any]:
    config = run.config.corpus
    # Without a colon a name stands for weights that this package names.
    fetch = run.may_fetch or ":" not in config.encoder
    check_encoder(config.encoder, fetch=fetch)  # before a corpus is generated or read
    synthetic = config.name in CORPUS_NAMES
    name = config.name if synthetic else os.path.realpath(config.name)
    size, head = config.size or None, _head(config.head)
    corpus = open_corpus(
        name,
        size=size,
        seed=config.seed,
        layout=config.layout,
        verify=True,
        rate_hz=config.rate or None,
        head=head,
    )
    if not corpus.captured.any():
        raise InputError(
            f"{config.name}: must hold captured motion to learn from, got audio only; "
            f"make it with `esarm capture`{_why_left_out(corpus)}"
        )
    for split in SPLITS:
        if len(corpus.split(split)) == 0:
            raise InputError(
                f"{config.name}: must give every split an utterance, got none for {split}; "
                "add recordings"
            )
    encoder = make_encoder(config.encoder, fetch=fetch)
    open_features(corpus, encoder, cache=cache_dir(), pool=stage_pool())
    source = {
        "corpus": name,
        FROM_RUN_KEY: relative_place(name, run.path),  # where both are moved together
        "layout": config.layout,
        "rate_hz": config.rate or None,
        "head": head,
        "size": size,
        "seed": config.seed,
        "encoder": name_to_keep(config.encoder),
        "content_hash": corpus.content_hash,
        # So that `animate` needs no corpus.
        "speakers": list(training_speakers(corpus)),
        EMOTIONS_KEY: list(training_emotions(corpus)),
    }
    write_text(folder / CORPUS_NOTE, json.dumps(source, indent=1))
    return {"synthetic": synthetic, **source, **_describe(corpus), **_left_out(corpus, folder)}


def _head(name: str) -> str | None:
    """Return a head's name as any folder finds it again; None if none is named."""
    return os.path.realpath(name) if name and name != OWN_HEAD else name or None


def _describe(corpus: Corpus) -> dict[str, Any]:
    records = corpus.records
    speech_s = sum(record.n_frames for record in records) / FRAME_RATE_HZ
    return {
        "utterances": len(corpus),
        "speech_s": round(speech_s, 1),
        "n_speakers": len({record.speaker for record in records}),
        "emotions": sorted({record.emotion for record in records}),
        "captured_channels": int(corpus.captured.sum()),
        **{f"{split}_utterances": len(corpus.split(split)) for split in SPLITS},
    }


def _left_out(corpus: Corpus, folder: Path) -> dict[str, Any]:
    """Count what a folder of recordings could not give, and list it in the stage's folder."""
    if not isinstance(corpus, FolderCorpus):
        return {}
    listed = [{"take": fault.source, "left out": fault.reason} for fault in corpus.faults]
    listed += [{"take": note.source, "mended": note.reason} for note in corpus.notes]
    write_text(folder / TAKES_FILE, json.dumps(listed, indent=1))
    return {
        "layout_found": corpus.layout,
        "split_rule": corpus.split_rule,
        "takes_left_out": len(corpus.faults),
        "takes_mended": len(corpus.notes),
        **{name: _told(found) for name, found in _findings(corpus).items() if found},
    }


def _why_left_out(corpus: Corpus) -> str:
    """Return what a folder lists, which may say where its motion is."""
    if not isinstance(corpus, FolderCorpus) or not corpus.faults:
        return ""
    shown = "; ".join(printable(str(fault)) for fault in corpus.faults[:_SHOWN])
    return f" (left out: {shown})"


def _findings(corpus: FolderCorpus) -> dict[str, Sequence[Fault]]:
    return {"left_out": corpus.faults, "mended": corpus.notes}


def _told(found: Sequence[Fault]) -> str:
    """Return the first few findings in one line; the stage's folder has all of them."""
    shown = "; ".join(printable(str(fault)) for fault in found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more in {TAKES_FILE}" if len(found) > _SHOWN else ""
    return shown + more
