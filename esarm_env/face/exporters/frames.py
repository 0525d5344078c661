"""Rendered frames of a clip, by several processes: in one alone 10 s of video take 17.

Processes and not threads, which numpy's renderer does not run faster in. Each is this module as a
program: arrays on its standard input, pixels on its standard output.
"""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from esarm_env.core.processors import n_processors
from esarm_env.face.head import Head
from esarm_env.face.render import Renderer, View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esarm_env.core.types import FloatArray
    from esarm_env.face.render.raster import Image

SIDE = 480  # pixels
# A little from the side, so that lips and brows have depth, and near enough to read the lips.
VIEW = View(yaw_deg=12.0, zoom=1.12)
_COMMAND = (sys.executable, "-m", "esarm_env.face.exporters.frames")
_WORTH_A_PROCESS = 45  # frames: a process starts in the time of ten
_MOST_PROCESSES = 8
_REGION = "region/"


def rendered(head: Head, motion: FloatArray, *, n_processes: int | None = None) -> Iterator[Image]:
    """Yield the picture of each frame, shape (`SIDE`, `SIDE`, 3), uint8, sRGB, in order.

    Args:
        head: Any head.
        motion: Shape (T, 52), alphabetical order.
        n_processes: How many; by default one for each processor, fewer for short clips.
    """
    worth = min(n_processors(), _MOST_PROCESSES, len(motion) // _WORTH_A_PROCESS)
    count = worth if n_processes is None else n_processes
    if count < 2:
        renderer = _renderer(head)
        for row in motion:
            yield renderer.frame(row)
        return
    workers = [_Worker() for _ in range(count)]  # all start before the first is fed
    try:
        for first, worker in enumerate(workers):
            worker.feed(head, motion[first::count])
        for frame in range(len(motion)):
            yield workers[frame % count].next_frame()
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that renders some of the frames."""

    def __init__(self) -> None:
        # In a session of its own, so that Ctrl-C is for us, who end it, and not for it.
        self._process = subprocess.Popen(
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def feed(self, head: Head, motion: FloatArray) -> None:
        """Say what it is to render."""
        content = io.BytesIO()
        arrays: dict[str, Any] = {"motion": motion, "vertices": head.vertices}
        arrays |= {"faces": head.faces, "deltas": head.deltas}
        arrays |= {f"{_REGION}{name}": rows for name, rows in head.regions.items()}
        np.savez(content, **arrays)
        assert self._process.stdin is not None, "it was asked for"
        try:
            with self._process.stdin as pipe:
                pipe.write(content.getvalue())
        except BrokenPipeError:
            pass  # it ended, which is said where its frames are missing

    def next_frame(self) -> Image:
        """Wait for its next frame."""
        assert self._process.stdout is not None, "it was asked for"
        size = SIDE * SIDE * 3
        pixels = self._process.stdout.read(size)
        if len(pixels) != size:
            code = self._process.wait()
            raise OSError(f"a process that renders frames ended with {code} before its last frame")
        return np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE, 3)

    def stop(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _renderer(head: Head) -> Renderer:
    return Renderer(head, size=(SIDE, SIDE), view=VIEW)


def main() -> None:
    """Render the frames that standard input holds to standard output."""
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as given:
        arrays = {name: given[name] for name in given.files}
    regions = {name.removeprefix(_REGION): rows for name, rows in arrays.items() if _REGION in name}
    renderer = _renderer(Head(arrays["vertices"], arrays["faces"], arrays["deltas"], regions))
    try:
        # One process for each processor: more threads than that wait for each other.
        with threadpool_limits(1, user_api="blas"):
            for row in arrays["motion"]:
                sys.stdout.buffer.write(renderer.frame(row).tobytes())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        sys.stderr.close()  # whoever asked has gone, also for the farewell of our standard output


if __name__ == "__main__":
    main()
