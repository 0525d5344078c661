"""Who may ask the studio: host, origin and token."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.train.studio.conftest import PORT, TOKEN, Open


@pytest.fixture
def client(opened: Open) -> TestClient:
    made = opened()
    del made.headers["Authorization"]
    return made


@pytest.mark.parametrize("path", ["/", "/api/studio", "/web/main.js", "/api/jobs/x", "/nothing"])
def test_without_the_token_nothing_is_answered(client: TestClient, path: str) -> None:
    """Any program of the machine could listen in, and read whatever lies in the folder."""
    answer = client.get(path)
    assert answer.status_code == 403
    assert answer.text.startswith("This page needs the whole address that `esarm studio` printed")


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ünsinn"])
def test_another_token_is_none(client: TestClient, token: str) -> None:
    """A prefix that passes could be guessed letter by letter."""
    assert client.get(f"/?token={token}").status_code == 403
    headers = {"Authorization": f"Bearer {token}".encode()}
    assert client.get("/api/studio", headers=headers).status_code == 403


def test_the_address_gives_a_cookie_that_no_script_reads(client: TestClient) -> None:
    """A token that stays in the address is in the history and in every link that is copied."""
    answer = client.get(f"/?token={TOKEN}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert f"esarm-studio-{PORT}={TOKEN}" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "esarm studio" in client.get("/").text


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", ""]
)
def test_a_page_that_leads_its_name_here_is_refused(opened: Open, host: str) -> None:
    """DNS rebinding: the browser believes that the page and we are one host."""
    answer = opened().get("/api/studio", headers={"Host": host})
    assert answer.status_code == 421
    assert "for this machine alone" in answer.text


def test_the_other_name_of_the_machine_is_its_own(opened: Open) -> None:
    """People type `localhost`."""
    headers = {"Host": f"localhost:{PORT}"}
    assert opened().get("/api/studio", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT + 1}"],
)
def test_another_page_cannot_ask_for_work(opened: Open, origin: str) -> None:
    """It has no cookie of ours, and should a browser send it all the same, it is refused."""
    client = opened()
    answer = client.post("/api/sounds?name=a.wav", content=b"x", headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.text == "Another page may not ask for this."
    own = {"Origin": f"http://127.0.0.1:{PORT}"}
    assert client.post("/api/sounds?name=a.wav", content=b"x", headers=own).status_code == 400


def test_answers_let_a_browser_load_nothing_from_elsewhere(opened: Open) -> None:
    """The page works offline, and what it shows goes nowhere."""
    for path in ("/", "/web/main.js", "/api/studio", "/api/jobs/x", "/nothing"):
        headers = opened().get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "http:" not in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_files_of_the_page_are_those_of_its_folder_alone(opened: Open) -> None:
    """`..` in an address must not lead to the disk."""
    client = opened()
    assert client.get("/web/vendor/three.module.min.js").status_code == 200
    for name in (
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "vendor/README.md",
        "/etc/passwd",
        "",
        "vendor",
    ):
        answer = client.get(f"/web/{name}")
        assert answer.status_code == 404, name
