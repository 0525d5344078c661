"""Builder of the shipped folder from a finished run; weights in half precision."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile
import torch

from agents.network.transformer import DISTANCES
from agents.weights import load_policy
from esarm_env.core.cache import write_json
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CONFIG_FILE,
    CORPUS_FILE,
    DEMONSTRATIONS_FILE,
    ENCODER_FILE,
    EXPORT_CARD,
    NATURALNESS_FILE,
    PREFERENCE_FILE,
    REWARD_FILE,
    TOKENIZER_FILE,
    VERSIONS_FILE,
    WAVLM_FILE,
    is_file,
)
from esarm_env.core.shipped import MANIFEST_FILE, MANIFEST_FORMAT, MINI_CORPUS, describe_folder
from esarm_env.core.weights import read_weights, save_weights
from esarm_env.corpus.compact import CompactCorpus, write_compact
from esarm_env.corpus.opening import GENERATED_CORPORA
from esarm_env.corpus.splits import SPLITS
from esarm_env.task.opening import (
    EMOTIONS_KEY,
    assemble_task,
    find_speech_encoder,
    open_task,
    read_corpus_file,
    training_emotions,
    training_speakers,
)
from esarm_env.tokenizer import load_tokenizer
from reward.demonstrations import RankedDemonstrations, load_demonstrations
from reward.plugins.learned import open_learned
from train.assets.figures import measure, roll_out
from train.assets.selection import choose_utterances
from train.rows import Row, rows_from_json
from train.sharing.licences import SHIPPED_CARD

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder


def halve(source: Path, target: Path) -> None:
    """Copy a file of weights with its matrices in half precision; equal input, equal bytes.

    `esarm_env.core.weights.load_module` gives modules in single precision back. Vectors and scalars
    (biases, norms, the scale of a score) stay as they are: they are small, and errors in them do
    not average out. Distances of codes, which are only compared with one another, take 8 bits.
    """
    try:
        sizes, weights = read_weights(source)
        kind = str(sizes.pop("kind"))
    except Exception as error:  # of many kinds, if it is damaged
        raise InputError(f"{source}: must be a whole file of weights, got {error}") from error
    for name, value in weights.items():
        if value.dtype == torch.float32 and value.ndim > 1:
            weights[name] = value.to(_EIGHT_BITS) if name == DISTANCES else value.half()
    save_weights(target, weights, kind=kind, **sizes)


_EIGHT_BITS = torch.float8_e4m3fn
UTTERANCES = {"train": 112, "validation": 32, "test": 48}
WEIGHTS = (TOKENIZER_FILE, ENCODER_FILE, CLONE_FILE, REWARD_FILE, NATURALNESS_FILE, PREFERENCE_FILE)
_NOT_IN_EVERY_RUN = (ENCODER_FILE, NATURALNESS_FILE, PREFERENCE_FILE)
# Half of the last digit that is printed: half precision must not change a table.
LARGEST_CHANGE = 0.005


def make_assets(
    run: RunFolder, out: Path, *, wanted: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Write the corpus and the weights that ship to `out`, which is replaced; return the manifest.

    The same run gives the same bytes.

    Args:
        run: A finished run.
        out: An earlier folder of assets, an empty one, or none.
        wanted: Utterances of the small corpus by split; by default 112, 32 and 48.

    Raises:
        InputError: If `out` holds something else, or the run cannot give the corpus.
        RuntimeError: If half precision changes a figure of the run's report.
    """
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST_FILE).is_file():
        raise InputError(f"`out` must be a folder of assets or empty, got {out}")
    if is_file(run.path / WAVLM_FILE):  # hundreds of MB, and other features in half precision
        raise InputError(
            f"`run` must hear audio features that need no weights of its own, got {WAVLM_FILE}; "
            "train one with `encoder.finetune_layers=0`"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        manifest = _fill(run, draft, UTTERANCES if wanted is None else wanted)
        draft.chmod(0o755)
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _fill(run: RunFolder, folder: Path, wanted: Mapping[str, int]) -> dict[str, Any]:
    source = read_corpus_file(run.path)
    parent = open_task(run.path)
    shutil.copyfile(run.path / CONFIG_FILE, folder / CONFIG_FILE)
    for name in WEIGHTS:
        if name not in _NOT_IN_EVERY_RUN or is_file(run.path / name):
            halve(run.path / name, folder / name)
    corpus = _cut(parent, source, folder / MINI_CORPUS, wanted)
    note = {
        "corpus": MINI_CORPUS,
        "layout": "auto",
        "size": None,
        "seed": 0,
        "encoder": source["encoder"],
        "content_hash": corpus.content_hash,
        "speakers": list(training_speakers(corpus)),
        EMOTIONS_KEY: list(training_emotions(parent.corpus)),
    }
    write_json(folder / CORPUS_FILE, note)
    if source["corpus"] in GENERATED_CORPORA:
        card = folder / EXPORT_CARD
        card.write_text(SHIPPED_CARD, encoding="utf-8", newline="\n")
    manifest = {
        "format": MANIFEST_FORMAT,
        "made_from": corpus.provenance,
        "corpus": _describe(corpus),
        "figures": _figures(run, folder, parent, corpus),
        "stages": {name: run.summary(name) for name in _described(run)},
        "versions": _versions(run),
        "files": describe_folder(folder),
    }
    write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def _described(run: RunFolder) -> list[str]:
    return [name for name in ("prior", "encoder", "clone", "reward") if run.is_finished(name)]


def _cut(
    parent: AnimationTask, source: dict[str, Any], folder: Path, wanted: Mapping[str, int]
) -> CompactCorpus:
    """Write the small corpus; its training speakers must be those the policy knows."""
    made_from = {key: source[key] for key in ("corpus", "size", "seed", "content_hash")}
    if source["corpus"] in GENERATED_CORPORA:
        from esarm_env.corpus.synthetic.espeak import espeak_version
        from esarm_env.corpus.synthetic.rules import RULES_VERSION

        made_from |= {"rules_version": RULES_VERSION, "espeakng_loader": espeak_version()}
    chosen = choose_utterances(parent.corpus, wanted)
    write_compact(parent.corpus, chosen, folder, name=MINI_CORPUS, provenance=made_from)
    corpus = CompactCorpus(folder)
    if training_speakers(corpus) != parent.conditions.speakers:
        raise InputError(
            f"`train` must hold all training speakers ({', '.join(parent.conditions.speakers)}), "
            f"got {', '.join(training_speakers(corpus))}; choose more than {wanted['train']}"
        )
    return corpus


def _describe(corpus: CompactCorpus) -> dict[str, Any]:
    return {
        "name": corpus.name,
        "synthetic": corpus.provenance["corpus"] in GENERATED_CORPORA,
        "content_hash": corpus.content_hash,
        "speakers": len({record.speaker for record in corpus.records}),
        "emotions": sorted({record.emotion for record in corpus.records}),
        "utterances": {split: len(corpus.split(split)) for split in SPLITS},
    }


def _figures(
    run: RunFolder, folder: Path, parent: AnimationTask, corpus: CompactCorpus
) -> dict[str, Any]:
    """Return figures of the weights in `folder` on the test splits of both corpora."""
    tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
    hearing: dict[str, Any] = {
        "encoder": read_corpus_file(run.path)["encoder"],
        "speech_encoder": find_speech_encoder(folder),
        "fetch": False,
    }
    large = assemble_task(parent.corpus, tokenizer, **hearing)
    small = assemble_task(corpus, tokenizer, **hearing)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)
    clone = load_policy(folder / CLONE_FILE)
    config = run.config

    def figures(task: AnimationTask, shown: RankedDemonstrations) -> dict[str, Any]:
        held_out = set(task.corpus.split("test").tolist())
        rows = [int(index) in held_out for index in shown.trajectories.utterance]
        return measure(
            task,
            clone=clone,
            learned=open_learned(task, folder),
            demonstrations=shown[rows],
            config=config.evaluate,
            seed=config.seed,
        )

    levels, test = config.demonstrate.epsilons, corpus.split("test")
    measured = {
        corpus.provenance["corpus"]: figures(large, demonstrations),
        corpus.name: figures(small, roll_out(clone, small, test, levels=levels, seed=config.seed)),
    }
    _compare(run, measured[corpus.provenance["corpus"]]["rows"])
    for each in measured.values():
        each["rows"] = {row.label: figures for row, figures in each["rows"].items()}
    return {"split": "test", "unit": "mm", "each": "mean, low, high", "corpora": measured}


def _compare(run: RunFolder, measured: dict[Row, dict[str, list[float]]]) -> None:
    """Check that half precision leaves the figures of the run's report as they were."""
    reported = rows_from_json(run.summary("evaluate")["rows"])
    for row, figures in measured.items():
        for name, (mean, *_) in figures.items():
            before = reported[row][name][0]
            if not abs(mean - before) < LARGEST_CHANGE:
                raise RuntimeError(
                    f"half precision must leave {name} of {row.label!r} at {before}, got {mean}"
                )


def _versions(run: RunFolder) -> dict[str, str]:
    lines = (run.path / VERSIONS_FILE).read_text().splitlines()
    named = dict(line.split("==", 1) for line in lines)
    return {**named, "libsndfile": soundfile.__libsndfile_version__}
