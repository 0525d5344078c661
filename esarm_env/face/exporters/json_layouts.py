"""Exporters `beat`, `lam` and `audio2face`: curves as JSON, in the layouts of these three.

BEAT (Liu et al. 2022): frames of 51 weights, without `tongueOut`, each with its time in seconds and
an empty `rotation`. LAM (LAM_Audio2Expression): the same with all 52 and the rate as `metadata`.
Audio2Face: one matrix, with its rate and the names of its columns.
"""

from __future__ import annotations

import json
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from esarm_env.face.exporters.clip import at_rate, check_motion
from esarm_env.face.exporters.registry import Exporter
from esarm_env.face.names import ORDERS, convert, index_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from esarm_env.face.exporters.clip import Sound

_DECIMALS = 6
_SEEN = 0.01  # a tongue that is out by less nobody sees


def _rows(motion: FloatArray, order: str) -> list[list[float]]:
    """Return frames with their columns as in `ORDERS[order]`."""
    moved = convert(motion, source="alphabetical", target=order)
    return [[round(value, _DECIMALS) for value in row] for row in moved.tolist()]


def _timed(motion: FloatArray, order: str, rate_hz: int) -> list[dict[str, Any]]:
    return [
        {"weights": row, "time": round(frame / rate_hz, _DECIMALS), "rotation": []}
        for frame, row in enumerate(_rows(motion, order))
    ]


def _beat(motion: FloatArray, rate_hz: int, speech: Sound | None) -> dict[str, Any]:
    if motion[:, index_of("tongueOut")].max() > _SEEN:
        message = "format beat has no `tongueOut`: the tongue is left out"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return {"names": list(ORDERS["beat"]), "frames": _timed(motion, "beat", rate_hz)}


def _lam(motion: FloatArray, rate_hz: int, speech: Sound | None) -> dict[str, Any]:
    names = list(ORDERS["alphabetical"])
    about = {"fps": float(rate_hz), "frame_count": len(motion), "blendshape_names": names}
    return {"names": names, "metadata": about, "frames": _timed(motion, "alphabetical", rate_hz)}


def _audio2face(motion: FloatArray, rate_hz: int, speech: Sound | None) -> dict[str, Any]:
    return {
        "exportFps": float(rate_hz),
        "trackPath": "" if speech is None else speech.name,
        "numPoses": len(ORDERS["unreal"]),
        "numFrames": len(motion),
        "facsNames": list(ORDERS["unreal"]),
        "weightMat": _rows(motion, "unreal"),
    }


def _write(
    layout: Callable[[FloatArray, int, Sound | None], dict[str, Any]],
    path: Path,
    motion: FloatArray,
    *,
    rate_hz: int,
    speech: Sound | None = None,
) -> None:
    values = at_rate(check_motion(motion, rate_hz=rate_hz), rate_hz)
    text = json.dumps(layout(values, rate_hz, speech), separators=(",", ":"), ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="")


BEAT = Exporter(
    ".json", partial(_write, _beat), "BEAT's JSON: frames of 51 weights (no tongueOut) and times."
)
LAM = Exporter(
    ".json", partial(_write, _lam), "LAM_Audio2Expression's JSON: frames of 52 weights, with fps."
)
AUDIO2FACE = Exporter(
    ".json", partial(_write, _audio2face), "NVIDIA Audio2Face's JSON: facsNames and weightMat."
)
