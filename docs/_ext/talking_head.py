"""Pictures of the README: the shipped head says one sentence with several emotions.

One is animated, two emotions side by side; one is a strip of stills, emotions by moments. `make
media` runs this. Everything comes from what ships: a validation sentence, the cloned policy
(decoded by expected distance, as `esarm animate` does), blinks and gaze, and the renderer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agents import animate, load_policy
from esarm_env import add_liveliness, open_speech, open_task
from esarm_env.face import load_head
from esarm_env.face.render import Palette, Renderer, View
from esarm_env.rendering import text

if TYPE_CHECKING:
    from esarm_env.core.types import Utterance

PICTURES = Path(__file__).parents[1] / "pictures"
UTTERANCE = "S05_119_neutral_1"
EMOTIONS = ("happy", "angry")
STRIP_EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised")
MOMENTS = 6  # stills of an emotion, evenly spaced over what is said
SIDE, BAR, SMALL = 256, 30, 17  # pixels: a head, the strip of its caption, and its letters
STILL, NAME = 128, 160  # pixels: a still in the strip, and, before it shrinks, an emotion's name
_STEP = 2  # of 30 frames a second, every second one is shown
_VIEW = View(yaw_deg=10.0, zoom=1.6, shift=(0.0, 0.0))
_BACKGROUND, _INK = (244, 245, 247), (30, 36, 46)


def motion_of(audio: np.ndarray, emotion: str) -> np.ndarray:
    """Return the animation of one sentence with one emotion at its highest intensity, (T, 52).

    Args:
        audio: Shape (n_samples,) at 16 kHz.
        emotion: Its name.
    """
    spoken = open_speech(audio, emotion=emotion, intensity=3)
    return add_liveliness(animate(load_policy(), spoken), seed=0)


def drawn(motion: np.ndarray) -> list[np.ndarray]:
    """Return pictures (SIDE, SIDE, 3) of the head, one for each row of `motion` (T, 52)."""
    renderer = Renderer(
        load_head(), size=(SIDE, SIDE), view=_VIEW, palette=Palette(background=_BACKGROUND)
    )
    return [renderer.frame(frame) for frame in motion]


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
    said = _sentence(utterance)
    columns = [drawn(motion_of(said.audio, emotion)[:most_frames:_STEP]) for emotion in emotions]
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
        output, save_all=True, append_images=frames[1:], duration=67, loop=0, quality=74, method=6
    )
    return output.stat().st_size


def make_strip(
    output: Path,
    *,
    utterance: str = UTTERANCE,
    emotions: tuple[str, ...] = STRIP_EMOTIONS,
    moments: int = MOMENTS,
) -> int:
    """Write a WebP of stills, emotions from top to bottom, and return its size in bytes.

    Args:
        output: The file.
        utterance: As of `make_picture`.
        emotions: A row of stills each.
        moments: Stills in a row.
    """
    said = _sentence(utterance)
    rows = []
    for emotion in emotions:
        motion = motion_of(said.audio, emotion)
        shown = np.linspace(0, len(motion), moments + 2)[1:-1].astype(int)
        row = np.full((SIDE, SIDE * moments + NAME, 3), _BACKGROUND, dtype=np.uint8)
        row[:, NAME:] = np.concatenate(drawn(motion[shown]), axis=1)
        _write(row, emotion, x=NAME // 2, y=SIDE // 2 - SMALL // 2)
        rows.append(row)
    sheet = Image.fromarray(np.concatenate(rows))
    size = (sheet.width * STILL // SIDE, sheet.height * STILL // SIDE)
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize(size, Image.Resampling.LANCZOS).save(output, quality=80, method=6)
    return output.stat().st_size


def _sentence(utterance: str) -> Utterance:
    task = open_task()
    return task.corpus[task.index_of[utterance]]


def _write(sheet: np.ndarray, words: str, *, x: int, y: int) -> None:
    text.draw(sheet, words, x=x, y=y, size=SMALL, colour=_INK, align="centre")


def main(arguments: list[str]) -> None:
    """Make both pictures; `--utterance` and `--output` choose another sentence and folder."""
    parser = argparse.ArgumentParser(description="The README's pictures of the head.")
    parser.add_argument("--output", type=Path, default=PICTURES)
    parser.add_argument("--utterance", default=UTTERANCE)
    given = parser.parse_args(arguments)
    for name, make in (("two_emotions.webp", make_picture), ("emotions.webp", make_strip)):
        size = make(given.output / name, utterance=given.utterance)
        print(f"{given.output / name}: {size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
