"""The server: its port, its address, its end, and whatever is asked of it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from tests.train.studio.conftest import Open, killed_late
from train.studio.server import _is_no_cancelling, listening


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_in_use_is_left_to_whoever_has_it(taken: int) -> None:
    """Two studios side by side, or another program on the port of the manual."""
    with listening(taken) as found:
        assert found.getsockname()[0] == "127.0.0.1", "nobody else on the network may ask"
        assert found.getsockname()[1] not in (0, taken)


def test_a_port_is_a_number_of_sixteen_bits() -> None:
    """The system's own words for it are those of C."""
    with pytest.raises(InputError, match=re.escape("`port` must be 0 to 65535, got 70000")):
        listening(70_000)


def test_the_command_answers_and_ends_at_once(taken: int, tmp_path: Path) -> None:
    """Address with a token, another port said, no traceback at Ctrl-C."""
    command = [sys.executable, "-m", "train.cli", "studio", "--no-open", "--port", str(taken)]
    code = "import sys; from train.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *command[3:]]
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as ran,
        killed_late(ran),
    ):
        assert ran.stdout is not None
        said, address = ran.stdout.readline(), ran.stdout.readline()
        found = re.fullmatch(r"studio: (http://127\.0\.0\.1:(\d+)/\?token=[\w-]{32})\n", address)
        assert found, address
        assert said == f"port {taken} is in use; this studio has {found[2]}\n"
        request = urllib.request.Request(found[1].replace("?", "api/studio?"))
        request.add_header("Authorization", f"Bearer {found[1].partition('=')[2]}")
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["policies"][0]["id"] == "shipped:auto"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{found[2]}/")
        os.kill(ran.pid, signal.SIGINT)
        rest = ran.stdout.read()
    assert (ran.returncode, rest) == (0, "Ctrl-C ends it.\n")


BUSY = """
import threading, torch
from train.studio.server import end_at_once
begun = threading.Event()
def work():
    a = torch.rand(64, 64)
    while True:
        a @ a
        begun.set()
threading.Thread(target=work, name="esarm-studio-jobs", daemon=True).start()
begun.wait()
print("is over")
end_at_once()
"""


def test_a_thread_in_the_midst_of_an_animation_does_not_abort_the_end() -> None:
    """Ctrl-C while the first policy was loaded ended in "terminate called without ..."."""
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "is over\n", "")


def test_formats_are_looked_through_before_there_are_threads() -> None:
    """USD's library that is loaded by a thread beside others could stop the whole studio."""
    pytest.importorskip("pxr", reason="needs the extra `usd`")
    code = (
        "import sys, threading; from train.studio.studio import Studio; "
        "Studio().close(); print('pxr.Tf' in sys.modules, threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True 1\n", done.stderr


def test_a_request_that_is_cut_off_by_ctrl_c_is_no_fault() -> None:
    """Uvicorn prints a traceback of each request that it no longer waits for."""
    cut = (asyncio.CancelledError, asyncio.CancelledError("graceful shutdown exceeded"), None)
    known = {"args": (), "exc_info": None}
    said = [
        ({"msg": "Exception in ASGI application\n", "exc_info": cut}, False),
        ({"msg": "Cancel %s running task(s), timeout graceful shutdown exceeded"}, False),
        (
            {
                "msg": "Exception in ASGI application\n",
                "exc_info": (ValueError, ValueError(), None),
            },
            True,
        ),
        ({"msg": "Invalid HTTP request received."}, True),
    ]
    for record, shown in said:
        assert _is_no_cancelling(logging.makeLogRecord({**known, **record})) is shown, record


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact pip line."""
    from train.commands.figures import command_studio

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "train.studio.server")
    message = "`esarm studio` needs `uvicorn`: run `pip install 'esarm[studio]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        command_studio()


def test_a_run_that_is_not_there_is_refused(tmp_path: Path, opened: Open) -> None:
    """A mistyped run must not open the shipped policy in silence."""
    message = f"{tmp_path / 'no'}: must be a run folder, got none of that name"
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path / "no")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, opened: Open, folder: Path) -> None:
    """A folder of speech in the place of a run gave a page that had lost its speech."""
    rule = f"{folder}: must be a run folder (with config.yaml), got another folder; one of speech"
    with pytest.raises(InputError, match=re.escape(rule)):
        opened(folder)


def test_two_hundred_random_requests_end_in_no_fault_of_ours(
    opened: Open, folder: Path, spoken: bytes
) -> None:
    """Whatever is asked for, the answer is a page, data, or a sentence: no status above 499."""
    client, rng = opened(folder=folder), np.random.default_rng(18)
    sound = client.post("/api/sounds?name=a.wav", content=spoken).json()["id"]
    job = client.post("/api/animations", json={"sound": sound}).json()["id"]
    paths = [route.path for route in client.app.routes]  # type: ignore[attr-defined]
    words = [
        sound,
        job,
        "0",
        "-1",
        "99999999999999999999",
        "..",
        "%00",
        "ü",
        "x" * 300,
        "esarm",
        "a.wav",
        "nan",
    ]
    keys = [
        "name",
        "head",
        "size",
        "format",
        "rate",
        "split",
        "search",
        "from",
        "token",
        "sound",
        "methods",
        "emotion",
        "samples",
    ]
    values = [
        *words,
        None,
        True,
        -1,
        1e308,
        float("nan"),
        [],
        {},
        [[]],
        {"kind": "curve"},
        ["clone"],
        {"kind": "mix", "shares": {"happy": 1e308, "sad": 1e308}},
    ]
    seen: dict[int, int] = {}

    def any_of(choices: list[object]) -> object:
        return choices[int(rng.integers(len(choices)))]

    for _ in range(200):
        path = re.sub(r"\{[^}]*\}", lambda _: str(any_of(words)), str(any_of(paths)))
        query = {str(any_of(keys)): str(any_of(words)) for _ in range(rng.integers(3))}
        asked = {str(any_of(keys)): any_of(values) for _ in range(rng.integers(4))}
        body = any_of(
            [
                b"",
                rng.bytes(40),
                json.dumps(asked).encode(),
                json.dumps({"sound": sound, **asked}).encode(),
            ]
        )
        method = str(any_of(["GET", "GET", "POST", "POST", "DELETE", "HEAD", "PUT"]))
        answer = client.request(method, path, params=query, content=body)
        assert answer.status_code < 500, (method, path, query, body, answer.text)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
    assert {200, 400, 404, 405} <= set(seen), "the requests must reach something"
