"""Picture of the studio's page: a shipped sentence, dropped and played, as an animated WebP.

`make media` runs it. Needs Chromium, and Playwright (extra `dev`).
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import sync_playwright

from esarm_env import open_task

OUTPUT = Path(__file__).parents[1] / "pictures" / "studio.webp"
UTTERANCE = "S05_119_neutral_1"
WINDOW, SHOWN = (1280, 800), (800, 500)  # pixels
STEP_S = 0.1
_FLAGS = ("--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader")
# Polled frame by frame: the page's policy forbids what Playwright's own waiting evaluates.
_ANIMATED = """async () => {
  const { stage } = window.studio;
  while (!(stage.takes[0] && stage.takes[0].job && stage.player.buffer))
    await new Promise(done => requestAnimationFrame(done));
  return stage.player.buffer.duration;
}"""
_SEEK = """async time => {
  window.studio.stage.player.seek(time);
  for (let i = 0; i < 3; i++) await new Promise(done => requestAnimationFrame(done));
}"""


def pictures(url: str, speech: Path) -> list[Image.Image]:
    """Return pictures of the page as it plays `speech`, one each `STEP_S`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(_FLAGS)
        )
        page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]})
        page.goto(url)
        page.locator("#file").set_input_files(str(speech))
        length_s = page.evaluate(_ANIMATED)
        made = [_at(page, time) for time in np.arange(0, length_s, STEP_S)]
        browser.close()
    return made


def _at(page: Any, time_s: float) -> Image.Image:
    page.evaluate(_SEEK, float(time_s))
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return shot.resize(SHOWN, Image.Resampling.LANCZOS)


def main(arguments: list[str]) -> None:
    """Make the picture; `--output` chooses another place."""
    parser = argparse.ArgumentParser(description="Picture of the studio's page.")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output: Path = parser.parse_args(arguments).output
    task = open_task()
    said = task.corpus[task.index_of[UTTERANCE]]
    studio = [shutil.which("esarm", path=str(Path(sys.executable).parent)) or "esarm", "studio"]
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.wav"
        soundfile.write(speech, said.audio, 16_000)
        with subprocess.Popen(
            [*studio, "--no-open", "--port", "0"], stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None, "it is a pipe"
            address = next(filter(None, (re.search(r"http\S+", line) for line in server.stdout)))
            try:
                made = pictures(address.group(), speech)
            finally:
                server.terminate()
    output.parent.mkdir(parents=True, exist_ok=True)
    how: dict[str, Any] = {"duration": round(1000 * STEP_S), "loop": 0}
    made[0].save(output, save_all=True, append_images=made[1:], quality=55, method=6, **how)
    print(f"{output}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
