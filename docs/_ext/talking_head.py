"""Picture of the README: the shipped head says one sentence with two emotions, side by side.

`make picture` runs it. Everything comes from what ships: a validation sentence, the cloned policy
(decoded by expected distance, as `esarm animate` does), blinks and gaze, and the renderer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from agents import animate, load_policy
from esarm_env import add_liveliness, open_speech, open_task
from esarm_env.face import load_head
from esarm_env.face.render import Palette, Renderer, View
from esarm_env.rendering import text

OUTPUT = Path(__file__).parents[1] / "pictures" / "two_emotions.webp"
UTTERANCE = "S05_119_neutral_1"
EMOTIONS = ("happy", "angry")
SIDE, BAR, SMALL = 256, 30, 17  # pixels: a head, the strip of its caption, and its letters
_VIEW = View(yaw_deg=10.0, zoom=1.6, shift=(0.0, 0.0))
_BACKGROUND, _INK = (244, 245, 247), (30, 36, 46)


def heads_of(audio: np.ndarray, emotion: str, *, most: int | None = None) -> list[np.ndarray]:
    """Return the pictures of one sentence with one emotion, (SIDE, SIDE, 3) each, 30 a second.

    Args:
        audio: Shape (n_samples,) at 16 kHz.
        emotion: Its name; the intensity is the highest.
        most: Pictures to draw at most; None draws all.
    """
    spoken = open_speech(audio, emotion=emotion, intensity=3)
    motion = add_liveliness(animate(load_policy(), spoken), seed=0)
    drawn = Renderer(
        load_head(), size=(SIDE, SIDE), view=_VIEW, palette=Palette(background=_BACKGROUND)
    )
    return [drawn.frame(frame) for frame in motion[:most]]


def make_picture(
    output: Path,
    *,
    utterance: str = UTTERANCE,
    emotions: tuple[str, ...] = EMOTIONS,
    most_frames: int | None = None,
) -> int:
    """Write an animated WebP and return its size in bytes.

    Args:
        output: The file.
        utterance: Id of an utterance that ships, whose speech is heard.
        emotions: What the heads show, from left to right.
        most_frames: Frames at most; None takes all.
    """
    task = open_task()
    said = task.corpus[task.index_of[utterance]]
    columns = [heads_of(said.audio, emotion, most=most_frames) for emotion in emotions]
    width = SIDE * len(emotions)
    frames = []
    for heads in zip(*columns, strict=True):
        sheet = np.full((SIDE + 2 * BAR, width, 3), _BACKGROUND, dtype=np.uint8)
        sheet[BAR : BAR + SIDE] = np.concatenate(heads, axis=1)
        for place, emotion in enumerate(emotions):
            _write(sheet, emotion, x=SIDE * place + SIDE // 2, y=4)
        _write(sheet, f'"{said.record.text}"', x=width // 2, y=SIDE + BAR + 2)
        frames.append(Image.fromarray(sheet))
    output.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(
        output, save_all=True, append_images=frames[1:], duration=33, loop=0, quality=74, method=6
    )
    return output.stat().st_size


def _write(sheet: np.ndarray, words: str, *, x: int, y: int) -> None:
    text.draw(sheet, words, x=x, y=y, size=SMALL, colour=_INK, align="centre")


def main(arguments: list[str]) -> None:
    """Make the picture; `--utterance`, `--emotions` and `--output` choose another."""
    parser = argparse.ArgumentParser(description="The README's picture.")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--utterance", default=UTTERANCE)
    parser.add_argument("--emotions", nargs="+", default=list(EMOTIONS))
    given = parser.parse_args(arguments)
    size = make_picture(given.output, utterance=given.utterance, emotions=tuple(given.emotions))
    print(f"{given.output}: {size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
