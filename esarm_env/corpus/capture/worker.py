"""Worker process that captures videos named on standard input, one after the other.

Started as `python -m`, not by `multiprocessing`: that would run the caller's script a second time
wherever it has no `if __name__ == "__main__"`. MediaPipe is C++ and ends its process on some bad
input; here it takes one video with it, not the run. It also keeps its log lines out of ours.

One JSON object a line: `{}` once ready, or `{"missing": PACKAGE}`, or `{"fault": TEXT}`; then for
each `{"video": ..., "target": ...}` the fields of a `CaptureSummary` or `{"fault": TEXT}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from esarm_env.core.errors import InputError
from esarm_env.corpus.capture.landmarker import PACKAGES, open_landmarker
from esarm_env.corpus.capture.video import CaptureSummary, capture_video


def main(arguments: list[str]) -> None:
    """Capture with the model in `arguments[0]` until standard input ends."""
    # Whatever C++ prints on standard output must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    model = Path(arguments[0])
    hello = readiness(model)
    _answer(answers, hello)
    if not hello:
        serve(
            sys.stdin,
            answers,
            capture=lambda video, target: capture_video(video, target, model=model),
        )


def serve(
    orders: TextIO, answers: TextIO, *, capture: Callable[[Path, Path], CaptureSummary]
) -> None:
    """Answer every line of `orders`; errors are sent as answers."""
    for line in orders:
        order = json.loads(line)
        try:
            answer = asdict(capture(Path(order["video"]), Path(order["target"])))
        except InputError as error:
            answer = {"fault": str(error)}
        except Exception as error:  # a bug that one video shows must not cost the others
            answer = {"fault": f"{order['video']}: {type(error).__name__}: {error}"}
        _answer(answers, answer)


def readiness(model: Path) -> dict[str, str]:
    """Return an empty answer if `model` can be used, else the reason."""
    for package in PACKAGES:
        if find_spec(package) is None:
            return {"missing": package}
    try:
        with open_landmarker(model):
            return {}
    except InputError as error:
        return {"fault": str(error)}


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
