"""Registry of the methods of Table I, and how each comes to animate the test utterances.

A method prepares itself from what all share (`Benchmark`), by training if it must, and returns what
animates. Packages and weights are loaded when a method is asked for.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CLONE_FILE, POLICY_FILE, STAGES
from train.rows import EXPECTED, GREEDY, MEDIAN, SAMPLED, method_meant
from train.tables.table1.benchmark import BASE_STAGE, Benchmark

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray

TOKENIZER = "recordings through the tokenizer"
# Our row that every other is compared with; chosen on validation utterances, never on test.
HEADLINE = "distillation (median)"
RIVALS = ("meshtalk", "faceformer", "emotalk", "codetalker")
ALL_CONDITIONS = "all conditions"
OURS = ("ppo", "reinforce", "distillation")
FLOOR, PLAIN, RIVAL, OUR = "floor", "plain", "rival", "ours"


@dataclass(frozen=True)
class Prepared:
    """A method that is ready to animate.

    Attributes:
        animate: Returns motion (T, 52) of each of utterances (N,), by the number of the sample.
        parameters: Of all networks that animate; 0 of what has none.
        samples: Whether another number of the sample gives another animation.
        trained_s: Seconds of training in stages of the shared run; what a method trains itself
            while it prepares is timed by the cell.
        notes: What is to be said beside its row.
    """

    animate: Callable[[IntArray, int], list[FloatArray]]
    parameters: int
    samples: bool = False
    trained_s: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: Of the row.
        kind: `floor`, `plain` baseline, `rival` of the paper, or `ours`.
        prepare: Gets the benchmark and a folder of its own to train in.
        stage: Last stage of the shared run that it needs.
        files: Of the shared run, that it rests on besides corpus, tokenizer and speech encoder.
        trains: Whether preparing it is a training of its own.
    """

    name: str
    kind: str
    prepare: Callable[[Benchmark, Path], Prepared]
    stage: str = BASE_STAGE
    files: tuple[str, ...] = ()
    trains: bool = False


def method_named(name: str) -> Method:
    """Return a method, by its name in the table or another spelling of it, such as `mean-face`.

    Raises:
        InputError: If there is none of that name.
    """
    name = method_meant(name, METHODS)
    if name not in METHODS:
        known = ", ".join(f'"{each}"' if " " in each else each for each in METHODS)
        near = difflib.get_close_matches(name, METHODS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"`methods` must be among {known}, got {name!r}{meant}")
    return METHODS[name]


def _through_tokenizer(benchmark: Benchmark, folder: Path) -> Prepared:
    task = benchmark.task

    def animate(utterances: IntArray, sample: int) -> list[FloatArray]:
        return _cut(task.decode(task.recorded(utterances)), task.n_frames[utterances])

    note = "what the tokens can hold: no method that writes them gets below it"
    return Prepared(
        animate, _size(task.tokenizer), trained_s=_wall_s(benchmark, "prior"), notes=(note,)
    )


def _mean_face(benchmark: Benchmark, folder: Path) -> Prepared:
    from train.stages.baselines import mean_face_motions

    return Prepared(lambda utterances, _: mean_face_motions(benchmark.task, utterances), 0)


def _nearest_neighbour(benchmark: Benchmark, folder: Path) -> Prepared:
    from agents.baselines import NearestNeighbour
    from train.rivals.data import PlainFeatures

    task = benchmark.task
    corpus, features = task.corpus, PlainFeatures(task)
    train = [int(index) for index in corpus.split("train")]

    def label(index: int) -> tuple[str, int]:
        return corpus.records[index].emotion, corpus.records[index].intensity

    found = NearestNeighbour(
        [features[index] for index in train],
        [corpus[index].motion for index in train],
        [label(index) for index in train],
    )

    def animate(utterances: IntArray, sample: int) -> list[FloatArray]:
        return [found.animate(features[index], label(index)) for index in utterances.tolist()]

    return Prepared(animate, 0, notes=(f"remembers {found.size / 1e6:.1f} M numbers",))


def _openfacefx(benchmark: Benchmark, folder: Path) -> Prepared:
    from train.bench.peers import fitted_gain, loudness_motion

    task = benchmark.task
    gain = fitted_gain(task)

    def animate(utterances: IntArray, sample: int) -> list[FloatArray]:
        return [
            loudness_motion(
                task.corpus[index].audio, n_frames=int(task.n_frames[index]), intensity=gain
            )
            for index in utterances.tolist()
        ]

    return Prepared(animate, 0, notes=(f"by loudness, gain {gain:g} fitted on training",))


def _headaudio(benchmark: Benchmark, folder: Path) -> Prepared:
    from train.bench.headaudio import fitted_peer

    animate, gain = fitted_peer(benchmark.task)
    note = f"visemes by its own model, gain {gain:g} fitted on training"
    return Prepared(lambda utterances, _: animate(utterances), 0, notes=(note,))


def _regressor(benchmark: Benchmark, folder: Path) -> Prepared:
    from agents.baselines import Regressor

    task = benchmark.task
    if task.speech_encoder is None:
        raise InputError("the shared run has no speech encoder, hence no regressor")
    regressor = Regressor(task.speech_encoder)

    def animate(utterances: IntArray, sample: int) -> list[FloatArray]:
        conditions = task.condition_of(utterances)
        return [
            regressor.animate(task.features[index], condition)
            for index, condition in zip(utterances.tolist(), conditions, strict=True)
        ]

    return Prepared(animate, _size(task.speech_encoder), trained_s=_wall_s(benchmark, "encoder"))


def _rival(benchmark: Benchmark, folder: Path, *, name: str, conditions: Any) -> Prepared:
    from agents.baselines.rivals.training import RivalSettings
    from train.rivals import train_rival

    found = train_rival(
        benchmark.task,
        name,
        conditions=conditions,
        seed=benchmark.seed,
        folder=folder,
        settings=RivalSettings(**benchmark.rivals),
    )

    def animate(utterances: IntArray, sample: int) -> list[FloatArray]:
        return found.animate_many(utterances, sample=sample)

    sees = ", ".join(found.parts) or "nothing but the audio"
    return Prepared(animate, found.n_parameters, samples=found.samples, notes=(f"sees {sees}",))


def _policy(benchmark: Benchmark, folder: Path, *, name: str, decoding: str) -> Prepared:
    from agents.rollout.animation import animate_utterances
    from agents.rollout.decoding import Decoding
    from agents.rollout.named_decoding import MEDIAN_OF
    from agents.weights import load_policy
    from esarm_env.core.run_layout import need_file

    how = {
        GREEDY: Decoding(),
        EXPECTED: Decoding(expected_distance=True),
        MEDIAN: Decoding(temperature=1.0, median_of=MEDIAN_OF),
        SAMPLED: Decoding(temperature=1.0),
    }[decoding]
    path, task = benchmark.run.path, benchmark.task
    model = load_policy(need_file(path, _policy_file(name)))
    if how.expected_distance and not model.knows_distances:
        raise InputError(f"the policy {name} of the shared run does not know distances of codes")

    def animate(utterances: IntArray, sample: int) -> list[FloatArray]:
        written = animate_utterances(
            model, task, utterances, decoding=how, seed=benchmark.seed, sample=sample
        )
        return _cut(task.decode(written), task.n_frames[utterances])

    networks = [model, task.tokenizer, task.speech_encoder]
    last = STAGES.index("clone" if name == "clone" else "improve")
    return Prepared(
        animate,
        sum(_size(network) for network in networks if network is not None),
        samples=decoding == SAMPLED,
        trained_s=sum(_wall_s(benchmark, stage) for stage in STAGES[: last + 1]),
    )


def _policy_file(name: str) -> str:
    return CLONE_FILE if name == "clone" else f"improve/{name}/{POLICY_FILE}"


def _size(network: Any) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _wall_s(benchmark: Benchmark, stage: str) -> float:
    return float(benchmark.run.summary(stage).get("wall_s", 0.0))


def _cut(motions: FloatArray, counts: IntArray) -> list[FloatArray]:
    """Return padded motion (N, T, 52) as arrays of their own lengths."""
    return [np.array(motion[:count]) for motion, count in zip(motions, counts, strict=True)]


def _all_methods() -> dict[str, Method]:
    """Return the methods in the order of the table."""
    methods = [
        Method(TOKENIZER, FLOOR, _through_tokenizer),
        Method("mean face", PLAIN, _mean_face),
        Method("nearest neighbour", PLAIN, _nearest_neighbour),
        Method("openfacefx", PLAIN, _openfacefx),
        Method("headaudio", PLAIN, _headaudio),
        Method("regressor", PLAIN, _regressor),
    ]
    for name in RIVALS:
        for label, conditions in ((name, "own"), (f"{name} ({ALL_CONDITIONS})", "all")):
            prepare = functools.partial(_rival, name=name, conditions=conditions)
            methods.append(Method(label, RIVAL, prepare, trains=True))
    for name in ("clone", *OURS):
        for decoding in (GREEDY, EXPECTED, MEDIAN, SAMPLED):
            prepare = functools.partial(_policy, name=name, decoding=decoding)
            stage = "clone" if name == "clone" else "improve"
            file = _policy_file(name)
            methods.append(Method(f"{name} ({decoding})", OUR, prepare, stage=stage, files=(file,)))
    return {method.name: method for method in methods}


METHODS = _all_methods()
