"""Training of one rival in a folder: resumable, and loaded once it is finished.

A folder is of one rival, conditions, seed, settings, corpus and features, which `origin.json` says.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agents.baselines.rivals.base import PARTS, Rival, RivalSizes
from agents.baselines.rivals.registry import rival_class
from agents.baselines.rivals.training import RivalSettings, RivalTrainer
from esarm_env.core.cache import read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CHECKPOINT_FILE, ORIGIN_FILE, SUMMARY_FILE
from esarm_env.core.types import EMOTIONS, N_CHANNELS
from esarm_env.core.weights import load_module, save_weights
from esarm_env.encoder.losses import VertexLoss
from esarm_env.face.names import ARKIT_NAMES, MOUTH_CHANNELS
from esarm_env.task.animation_task import pad_stack
from train.rivals.animator import RivalAnimator
from train.rivals.data import PlainFeatures, condition_slices, rival_data
from train.run.loop import drive

if TYPE_CHECKING:
    from pathlib import Path

    from agents.baselines.rivals.data import RivalData
    from esarm_env.task.animation_task import AnimationTask

Conditions = Literal["own", "all"]
WEIGHTS_FILE = "rival.safetensors"
KIND = "rival"


def train_rival(
    task: AnimationTask,
    name: str,
    *,
    conditions: Conditions = "own",
    seed: int,
    folder: Path,
    settings: RivalSettings | None = None,
) -> RivalAnimator:
    """Return a rival trained on the training utterances of `task`; what is finished is loaded.

    Args:
        task: Of a corpus; a speech encoder of ours is not heard through.
        name: Of `RIVALS`.
        conditions: `own`, those that its paper gives it, or `all` that ours gets.
        seed: Of weights, order and noise.
        folder: Of this training alone. Gets `rival.safetensors`, `summary.json` (parameters,
            epochs, validation errors in mm, settings), `metrics.csv` and `origin.json`; a
            checkpoint while it is trained, from which the next call goes on.
        settings: By default those that all rivals are trained with.

    Raises:
        InputError: If a name or a setting is out of its range, or the folder is of something else.
    """
    if conditions not in ("own", "all"):
        raise InputError(f"`conditions` must be own or all, got {conditions!r}")
    settings = settings or RivalSettings()
    settings.check()
    parts = rival_class(name).sees if conditions == "own" else PARTS
    origin = _origin_of(task, name, parts, seed=seed, settings=settings)
    _claim(folder, origin)
    if not (folder / SUMMARY_FILE).is_file():
        _train(task, name, parts, origin=origin, folder=folder, settings=settings)
    rival = load_rival(task, name, folder / WEIGHTS_FILE)
    return RivalAnimator(rival, task, parts=parts)


def load_rival(task: AnimationTask, name: str, path: Path) -> Rival:
    """Return a rival that `train_rival` wrote, ready to animate utterances of `task`.

    Raises:
        InputError: If the file is damaged or of something else.
    """
    cls, loss = rival_class(name), VertexLoss(task.head, task.corpus.captured)

    def build(**sizes: Any) -> Rival:
        pose = np.zeros(N_CHANNELS, dtype=np.float32)  # which is among the weights
        return cls(RivalSizes(mean_pose=pose, **(curves_by_region() | sizes)), loss)

    return load_module(path, build, kind=f"{KIND} {name}")


def curves_by_region() -> dict[str, Any]:
    """Return which curves move the mouth, and which close the eyes, bool (52,) each."""
    curves = np.arange(N_CHANNELS)
    lids = [ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    return {"mouth": np.isin(curves, MOUTH_CHANNELS), "eyelids": np.isin(curves, lids)}


def _origin_of(
    task: AnimationTask, name: str, parts: tuple[str, ...], *, seed: int, settings: RivalSettings
) -> dict[str, Any]:
    """Return what tells a training from all others, as plain values."""
    encoder = task.speech_encoder
    return {
        "rival": name,
        "sees": list(parts),
        "seed": seed,
        "settings": asdict(settings),
        "corpus": task.corpus.content_hash,
        "features": PlainFeatures(task).dim,
        "voice_bar_cut": encoder is not None and encoder.shape.cut_voice_bar,
    }


def _claim(folder: Path, origin: dict[str, Any]) -> None:
    """Note that `folder` is of the training `origin`.

    Raises:
        InputError: If it is of another one.
    """
    path = folder / ORIGIN_FILE
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(origin, indent=1))
        return
    found = read_json(path, "the origin of a rival's training")
    changed = [key for key in origin if found.get(key) != origin[key]]
    if changed:
        raise InputError(
            f"{folder}: must be of this training, got one of other {', '.join(changed)}; choose "
            "another folder, or delete it"
        )


def _train(
    task: AnimationTask,
    name: str,
    parts: tuple[str, ...],
    *,
    origin: dict[str, Any],
    folder: Path,
    settings: RivalSettings,
) -> None:
    """Train to the end, and write weights, then the summary."""
    data = rival_data(task, folder)
    cls, sizes = rival_class(name), _sizes(task, parts, data, settings.width)
    trainer = RivalTrainer(
        lambda: cls(sizes, data.loss), data, parts=parts, settings=settings, seed=origin["seed"]
    )
    rows = drive(trainer, folder, title=name, shown="validation_loss", keep_checkpoint=True)
    rival = trainer.finish()
    plain = {key: value for key, value in asdict(sizes).items() if isinstance(value, int)}
    weights = rival.state_dict()
    save_weights(folder / WEIGHTS_FILE, weights, kind=f"{KIND} {name}", **plain)
    last = [row for row in rows if row["stage"] == rival.stages - 1]
    best = min(last, key=lambda row: row["validation_loss"])
    animator = RivalAnimator(rival, task, parts=parts)
    summary = {
        **origin,
        "paper": rival.paper,
        "parameters": animator.n_parameters,
        "epochs": len(rows),
        "best_epoch": int(best["step"]),
        "validation_loss": best["validation_loss"],
        **_errors(task, animator),
    }
    write_text(folder / SUMMARY_FILE, json.dumps(summary, indent=1))
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def _sizes(task: AnimationTask, parts: tuple[str, ...], data: RivalData, width: int) -> RivalSizes:
    slices = condition_slices(task)
    return RivalSizes(
        feature_dim=PlainFeatures(task).dim,
        condition_dim=sum(slices[part].stop - slices[part].start for part in parts),
        mean_pose=data.mean_pose(),
        n_emotions=len(EMOTIONS),
        width=width,
        **curves_by_region(),
    )


def _errors(task: AnimationTask, animator: RivalAnimator) -> dict[str, float]:
    """Return the mean true errors on the validation utterances, in mm."""
    validation = task.corpus.split("validation")
    motion = pad_stack(animator.animate_many(validation), edge=True)
    errors = task.errors_of_motion(motion, validation)
    return {f"validation_{key}_mm": float(value.mean()) for key, value in errors.items()}
