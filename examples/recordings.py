"""Recordings of your own: `python examples/recordings.py my_recordings`, a folder.

`audio/NAME.wav` beside `blendshape/NAME.csv` (or .npy, .json; `esarm corpus FOLDER --audit` tells
what else is understood, and what is wrong). Without a folder, one is made of speech that ships.
"""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import tyro

from agents import BehaviourCloning, save_policy
from esarm_env import Evaluation, SpeechAnimationEnv, evaluate, make_evaluation_env, open_corpus


def make_recordings(folder: Path, n: int) -> None:
    """Write sound and motion of utterances of the corpus that ships."""
    corpus = open_corpus("synthetic-mini")
    for part in ("audio", "blendshape"):
        (folder / part).mkdir(parents=True)
    for index in range(n):
        said = corpus[index]
        soundfile.write(folder / "audio" / f"{said.record.id}.wav", said.audio, 16_000)
        np.save(folder / "blendshape" / f"{said.record.id}.npy", said.motion)


def main(
    folder: Path = Path("runs/recordings"),
    /,
    *,
    epochs: int = 6,
    seed: int = 0,
    n: int = 64,
    policy_kwargs: tyro.conf.Suppress[Any] = None,
) -> tuple[Evaluation, Evaluation]:
    """Clone the recordings for so many `epochs`; print how validation utterances changed."""
    if not folder.exists():
        make_recordings(folder, n)
    corpus = open_corpus(str(folder), verify=True)
    print(
        f"{len(corpus)} utterances, {len({record.speaker for record in corpus.records})} speakers"
    )
    for fault in getattr(corpus, "faults", ()):
        print(f"left out: {fault}")
    # The first time, a small tokenizer is trained on the motion; later it comes from the cache.
    settings: dict[str, Any] = {"corpus": str(folder), "reward": "accuracy"}
    model = BehaviourCloning(
        "MotionPolicy",
        SpeechAnimationEnv(**settings),
        n_epochs=epochs,
        policy_kwargs=policy_kwargs,
        seed=seed,
    )
    held_out = make_evaluation_env(**settings)
    before = evaluate(model.predict, held_out)
    model.learn(10**9)  # ends with the last epoch
    print(before.compare(after := evaluate(model.predict, held_out)))
    save_policy(model.policy.transformer, folder.parent / "policy.safetensors")
    return before, after


if __name__ == "__main__":
    tyro.cli(main)
