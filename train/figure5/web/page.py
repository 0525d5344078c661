"""Web page of the figure: one file with its sound, its data and its script, for a click.

It loads nothing: it works from a disk without a network. The heads are drawn by the page's script
from the mesh and the 52 coefficients of every frame, so that nothing is lost to a video's codec,
heads can be turned, and a minute of ten methods stays below some megabytes.
"""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import write_text
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from train.figure5.error_colours import STOPS
from train.figure5.methods import RECORDING, row_colours
from train.figure5.strip import FACE
from train.figure5.web.mesh import packed_head, packed_motion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esarm_env.core.types import FloatArray
    from esarm_env.face.head import Head
    from train.figure5.methods import Row
    from train.figure5.quantities import Quantity
    from train.figure5.subject import Subject

TEMPLATE = Path(__file__).with_name("page.html")


def page_data(
    subject: Subject,
    rows: Sequence[Row],
    *,
    head: Head,
    quantities: Sequence[Quantity],
    beside: Sequence[str],
    title: str,
    scale_mm: float,
    emotions: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what the page's script reads.

    Args:
        subject: What is animated.
        rows: Top row first.
        head: Drawn with every row.
        quantities: Curves below the heads.
        beside: A line for each row, such as its error.
        title: Of the page.
        scale_mm: End of the error's colour bar.
        emotions: Of the curves by emotion `picture` (a data URI), `text`, and `table` (rows of
            text, the header first); None if there are none.
    """
    colours = row_colours([row.label for row in rows])
    return {
        "title": title,
        "name": subject.name,
        "condition": subject.condition,
        "text": subject.text,
        "notes": [note for note in (subject.phones_note, *subject.notes) if note],
        "fps": FRAME_RATE_HZ,
        "n_frames": subject.n_frames,
        "truth": RECORDING if any(row.name == RECORDING for row in rows) else None,
        "phones": [
            [span.label, round(span.start_s, 3), round(span.end_s, 3)] for span in subject.phones
        ],
        "methods": [
            {
                "name": row.name,
                "label": row.label,
                "error": said,
                "colour": colours[row.label],
                "motion": packed_motion(row.motion),
            }
            for row, said in zip(rows, beside, strict=True)
        ],
        "quantities": [
            {"name": each.name, "weights": np.round(each.weights, 5).tolist()}
            for each in quantities
        ],
        "head": packed_head(head, FACE),
        "stops": [list(stop) for stop in STOPS],
        "scale_mm": scale_mm,
        "emotions": None if emotions is None else dict(emotions),
        "audio": base64.b64encode(wave_bytes(subject.audio)).decode(),
    }


def wave_bytes(audio: FloatArray) -> bytes:
    """Return samples (n,) at 16 kHz as a WAV file of 16 bits."""
    import soundfile  # heavy, as elsewhere

    file = io.BytesIO()
    soundfile.write(file, np.clip(audio, -1.0, 1.0), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


def picture_uri(path: Path) -> str:
    """Return a PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def write_page(data: Mapping[str, Any], target: Path) -> None:
    """Write the page.

    Raises:
        InputError: If it cannot be written.
    """
    # `<` never stands in the script's data as such, so that no text can end it.
    told = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    page = TEMPLATE.read_text(encoding="utf-8")
    before, _, after = page.partition("@DATA@")
    write_text(target, before.replace("@TITLE@", html.escape(str(data["title"]))) + told + after)
