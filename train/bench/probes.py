"""`esarm bench probes`: what the content and the emotion stream of a run's encoder give away.

Probes are small classifiers, trained on streams of training utterances and measured on utterances
they never met: a stream holds what one can read from it. Content should tell phones and no emotion,
the emotion stream emotion and no phones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.audio.features import FEATURE_BOUND
from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS
from esarm_env.corpus.opening import CORPUS_NAMES, GENERATED_CORPORA
from esarm_env.task.opening import (
    assemble_task,
    open_audio_encoder,
    open_task,
    read_corpus_file,
)

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.encoder.network import SpeechEncoder
    from esarm_env.task.animation_task import AnimationTask

HIDDEN = 64  # of the probe that is no linear one
_STEPS, _LEARNING_RATE, _WEIGHT_DECAY = 300, 1e-2, 1e-2
_PHONE_UTTERANCES = 400  # training utterances whose frames teach phones
_FRAMES_EACH = 24  # of each of them
CONTENT, EMOTION = "content", "emotion"


def bench_probes(
    run: Path, *, split: Literal["validation", "test"] = "validation", seed: int = 0
) -> dict[str, Any]:
    """Probe both streams of the speech encoder of `run`.

    Args:
        run: A run folder, finished up to `encoder`.
        split: Where probes are measured.
        seed: Of their weights.

    Returns:
        `corpus`, `synthetic`, `split`, `utterances`, `voice` (the share of emotions that the
        encoder names itself, as `--emotion auto` does) and `rows`: `what` is asked `of` which
        stream, `linear` and `mlp` accuracies as (mean, low, high), and `chance`, how often the
        label that training has most is right.

    Raises:
        InputError: If a stage is missing, or the run has no speech encoder.
    """
    task = open_task(run)
    encoder = task.speech_encoder
    if encoder is None:
        raise InputError(f"{run}: must have a speech encoder to probe, got none")
    train, measured = task.corpus.split("train"), task.corpus.split(split)
    note = read_corpus_file(run)
    audio = open_audio_encoder(Path(run), encoder)
    plain = assemble_task(task.corpus, task.tokenizer, encoder=audio)
    streams = _Heard(plain, encoder)
    rows = [
        _row("emotion", stream, *_pooled(task, streams, stream, train, measured), seed=seed)
        for stream in (CONTENT, EMOTION)
    ]
    if note["corpus"] in GENERATED_CORPORA:  # of others nobody knows the phones
        rows += _phone_rows(streams, note, train, measured, seed)
    return {
        "corpus": note["corpus"],
        "synthetic": note["corpus"] in CORPUS_NAMES,
        "split": split,
        "utterances": len(measured),
        "voice": _voice(plain, encoder, measured),
        "rows": rows,
    }


class Labelled:
    """Inputs (N, D), labels (N,), and which utterance each is of, (N,)."""

    def __init__(self, rows: list[FloatArray], labels: list[IntArray]) -> None:
        """Take inputs (n_i, D) and labels (n_i,) of utterances."""
        self.rows = np.concatenate(rows).astype(np.float32)
        self.labels = np.concatenate(labels)
        self.owners = np.repeat(np.arange(len(rows)), [len(part) for part in rows])


def probe(learned: Labelled, measured: Labelled, *, hidden: int = 0, seed: int = 0) -> FloatArray:
    """Train a classifier on `learned`; return which of `measured` it names right, (N,) 0 or 1.

    Args:
        learned: What is trained on.
        measured: What is named.
        hidden: Width of a hidden layer; 0 for a linear classifier.
        seed: Of weights and dropout.
    """
    mean, scale = learned.rows.mean(0), learned.rows.std(0) + 1e-4
    inputs = torch.from_numpy((learned.rows - mean) / scale)
    labels = torch.from_numpy(learned.labels)
    width, n = inputs.shape[1], int(max(learned.labels.max(), measured.labels.max())) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Linear(width, n)]
        if hidden:
            layers = [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.2), nn.Linear(hidden, n)]
        model = nn.Sequential(*layers)
        _train(model, inputs, labels)
    with torch.inference_mode():
        shown = torch.from_numpy((measured.rows - mean) / scale).clamp(-10, 10)
        named: FloatArray = model.eval()(shown).argmax(-1).numpy()
    right: FloatArray = (named == measured.labels).astype(np.float32)
    return right


def _train(model: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    for step in range(_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * (1 - step / _STEPS)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(functional.cross_entropy(model(inputs), labels))
        optimizer.step()


def _row(
    what: str, stream: str, learned: Labelled, measured: Labelled, *, seed: int
) -> dict[str, Any]:
    """Return the accuracies of a linear probe and one with a hidden layer, with intervals."""
    most = np.bincount(learned.labels).argmax()
    row: dict[str, Any] = {"what": what, "of": stream}
    for name, hidden in (("linear", 0), ("mlp", HIDDEN)):
        right = probe(learned, measured, hidden=hidden, seed=seed)
        row[name] = _interval(right, measured.owners)
    return row | {"chance": float((measured.labels == most).mean())}


def _interval(right: FloatArray, owners: IntArray) -> list[float]:
    """Return mean and interval of what is right; utterances are drawn as wholes."""
    n = int(owners.max()) + 1
    sums = np.bincount(owners, weights=right, minlength=n)
    counts = np.bincount(owners, minlength=n).astype(np.float64)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, n, size=(2000, n))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(right.mean()), float(low), float(high)]


class _Heard:
    """Both streams of an utterance by frame, (T, n_streams), also one that policies do not hear."""

    def __init__(self, task: AnimationTask, encoder: SpeechEncoder) -> None:
        """Take the audio features that `encoder` hears, of `task`."""
        self._features, self.encoder = task.features, encoder
        self._kept: dict[int, FloatArray] = {}

    @torch.inference_mode()
    def __getitem__(self, index: int) -> FloatArray:
        """Return the streams of an utterance."""
        if index not in self._kept:
            features = torch.from_numpy(np.asarray(self._features[index], dtype=np.float32))[None]
            inside = torch.ones(features.shape[:2], dtype=torch.bool)
            heard = self.encoder.hear(features, inside)[0].clamp(-FEATURE_BOUND, FEATURE_BOUND)
            self._kept[index] = heard.numpy()
        return self._kept[index]


def _stream(streams: _Heard, stream: str, index: int) -> FloatArray:
    """Return a stream of an utterance by frame, (T, D)."""
    n_content = streams.encoder.shape.content_dim
    heard = streams[index]
    return heard[:, :n_content] if stream == CONTENT else heard[:, n_content:]


def _pooled(task: AnimationTask, streams: _Heard, stream: str, *parts: IntArray) -> list[Labelled]:
    """Return mean, spread and mean change by frame of a stream, with emotions, by part."""
    found = []
    for part in parts:
        rows, labels = [], []
        for index in part.tolist():
            heard = _stream(streams, stream, index)
            change = np.abs(np.diff(heard, axis=0, prepend=heard[:1])).mean(0)
            pooled = [heard.mean(0), heard.std(0), change] if stream == CONTENT else [heard.mean(0)]
            rows.append(np.concatenate(pooled)[None])
            labels.append(np.array([EMOTIONS.index(task.corpus.records[index].emotion)]))
        found.append(Labelled(rows, labels))
    return found


def _phone_rows(
    streams: _Heard,
    note: dict[str, Any],
    train: IntArray,
    measured: IntArray,
    seed: int,
) -> list[dict[str, Any]]:
    """Return rows of phone classes; the frames of an utterance are some, evenly spread."""
    from esarm_env.corpus.synthetic.phones import phone_classes

    chosen = train[np.linspace(0, len(train) - 1, min(_PHONE_UTTERANCES, len(train))).astype(int)]
    spoken = {
        int(index): classes
        for part in (chosen, measured)
        for index, classes in zip(
            part,
            phone_classes(note["corpus"], part.tolist(), size=note["size"], seed=note["seed"]),
            strict=True,
        )
    }

    def frames(part: IntArray, stream: str) -> Labelled:
        rows, labels = [], []
        for index in part.tolist():
            heard = _stream(streams, stream, index)
            n = min(len(heard), len(spoken[index]))
            where = np.unique(np.linspace(0, n - 1, min(n, _FRAMES_EACH)).astype(int))
            rows.append(heard[where])
            labels.append(spoken[index][where])
        return Labelled(rows, labels)

    return [
        _row("phone class", stream, frames(chosen, stream), frames(measured, stream), seed=seed)
        for stream in (CONTENT, EMOTION)
    ]


def _voice(plain: AnimationTask, encoder: SpeechEncoder, measured: IntArray) -> list[float]:
    """Return how often the encoder itself names the emotion, with its interval.

    Args:
        plain: Its features are the voice as it is, which is not what policies hear.
        encoder: Names it.
        measured: Shape (N,), utterances.
    """
    right = []
    for index in measured.tolist():
        named, _ = encoder.read_emotion(np.asarray(plain.features[index], dtype=np.float32))
        right.append(EMOTIONS[int(named.argmax())] == plain.corpus.records[index].emotion)
    return _interval(np.array(right, dtype=np.float32), np.arange(len(right)))


def render(figures: dict[str, Any]) -> str:
    """Return the Markdown table of `figures`."""
    kind = " (synthetic)" if figures["synthetic"] else ""
    lines = [
        f"{figures['utterances']} {figures['split']} utterances of {figures['corpus']}{kind}, "
        "95 % intervals over utterances",
        "",
        f"| read | from | linear probe | probe with {HIDDEN} hidden units | chance |",
        "|---|---|---|---|---|",
    ]
    for row in figures["rows"]:
        lines.append(
            f"| {row['what']} | {row['of']} stream | {_share(row['linear'])} "
            f"| {_share(row['mlp'])} | {row['chance']:.0%} |"
        )
    lines += ["", f"The encoder itself names the emotion of {_share(figures['voice'])}."]
    return "\n".join(lines)


def _share(triple: list[float]) -> str:
    mean, low, high = triple
    return f"{mean:.0%} [{low:.0%}, {high:.0%}]"
