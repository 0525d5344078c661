"""`esarm corpus`: open a corpus as a stage of a run, or look into one."""

from __future__ import annotations

from typing import Annotated

import tyro

from esarm_env.errors import InputError
from train.commands.options import Options, RunOptions, write_json
from train.commands.pipeline import corpus_setting, run_stage

CorpusName = Annotated[str | None, tyro.conf.Positional]


def command_corpus(
    corpus: CorpusName = None,
    /,
    *,
    options: Options,
    audit: bool = False,
    correct_offsets: bool = False,
    compare: str | None = None,
) -> None:
    """Stage 1: open a corpus (generate a synthetic one) and compute its audio features.

    With `--audit` or `--compare` it only looks into the corpus and leaves no run behind.

    Args:
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder of recordings.
        options: Which run, and with which settings.
        audit: List what is wrong with a folder of recordings, take by take.
        correct_offsets: With `--audit`: write `offsets.csv` into the folder, so that motion that
            comes early or late against its audio is moved when it is read.
        compare: A folder of recordings whose statistics are printed beside the corpus'.
    """
    if correct_offsets and not audit:
        raise InputError("`--correct-offsets` must stand beside `--audit`, got it alone")
    if audit and compare is not None:
        raise InputError(f"`--compare` must stand without `--audit`, got both ({compare})")
    if audit:
        _audit(corpus, options, correct=correct_offsets)
    elif compare is not None:
        _compare(compare, options, *corpus_setting(corpus))
    else:
        run_stage("corpus", options, *corpus_setting(corpus))


def _audit(corpus: str | None, options: RunOptions, *, correct: bool) -> None:
    """Print the audit of a folder, and correct its offsets if asked."""
    from esarm_env.corpus import CORPUS_NAMES
    from esarm_env.corpus.audit import audit, correct_offsets
    from esarm_env.corpus.folder import FolderCorpus

    if not corpus:
        raise InputError("`corpus` must be a folder to audit, got none")
    if corpus in CORPUS_NAMES:
        raise InputError(f"`corpus` must be a folder to audit, got the synthetic {corpus!r}")
    config = options.settings(*corpus_setting(corpus)).corpus
    result = audit(FolderCorpus(corpus, layout=config.layout, verify=True))
    print("\n".join(result.lines()))
    write_json(result.to_dict(), options.json)
    if correct:
        path = correct_offsets(result)
        print(f"wrote {path}" if path else "no take is surely out of sync; nothing written")


def _compare(real: str, options: RunOptions, *overrides: str) -> None:
    """Print a corpus' figures beside those of a folder of recordings."""
    from esarm_env.corpus import open_corpus
    from esarm_env.corpus.realism import compare_corpora, print_comparison

    config = options.settings(*overrides).corpus
    ours = open_corpus(
        config.name, size=config.size or None, seed=config.seed, layout=config.layout, verify=True
    )
    comparison = compare_corpora(ours, open_corpus(real, verify=True))
    print_comparison(comparison)
    write_json(comparison.to_dict(), options.json)
