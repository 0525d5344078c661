"""Speech that the studio takes, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import train.studio.sounds
from esarm_env.core.errors import InputError
from tests.train.studio.conftest import Open, wave_bytes
from train.studio.access import Shelf
from train.studio.sounds import plain_name


def upload(client: TestClient, body: bytes, name: str = "a.wav") -> tuple[int, dict[str, object]]:
    answer = client.post("/api/sounds", params={"name": name}, content=body)
    told: dict[str, object] = answer.json()
    return answer.status_code, told


def test_speech_comes_back_as_it_is_animated(opened: Open, spoken: bytes) -> None:
    """Sound and face are of one clock only if both are of these samples."""
    client = opened()
    status, told = upload(client, spoken, "ann.wav")
    assert (status, told["name"], told["duration_s"]) == (201, "ann.wav", 1.0)
    answer = client.get(f"/api/sounds/{told['id']}")
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.content == spoken


def test_an_empty_file_is_refused(opened: Open) -> None:
    """A download that broke off at once."""
    told = {"error": "a.wav: must be a sound file, got 0 bytes"}
    assert upload(opened(), b"") == (400, told)


def test_what_is_no_sound_is_refused_by_its_own_name(opened: Open) -> None:
    """A message about a temporary file says nothing to who dropped a picture."""
    status, told = upload(opened(), b"\x89PNG\r\n" + bytes(500), "face.png")
    assert status == 400
    assert str(told["error"]).startswith("face.png: must be ")


def test_silence_is_refused(opened: Open) -> None:
    """A microphone that is switched off."""
    status, told = upload(opened(), wave_bytes(np.zeros(16_000, dtype=np.float32)))
    assert status == 400
    assert "a.wav: must hold speech, got silence" in str(told["error"])


def test_half_an_hour_is_refused(opened: Open) -> None:
    """It would be animated for minutes, and nobody could cancel what is read."""
    half_an_hour = np.zeros(30 * 60 * 8000, dtype=np.int16)
    status, told = upload(opened(), wave_bytes(half_an_hour, 8000))
    assert status == 400
    assert str(told["error"]).startswith("a.wav: duration must be 0.2 to 600 s, got 1800.000 s")


def test_an_upload_beyond_the_limit_is_refused_before_it_is_read(opened: Open) -> None:
    """A film of an evening must not fill the disk."""
    client = opened()
    answer = client.post(
        "/api/sounds?name=film.wav", content=b"x", headers={"Content-Length": str(200 * 2**20)}
    )
    assert answer.status_code == 413
    assert answer.json()["error"].startswith(
        "film.wav: must have at most 128 MB, got 200 MB or more"
    )


def test_an_upload_that_states_no_length_is_counted(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A length that is not stated, or a lie, must not be a way round the limit."""
    monkeypatch.setattr(train.studio.sounds, "MOST_BYTES", 3 * 2**20)
    client = opened()
    answer = client.post("/api/sounds?name=a.wav", content=(bytes(2**20) for _ in range(5)))
    assert answer.status_code == 413
    studio = client.app.state.studio  # type: ignore[attr-defined]
    assert list(studio.temporary.iterdir()) == [], "the part that came is deleted"


def test_uploads_leave_no_files(opened: Open, spoken: bytes) -> None:
    """A day of dropping files would fill the disk."""
    client = opened()
    upload(client, spoken)
    upload(client, b"no sound")
    studio = client.app.state.studio  # type: ignore[attr-defined]
    assert list(studio.temporary.iterdir()) == []


def test_the_oldest_sounds_are_forgotten(opened: Open, spoken: bytes) -> None:
    """Memory must not grow as long as the page is open."""
    client = opened()
    first = upload(client, spoken)[1]
    sounds = client.app.state.studio.sounds  # type: ignore[attr-defined]
    for number in range(32):
        sounds.add(f"{number}", np.zeros(10, dtype=np.float32))
    answer = client.get(f"/api/sounds/{first['id']}")
    assert answer.status_code == 404
    assert answer.json() == {"error": "this sound was forgotten; drop the file again"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\voices\\a.wav", "a.wav"),
        ("", "recording"),
        ("a\x00b\n.wav", "a_b_.wav"),
        ("x" * 500, "x" * 120),
    ],
)
def test_names_of_files_are_names_alone(given: str, kept: str) -> None:
    """A name goes into messages and into the names of downloads."""
    assert plain_name(given) == kept


def test_speech_of_the_folder_can_be_chosen(opened: Open, folder: Path) -> None:
    """`--folder` lists what lies there, and no link out of it."""
    client = opened(folder=folder)
    assert client.get("/api/studio").json()["sounds"] == ["a.wav", "more/b.wav"]
    answer = client.post("/api/sounds/chosen", json={"name": "more/b.wav"})
    assert answer.status_code == 201
    assert answer.json()["name"] == "b.wav"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.wav",
        "out.wav",
        "more/../../secret.wav",
        "/etc/hostname",
        "none.wav",
        "more",
        ".",
        "a\x00.wav",
        "x" * 900,
    ],
)
def test_no_file_outside_the_folder_is_read(opened: Open, folder: Path, name: str) -> None:
    """The page would be a way to the whole disk."""
    answer = opened(folder=folder).post("/api/sounds/chosen", json={"name": name})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the file must be one of the chosen folder, got ")


def test_an_absolute_path_into_the_folder_is_no_name(folder: Path) -> None:
    """Names are of the folder: a page need not know where it lies."""
    shelf = Shelf(folder)
    with pytest.raises(InputError, match="the file must be one of the chosen folder, got "):
        shelf.path(str(folder / "a.wav"))
    assert shelf.path("a.wav") == folder / "a.wav"


def test_without_a_folder_none_is_read(opened: Open) -> None:
    """The working folder is not chosen by anybody."""
    answer = opened().post("/api/sounds/chosen", json={"name": "setup.cfg"})
    assert answer.status_code == 400
    assert (
        answer.json()["error"]
        == "there must be a chosen folder, got none; start with --folder FOLDER"
    )


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A mistyped folder is an empty list."""
    message = f"`folder` must be a folder that is there, got '{tmp_path / 'no'}'"
    with pytest.raises(InputError, match=re.escape(message)):
        Shelf(tmp_path / "no")
