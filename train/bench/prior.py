"""`esarm bench prior`: what motion priors of several settings cost and what they keep.

One setting after the other is trained, and measured on the validation split. Each leaves a folder
with its weights and its figures behind, so that a sweep that was interrupted, or gets another
setting, trains only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CONFIG_FILE, FIGURES_FILE, TOKENIZER_WEIGHTS
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.corpus import CORPUS_NAMES, open_corpus
from esarm_env.face.head import load_head
from esarm_env.metrics import emotional_vertex_error, lip_vertex_error
from esarm_env.task.opening import open_run_corpus
from esarm_env.tokenizer import train_tokenizer
from train.run.config import make_config, to_dict
from train.run.setting_ranges import check_settings

if TYPE_CHECKING:
    from esarm_env.core.types import Corpus, FloatArray, IntArray
    from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer
    from train.run.config import Config

# A sweep by default: the price of tokens, of longer and shorter chunks, of other quantisers.
SWEEP = (
    "",
    "mouth_codebooks=2 upper_codebooks=2",
    "mouth_codebooks=3 upper_codebooks=2",
    "mouth_codebooks=4 upper_codebooks=3",
    "mouth_codebooks=4 upper_codebooks=4",
    "frames_per_chunk=2 crop_chunks=32 mouth_codebooks=2 upper_codebooks=1",
    "frames_per_chunk=8 crop_chunks=8 mouth_codebooks=7 upper_codebooks=5",
    "n_tokens=512",
    "n_tokens=96",
    "quantiser=fsq",
    "causal=true",
    "quantiser_dropout=0.5",
    "search_width=1",
    "linear_path=false",
)
DEFAULT = "default"  # what a setting that changes nothing is called


def bench_prior(
    run: Path | None, *, corpus: str | None, sweep: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Measure priors of all settings of `sweep`; finished ones are read from `folder`.

    Args:
        run: A run folder, whose corpus and settings are taken; or None.
        corpus: Without `run`: a corpus by name or folder, with the settings of the preset `demo`.
        sweep: One setting each, such as `mouth_codebooks=4 n_tokens=256`.
        folder: Gets a folder for each setting, `prior.json` and `prior.md`.

    Returns:
        `corpus`, and in `rows` the figures of each setting, in its order.

    Raises:
        InputError: If a setting cannot be, or `run` and `corpus` are both given.
    """
    if run is not None and corpus is not None:
        raise InputError(f"`corpus` must be left out beside `run`, got {corpus!r}")
    configs = [config_of(setting, run) for setting in sweep]
    for config in configs:
        check_settings(config, ["prior"])
    name = corpus or configs[0].corpus.name
    opened = _open(name, configs[0], run)
    rows = []
    for setting, config in zip(sweep, configs, strict=True):
        rows.append(_measured(setting.strip() or DEFAULT, config, opened, folder))
        figures = {"corpus": name, "synthetic": name in CORPUS_NAMES, "rows": rows}
        write_text(folder / "prior.json", json.dumps(figures, indent=1) + "\n")
        write_text(folder / "prior.md", render(figures) + "\n")
    return figures


def config_of(setting: str, run: Path | None) -> Config:
    """Return the configuration of a run, or of the preset `demo`, with a `setting` of its prior."""
    file = None if run is None else run / CONFIG_FILE
    overrides = [f"prior.{each.removeprefix('prior.')}" for each in setting.split()]
    return make_config(preset="demo", file=file, overrides=overrides)


def _open(name: str, config: Config, run: Path | None) -> Corpus:
    if run is not None:
        return open_run_corpus(run)
    made = config.corpus
    if name != made.name:
        return open_corpus(name)
    return open_corpus(name, size=made.size or None, seed=made.seed, layout=made.layout)


def _measured(label: str, config: Config, corpus: Corpus, folder: Path) -> dict[str, Any]:
    """Return the figures of one setting, trained unless its folder has them."""
    identity = {
        "prior": to_dict(config.prior),
        "corpus": corpus.content_hash,
        "seed": config.seed,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    home = folder / digest[:12]
    kept = home / FIGURES_FILE
    if kept.is_file():
        return {**read_json(kept, "the figures of a prior"), "setting": label}
    motions = [corpus[int(index)].motion for index in corpus.split("train")]
    begin = time.perf_counter()
    tokenizer = train_tokenizer(
        motions, load_head(), config=config.prior, seed=config.seed, progress=True
    )
    train_s = time.perf_counter() - begin
    figures = {
        "setting": label,
        **_costs(tokenizer, config.prior),
        **floor_of(tokenizer, corpus, "validation"),
        "train_s": round(train_s, 1),
    }
    tokenizer.save(home / TOKENIZER_WEIGHTS)
    write_text(kept, json.dumps(figures | {"identity": identity}, indent=1) + "\n")
    return figures | {"identity": identity}


def _costs(tokenizer: VQMotionTokenizer, config: PriorConfig) -> dict[str, Any]:
    tokens_per_s = tokenizer.tokens_per_chunk * FRAME_RATE_HZ / tokenizer.frames_per_chunk
    return {
        "quantiser": config.quantiser,
        "tokens_per_s": tokens_per_s,
        "bits_per_s": tokens_per_s * math.log2(tokenizer.n_tokens),
        "look_ahead_frames": tokenizer.look_ahead_frames,
    }


def floor_of(tokenizer: VQMotionTokenizer, corpus: Corpus, split: str) -> dict[str, Any]:
    """Return what a tokenizer makes of the recordings of a split.

    Args:
        tokenizer: A trained one.
        corpus: Speech and motion.
        split: `validation`, by which settings are chosen.

    Returns:
        `lve_mm` and `eve_mm`, means over utterances; `used` and `perplexity` by slot of a chunk;
        `encode_times_real_time` and `decode_times_real_time` on this machine.
    """
    motions = [corpus[int(index)].motion for index in corpus.split(split)]
    seconds = sum(map(len, motions)) / FRAME_RATE_HZ
    begin = time.perf_counter()
    tokens = [tokenizer.encode(motion) for motion in motions]
    encoded = time.perf_counter()
    decoded = [tokenizer.decode(each) for each in tokens]
    ended = time.perf_counter()
    used, perplexity = code_use(tokens, tokenizer.tokens_per_chunk, tokenizer.n_tokens)
    return {
        **_errors(decoded, motions, corpus),
        "utterances": len(motions),
        "used": used,
        "perplexity": perplexity,
        "encode_times_real_time": round(seconds / max(encoded - begin, 1e-9)),
        "decode_times_real_time": round(seconds / max(ended - encoded, 1e-9)),
    }


def _errors(
    decoded: Sequence[FloatArray], motions: Sequence[FloatArray], corpus: Corpus
) -> dict[str, float]:
    head, errors = load_head(), []
    for ours, motion in zip(decoded, motions, strict=True):
        pair = (ours[None, : len(motion)], motion[None])
        errors.append(
            [
                error(*pair, head=head, captured=corpus.captured)[0]
                for error in (lip_vertex_error, emotional_vertex_error)
            ]
        )
    lve, eve = np.mean(errors, axis=0)
    return {"lve_mm": float(lve), "eve_mm": float(eve)}


def code_use(
    tokens: Sequence[IntArray], per_chunk: int, n_tokens: int
) -> tuple[list[float], list[float]]:
    """Return the share of codes that are used, and their perplexity, by slot of a chunk.

    The perplexity is how many equally frequent codes would be as hard to guess.
    """
    slots = np.concatenate(tokens).reshape(-1, per_chunk).T
    counts = np.array([np.bincount(slot, minlength=n_tokens) for slot in slots])
    shares = counts / counts.sum(axis=1, keepdims=True)
    bits = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=1)
    return (counts > 0).mean(axis=1).tolist(), np.exp(bits).tolist()


_HEADER = (
    "| setting | tokens/s | bits/s | LVE, mm | EVE, mm | codes used | perplexity by slot | "
    "look-ahead, frames | training, s | encode, decode, times real time |"
)


def render(figures: dict[str, Any]) -> str:
    """Return the Markdown table of `figures`."""
    kind = " (synthetic)" if figures["synthetic"] else ""
    rows = figures["rows"]
    title = (
        f"Round trip of {figures['corpus']}{kind}, {rows[0]['utterances']} validation utterances"
    )
    lines = [title, "", _HEADER, "|" + "---|" * _HEADER.count(" | ") + "---|"]
    for row in rows:
        lines.append(
            f"| {row['setting']} | {row['tokens_per_s']:.4g} | {row['bits_per_s']:.0f} "
            f"| {row['lve_mm']:.2f} | {row['eve_mm']:.2f} | {min(row['used']):.0%} "
            f"| {' '.join(f'{value:.0f}' for value in row['perplexity'])} "
            f"| {row['look_ahead_frames']} | {row['train_s']:.0f} "
            f"| {row['encode_times_real_time']}, {row['decode_times_real_time']} |"
        )
    return "\n".join(lines)
