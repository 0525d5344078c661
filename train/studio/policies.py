"""Policies that animate: those of the run and the one that ships, each loaded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CORPUS_FILE,
    TOKENIZER_FILE,
    is_file,
    run_policies,
)
from esarm_env.core.shipped import shipped_run
from esarm_env.core.types import SAMPLE_RATE_HZ
from esarm_env.task.run_corpus import emotions_of_run, read_corpus_file

if TYPE_CHECKING:
    from pathlib import Path

    from train.animate import SpeechAnimator

SHIPPED, RUN = "shipped", "run"
_KEPT = 4
_WARM_S = 1.0


@dataclass(frozen=True)
class Choice:
    """A policy that can be asked for.

    Attributes:
        id: `run:ppo`, or `shipped:auto`.
        label: For people.
        source: `run` or `shipped`.
        policy: As of `train.animate.find_policy`.
    """

    id: str
    label: str
    source: str
    policy: str


class Policies:
    """Policies of a run, if there is one that can animate, and the one that ships.

    Attributes:
        run: The run folder, None where there is none.
    """

    def __init__(self, run: Path | None) -> None:
        self.run = run
        self._animators: OrderedDict[tuple[str, float], SpeechAnimator] = OrderedDict()
        self._lock = threading.Lock()

    def choices(self) -> list[Choice]:
        """Return what can be asked for now, the best first; a run in training gets more."""
        found = []
        if self.run is not None and self.runs:
            names = [*run_policies(self.run)]
            best = "the run's best on validation" if len(names) > 1 else "the run's clone"
            found = [Choice(f"{RUN}:auto", best, RUN, "auto")]
            if len(names) > 1:
                found += [Choice(f"{RUN}:{name}", name, RUN, name) for name in names]
        return [*found, Choice(f"{SHIPPED}:auto", "shipped with the package", SHIPPED, "auto")]

    @property
    def runs(self) -> bool:
        """Whether the run can animate yet."""
        needed = (CORPUS_FILE, TOKENIZER_FILE, CLONE_FILE)
        return self.run is not None and all(is_file(self.run / name) for name in needed)

    def lack(self) -> str | None:
        """Return why the run does not animate, for people; None where it does, or there is none."""
        if self.run is None or self.runs:
            return None
        return (
            "The run has no policy yet: it animates once its stage `clone` is finished. Until then "
            "the policy that ships with the package does."
        )

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Return the emotions and speakers that each source knows."""
        sources = {SHIPPED: shipped_run()}
        if self.run is not None and self.runs:
            sources[RUN] = self.run
        return {
            name: {
                "emotions": list(emotions_of_run(folder)),
                "speakers": list(read_corpus_file(folder)["speakers"]),
            }
            for name, folder in sources.items()
        }

    def choice(self, choice_id: str) -> Choice:
        """Return a choice by its id.

        Raises:
            InputError: If there is none; a path of a file is none, either.
        """
        known = {choice.id: choice for choice in self.choices()}
        if choice_id not in known:
            raise InputError(f"`policy` must be one of {', '.join(known)}, got {choice_id!r:.80}")
        return known[choice_id]

    def folder(self, choice: Choice) -> Path:
        """Return the run folder of a choice."""
        if choice.source == RUN and self.run is not None:
            return self.run
        return shipped_run()

    def animator(self, choice: Choice) -> SpeechAnimator:
        """Return what animates, loaded at the first call; again where its weights were replaced.

        Raises:
            InputError: As of `SpeechAnimator`.
        """
        from train.animate import SpeechAnimator  # seconds of torch

        folder = self.folder(choice)
        file = {"auto": folder / CLONE_FILE, **run_policies(folder)}[choice.policy]
        improved = max((p.stat().st_mtime for p in run_policies(folder).values()), default=0.0)
        changed = improved if choice.policy == "auto" else file.stat().st_mtime
        key = (choice.id, changed)
        with self._lock:
            if key not in self._animators:
                self._animators[key] = SpeechAnimator(folder, policy=choice.policy)
                while len(self._animators) > _KEPT:
                    self._animators.popitem(last=False)
            self._animators.move_to_end(key)
            return self._animators[key]

    def warm_up(self) -> None:
        """Load the first choice and let it animate a second of noise, which compiles what it needs.

        Raises:
            InputError: As of `animator`.
        """
        from esarm_env.task.recording import AnimationCondition

        noise = np.random.default_rng(0).standard_normal(int(_WARM_S * SAMPLE_RATE_HZ))
        audio = (0.1 * noise).astype(np.float32)
        self.animator(self.choices()[0]).animate(audio, AnimationCondition("auto"))
