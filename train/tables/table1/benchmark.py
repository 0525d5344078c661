"""Benchmark of a corpus and seed: the run, the utterances and the judge that all methods share."""

from __future__ import annotations

import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import file_digest
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CORPUS_FILE, ENCODER_FILE, STAGES, TOKENIZER_FILE, is_file
from train.tables.table1.settings import PRESETS, TableSettings, has_run

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.metrics import EmotionClassifier
    from esarm_env.task.animation_task import AnimationTask
    from train.run.config import Config
    from train.run.run_folder import RunFolder

# What every method needs: the corpus and its features, the tokenizer for the floor and the judge.
BASE_STAGE = "encoder"
_BASE_FILES = (CORPUS_FILE, TOKENIZER_FILE, ENCODER_FILE)


class Benchmark:
    """What all methods of a corpus and seed are trained on and measured with.

    Attributes:
        run: The shared run.
        rivals: Settings of the rivals' training that are not the usual ones.
    """

    def __init__(self, run: RunFolder, *, rivals: dict[str, Any] | None = None) -> None:
        """Take a run; its stages are made when a method needs them."""
        self.run, self.rivals = run, rivals or {}
        self._failed: Exception | None = None

    @property
    def seed(self) -> int:
        """Seed of all trainings."""
        return int(self.run.config.seed)

    def make(self, last: str) -> None:
        """Run the stages up to `last` that are not finished.

        Raises:
            InputError: If one of them failed before, in this process.
        """
        from train.stages import STAGE_FUNCTIONS

        for stage in STAGES[: STAGES.index(last) + 1]:
            if self.run.is_finished(stage):
                continue
            if self._failed is not None:
                raise InputError(f"the shared run failed: {self._failed}") from self._failed
            try:
                STAGE_FUNCTIONS[stage](self.run)
            except Exception as error:
                self._failed = error
                raise

    @cached_property
    def task(self) -> AnimationTask:
        """The run's task, on the head that the run is evaluated on."""
        from esarm_env.task.opening import open_task
        from train.stages.evaluate import on_head

        return on_head(open_task(self.run.path), self.run.config.evaluate.head)

    @cached_property
    def test(self) -> IntArray:
        """The utterances that are animated, shape (N,)."""
        return self.task.corpus.split("test")

    @cached_property
    def several(self) -> IntArray:
        """Those of them that are animated several times by methods that sample."""
        from train.stages.measures import extra_utterances

        return extra_utterances(self.task, self.run.config.evaluate)

    @cached_property
    def judge(self) -> EmotionClassifier | None:
        """What tells the emotion of motion; None where training shows one emotion alone."""
        from esarm_env.task.judges import emotion_judge

        return emotion_judge(self.task)

    @cached_property
    def loudness(self) -> FloatArray:
        """Loudness of each test utterance, shape (N,)."""
        from esarm_env.metrics import audio_rms

        corpus = self.task.corpus
        return np.array(
            [float(audio_rms([corpus[int(index)].audio])[0]) for index in self.test],
            dtype=np.float32,
        )

    @property
    def speech_s(self) -> float:
        """Seconds of speech in the test utterances."""
        from esarm_env.core.types import FRAME_RATE_HZ

        return float(self.task.n_frames[self.test].sum()) / FRAME_RATE_HZ

    def origin(self, files: tuple[str, ...]) -> dict[str, str]:
        """Return the digests of the run's files that a cell rests on."""
        path = self.run.path
        known = [name for name in (*_BASE_FILES, *files) if is_file(path / name)]
        return {name: file_digest(path / name) for name in known}


def check_corpora(settings: TableSettings) -> None:
    """Check that every corpus is there, and large enough, before anything is written.

    Raises:
        InputError: If one is neither a name of ours nor a folder, or `size` does not suit it.
    """
    import difflib

    from esarm_env.corpus.opening import CORPUS_NAMES, GENERATED_CORPORA
    from esarm_env.corpus.synthetic.design import synthetic_design

    for corpus in settings.corpora:
        if corpus in CORPUS_NAMES:
            config = usual_config(settings, corpus, 0)
            if corpus in GENERATED_CORPORA:
                synthetic_design(corpus, size=config.corpus.size)
        elif not os.path.isdir(corpus):
            near = difflib.get_close_matches(corpus, CORPUS_NAMES, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            names = ", ".join(CORPUS_NAMES)
            raise InputError(
                f"`corpora` must be of {names}, or folders of recordings, got {corpus!r}{meant}"
            )


def open_shared_run(settings: TableSettings, corpus: str, seed: int) -> RunFolder:
    """Return the run that all methods of a corpus and seed share, begun if there is none.

    A run folder, or a link to one, that was put there is used with its own settings.

    Raises:
        InputError: If a run that is there is of another corpus, size or seed.
    """
    from train.run.run_folder import RunFolder
    from train.run.setting_ranges import check_settings

    path = settings.run_path(corpus, seed)
    config = usual_config(settings, corpus, seed)
    if not has_run(settings.place(corpus), seed):
        check_settings(config)
        return RunFolder.create(path, config)
    run = RunFolder.open(path)
    wanted = _identity(config)
    found = _identity(run.config)
    wrong = [name for name in wanted if wanted[name] != found[name]]
    if wrong:
        said = ", ".join(f"{name} {found[name]!r} instead of {wanted[name]!r}" for name in wrong)
        remedy = "put another run there, or give `--size` and `--preset` that fit it"
        raise InputError(
            f"{path}: must be a run of this corpus, size and seed, got {said}; {remedy}"
        )
    return run


def usual_config(settings: TableSettings, corpus: str, seed: int) -> Config:
    """Return the settings of a shared run that is begun here."""
    from train.run.config import make_config

    preset = PRESETS[settings.preset].run
    return make_config(preset=preset, overrides=settings.overrides(corpus, seed))


def _identity(config: Config) -> dict[str, Any]:
    """Return what a shared run must be of."""
    from esarm_env.corpus import CORPUS_NAMES

    name = config.corpus.name
    if name not in CORPUS_NAMES:
        return {"corpus.name": os.path.realpath(name), "seed": config.seed}
    own = {"corpus.name": name, "corpus.size": config.corpus.size}
    return own | {"corpus.seed": config.corpus.seed, "seed": config.seed}


def common_settings(config: Config, rivals: dict[str, Any]) -> dict[str, Any]:
    """Return what all cells of a corpus must share, plain values by full name."""
    from train.run.config import to_dict

    flat: dict[str, Any] = {}

    def add(values: dict[str, Any], prefix: str) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                add(value, f"{prefix}{key}.")
            else:
                flat[f"{prefix}{key}"] = value

    values = to_dict(config)
    del values["seed"]
    add(values, "")
    flat |= {key: value for key, value in _identity(config).items() if key != "seed"}
    flat |= {f"rivals.{key}": value for key, value in sorted(rivals.items())}
    return dict(json.loads(json.dumps(flat)))  # tuples are lists there


def keep_common_settings(place: Path, config: Config, rivals: dict[str, Any]) -> None:
    """Note what all cells in `place` share, or check that it is as before.

    Args:
        place: Folder of a corpus.
        config: Of a shared run.
        rivals: Settings of the rivals' training that are not the usual ones.

    Raises:
        InputError: If those before had other settings.
    """
    from train.run.kept_settings import keep_settings

    place.mkdir(parents=True, exist_ok=True)
    keep_settings(
        place,
        common_settings(config, rivals),
        what="cells",
        remedy="choose another --out, or the settings of before",
    )
