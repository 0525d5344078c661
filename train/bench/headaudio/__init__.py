"""HeadAudio (Suominen 2025), a peer that hears visemes in speech, from its npm package.

Its processor (12 mel-frequency cepstral coefficients, a Gaussian for each phoneme, a vote over six
windows of 32 ms) runs in Node as it was published; the way from its visemes to face curves is ours:

- A viseme rises and falls within 0.1 s each, by the sigmoid and to the highest values of its class
  `HeadAudio`, which needs a browser. That class never shows viseme 0 (aa), by a test for truth of
  its number; here it is shown.
- Oculus visemes become ARKit curves by `openfacefx`'s table, times a gain.

MIT; nothing of it is in our package.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, MissingProgramError
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, SAMPLE_RATE_HZ, FloatArray
from esarm_env.face.names import index_of
from esarm_env.task.animation_task import pad_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask

PACKAGE = "@met4citizen/headaudio"
FOLDER_VARIABLE = "ESARM_HEADAUDIO"
VISEMES = tuple("aa E I O U PP SS TH DD FF kk nn RR CH sil".split())
_HIGHEST = {"PP": 0.75, "FF": 0.75}  # others
_OTHERS_HIGHEST = 0.65
_RISE_S = 0.1
_STEEPNESS = 5.0
_NEAR = 0.01  # of either end counts as the end
_SCRIPT = Path(__file__).with_name("visemes.mjs")


def headaudio_folder() -> Path:
    """Return the folder of the npm package, from `ESARM_HEADAUDIO` or `node_modules` here.

    Raises:
        MissingProgramError: If Node or the package is missing; says how to install it.
    """
    if shutil.which("node") is None:
        raise MissingProgramError("HeadAudio runs in Node.js, and no `node` is on the path")
    place = os.environ.get(FOLDER_VARIABLE)
    folder = Path(place) if place else Path("node_modules", *PACKAGE.split("/"))
    if not (folder / "modules" / "processor.mjs").is_file():
        raise MissingProgramError(
            f"HeadAudio is not in {folder}: `npm install {PACKAGE}`, or set {FOLDER_VARIABLE} to "
            "its folder"
        )
    return folder


def fitted_peer(task: AnimationTask) -> tuple[Callable[[IntArray], list[FloatArray]], float]:
    """Return what animates utterances of a task, and its gain, fitted on training utterances.

    Raises:
        MissingProgramError: If HeadAudio is missing.
    """
    from esarm_env.task.episode_metrics import LVE
    from train.bench.peers import GAINS, training_sample

    def values(utterances: IntArray) -> list[FloatArray]:
        audios = [task.corpus[int(index)].audio for index in utterances]
        return viseme_values(audios, task.n_frames[utterances].tolist())

    fitted_on = training_sample(task)
    heard = values(fitted_on)

    def error(gain: float) -> float:
        motions = [viseme_curves(each, gain=gain) for each in heard]
        return float(task.errors_of_motion(pad_stack(motions, edge=True), fitted_on)[LVE].mean())

    gain = min(GAINS, key=error)
    return lambda rows: [viseme_curves(each, gain=gain) for each in values(rows)], gain


def viseme_values(audios: Sequence[FloatArray], n_frames: Sequence[int]) -> list[FloatArray]:
    """Return how strongly each viseme is shown, (T, 15) each at 30 fps, in [0, 0.75].

    Args:
        audios: Shape (n_samples,) each, 16 kHz.
        n_frames: Length T of each.

    Raises:
        InputError: If it fails.
        MissingProgramError: If it is missing.
    """
    folder = headaudio_folder()
    with tempfile.TemporaryDirectory() as place:
        asked = []
        for number, audio in enumerate(audios):
            path = Path(place) / f"{number}.f32"
            path.write_bytes(np.ascontiguousarray(audio, dtype="<f4").tobytes())
            asked.append(json.dumps({"path": str(path), "rate": SAMPLE_RATE_HZ}))
        done = subprocess.run(
            ["node", str(_SCRIPT), str(folder)],
            input="\n".join(asked) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
    answers = done.stdout.splitlines()
    if done.returncode or len(answers) != len(audios):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"HeadAudio failed in Node: {last}")
    return [
        shown(json.loads(answer), length) for answer, length in zip(answers, n_frames, strict=True)
    ]


def shown(events: Sequence[tuple[float, int]], n_frames: int) -> FloatArray:
    """Return how strongly each viseme is shown, (n_frames, 15), of events (seconds, viseme).

    A viseme rises while it is the latest, and falls afterwards; -1 is none.
    """
    active = np.full(n_frames, -1)
    for time_s, viseme in events:
        active[max(0, int(np.ceil(time_s * FRAME_RATE_HZ))) :] = viseme
    active[active == VISEMES.index("sil")] = -1
    step, alpha = 1 / (FRAME_RATE_HZ * _RISE_S), np.zeros(len(VISEMES), dtype=np.float32)
    rows = np.zeros((n_frames, len(VISEMES)), dtype=np.float32)
    highest = np.array([_HIGHEST.get(name, _OTHERS_HIGHEST) for name in VISEMES])
    for t in range(n_frames):
        alpha = alpha + np.where(np.arange(len(VISEMES)) == active[t], step, -step)
        alpha = np.where(alpha < _NEAR, 0, np.where(alpha > 1 - _NEAR, 1, alpha))
        rows[t] = highest * _eased(alpha)
    return rows


def viseme_curves(values: FloatArray, *, gain: float = 1.0) -> FloatArray:
    """Return face curves (T, 52) in [0, 1] of viseme values (T, 15), by `openfacefx`'s table.

    Raises:
        MissingExtraError: If `openfacefx` is not installed.
    """
    from train.bench.peers import need_openfacefx

    openfacefx = need_openfacefx(purpose="showing visemes as ARKit curves")
    to_curves = np.zeros((len(VISEMES), N_CHANNELS), dtype=np.float32)
    for name, parts in openfacefx.PRESETS["arkit"].items():
        for curve, share in parts:
            to_curves[VISEMES.index(name), index_of(curve)] = share
    return (gain * values @ to_curves).clip(0, 1).astype(np.float32)


def _eased(alpha: FloatArray) -> FloatArray:
    """Return a sigmoid of `alpha` in [0, 1] that goes through (0, 0) and (1, 1)."""
    steep = np.tanh(_STEEPNESS * (alpha - 0.5)) / np.tanh(_STEEPNESS / 2)
    eased: FloatArray = (0.5 + 0.5 * steep).astype(np.float32)
    return eased
