"""A studio that answers without a server, speech to give it, and a browser."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from train.studio.app import make_app
from train.studio.studio import Studio

# CI sets it: there a browser that is not found is a fault, and no reason to skip.
NEEDED = os.environ.get("ESARM_NEED_BROWSER") == "1"
FLAGS = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-gpu --enable-unsafe-swiftshader "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream "
    "--autoplay-policy=no-user-gesture-required"
).split()
# Names of other machines are not even looked up.
NO_NAMES = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"

PATIENCE_S = 40
PORT, TOKEN = 8123, "of-the-tests"
Open = Callable[..., TestClient]


@contextlib.contextmanager
def killed_late(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process that does not say or end what is waited for: the test fails, and ends."""
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def wave_bytes(audio: np.ndarray, rate_hz: int = 16_000) -> bytes:
    """Return samples as a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, audio, rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture(scope="session")
def spoken(make_speech: Callable[..., np.ndarray]) -> bytes:
    """A second of something like speech, as a WAV file."""
    return wave_bytes(make_speech(1.0))


@pytest.fixture
def folder(tmp_path: Path, spoken: bytes) -> Path:
    """A folder of speech, with a secret beside it and a link to that."""
    place = tmp_path / "voices"
    (place / "more").mkdir(parents=True)
    (place / "a.wav").write_bytes(spoken)
    (place / "more" / "b.wav").write_bytes(spoken)
    (place / "notes.txt").write_text("not a sound")
    (tmp_path / "secret.wav").write_bytes(spoken)
    (place / "out.wav").symlink_to(tmp_path / "secret.wav")
    return place


@pytest.fixture
def opened() -> Iterator[Open]:
    """A function that returns a client of a studio that does no jobs: nothing heavy is loaded."""
    studios: list[Studio] = []

    def open_studio(run: Path | None = None, **options: object) -> TestClient:
        studio = Studio(run, **options)  # type: ignore[arg-type]
        studios.append(studio)
        return client_of(studio)

    yield open_studio
    for studio in studios:
        studio.close()


def client_of(studio: Studio, *, token: str = TOKEN) -> TestClient:
    """Return a client that has the token."""
    app = make_app(studio, token=TOKEN, port=PORT)
    client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture(scope="module")
def live() -> Iterator[TestClient]:
    """A client of a studio that animates, by the policy that ships."""
    with client_of(Studio()) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if found is None:
        reason = (
            "no Chromium and Playwright here (apt-get install chromium; pip install playwright)"
        )
        assert not NEEDED, reason
        pytest.skip(reason)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=found, args=[*FLAGS, NO_NAMES])
        yield made
        made.close()


def finished(client: TestClient, job: dict[str, object]) -> dict[str, object]:
    """Return a job when it has ended."""
    studio: Studio = client.app.state.studio  # type: ignore[attr-defined]
    studio.jobs.get(str(job["id"])).ended.wait(120)
    answer = client.get(f"/api/jobs/{job['id']}")
    assert answer.status_code == 200
    told: dict[str, object] = answer.json()
    return told
