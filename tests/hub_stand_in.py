"""A stand-in for the Hugging Face Hub: a server on localhost that speaks what its client asks.

It creates repositories, takes commits (small files in base64, large ones by the LFS protocol),
keeps every revision, lists trees, serves files, and refuses as the Hub does. Wrong behaviour can be
asked for: files that are cut on the way, repositories that are gated.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

USER, TOKEN = "ann", "hf_stand_in"
LFS_SUFFIXES = (".safetensors", ".npz", ".bin")


@dataclass
class Repository:
    """What the Hub keeps of a repository.

    Attributes:
        private: Whether a token is asked for.
        gated: Whether a token is not enough.
        commits: Files by path, by commit.
        refs: Commit by branch or tag.
    """

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def find(self, revision: str) -> str | None:
        """Return the commit of a revision."""
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    def add(self, branch: str, files: dict[str, bytes]) -> str:
        """Add a commit, and return its hash."""
        told = [f"{name} {hashlib.sha1(data).hexdigest()}" for name, data in sorted(files.items())]
        text = "\n".join([str(len(self.commits)), *told])
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[commit] = files
        self.refs[branch] = commit
        return commit


class HubStandIn(ThreadingHTTPServer):
    """The server.

    Attributes:
        repositories: By `user/name`.
        blobs: Content of large files by their SHA-256.
        asked: Method and path of every request, without its query.
        cut: Files that are cut in half on the way, by path.
        fails: Whether it answers every request with an error of its own.
    """

    daemon_threads = True

    def __init__(self) -> None:
        """Bind a free port of localhost."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut: set[str] = set()
        self.fails = False

    @property
    def endpoint(self) -> str:
        """Address of the server, for `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self.server_port}"

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """Return the files of a repository, by path."""
        repository = self.repositories[name]
        return repository.commits[repository.refs.get(revision, revision)]

    def change(self, name: str, files: dict[str, bytes | None]) -> str:
        """Commit other files as a stranger would; None takes one out. Return the commit."""
        kept = {**self.files(name), **files}
        changed = {path: data for path, data in kept.items() if data is not None}
        return self.repositories[name].add("main", changed)


@contextmanager
def serving() -> Iterator[HubStandIn]:
    """Serve while the block runs."""
    with HubStandIn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Refusal(Exception):
    """An answer that is none."""

    def __init__(self, status: int, code: str = "") -> None:
        super().__init__(status, code)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    """Answers one request after the other of a connection."""

    protocol_version = "HTTP/1.1"
    server: HubStandIn

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Send a file, a tree or what is known of a repository."""
        self._answer(self._get)

    def do_HEAD(self) -> None:
        """Send headers alone."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Take a repository, a list of files, a commit."""
        self._answer(self._post)

    def do_PUT(self) -> None:
        """Take a large file."""
        self._answer(self._put)

    @property
    def _path(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _answer(self, make: Any) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._body = self.rfile.read(length)
        self.server.asked.append(f"{self.command} {urlsplit(self.path).path}")
        try:
            if self.server.fails:
                raise _Refusal(410)  # one that is not tried again
            make()
        except _Refusal as refusal:
            headers = {"X-Error-Code": refusal.code} if refusal.code else {}
            self._send(b"{}", status=refusal.status, headers=headers)

    def _send(
        self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_json(self, content: object) -> None:
        self._send(json.dumps(content).encode(), headers={"Content-Type": "application/json"})

    @property
    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name: str) -> Repository:
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self._has_token):
            raise _Refusal(404 if self._has_token else 401, "RepoNotFound")
        return repository

    def _commit_of(self, name: str, revision: str) -> tuple[Repository, str]:
        repository = self._repository(name)
        commit = repository.find(revision)
        if commit is None:
            raise _Refusal(404, "RevisionNotFound")
        return repository, commit

    def _get(self) -> None:
        path = self._path
        if path[:2] == ["api", "models"]:
            name, rest = "/".join(path[2:4]), path[4:]
            revision = rest[1] if len(rest) > 1 else "main"
            repository, commit = self._commit_of(name, revision)
            files = repository.commits[commit]
            if rest[:1] == ["tree"]:
                self._send_json([_entry(each, data) for each, data in sorted(files.items())])
            else:
                siblings = [{"rfilename": each} for each in sorted(files)]
                told = {"id": name, "modelId": name, "sha": commit, "siblings": siblings}
                self._send_json({**told, "private": repository.private, "tags": []})
        elif path[2:3] == ["resolve"]:
            self._send_file("/".join(path[:2]), path[3], "/".join(path[4:]))
        else:
            raise _Refusal(404)

    def _send_file(self, name: str, revision: str, path: str) -> None:
        repository, commit = self._commit_of(name, revision)
        if repository.gated:
            raise _Refusal(403 if self._has_token else 401, "GatedRepo")
        data = repository.commits[commit].get(path)
        headers = {"X-Repo-Commit": commit}
        if data is None:
            raise _Refusal(404, "EntryNotFound")
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        headers |= {"ETag": etag, "X-Linked-Etag": etag, "X-Linked-Size": str(len(data))}
        cut = path in self.server.cut and self.command == "GET"
        self._send(data[: len(data) // 2] if cut else data, headers=headers)

    def _post(self) -> None:
        if not self._has_token:
            raise _Refusal(401)
        path = self._path
        if path == ["api", "repos", "create"]:
            self._create()
        elif path == ["api", "validate-yaml"]:
            self._validate()
        elif path[4:5] == ["preupload"]:
            asked = json.loads(self._body)["files"]
            self._send_json({"files": [_mode(each["path"]) for each in asked]})
        elif path[4:5] == ["commit"]:
            self._commit("/".join(path[2:4]), path[5])
        elif path[2:] == ["info", "lfs", "objects", "batch"]:
            self._batch()
        else:
            raise _Refusal(404)

    def _create(self) -> None:
        asked = json.loads(self._body)
        user = asked["organization"] or USER
        if user != USER:
            raise _Refusal(403)
        name = f"{user}/{asked['name']}"
        status = 409 if name in self.server.repositories else 200
        if status == 200:
            made = Repository(private=asked.get("visibility") == "private")
            made.add("main", {".gitattributes": b"*.safetensors filter=lfs\n"})
            self.server.repositories[name] = made
        body = json.dumps({"url": f"{self.server.endpoint}/{name}"}).encode()
        self._send(body, status=status)

    def _validate(self) -> None:
        """Check the head of a card as far as a YAML reader can."""
        _, head, _ = json.loads(self._body)["content"].split("---\n", 2)
        told = yaml.safe_load(head)
        wrong = [key for key in ("license", "library_name", "tags") if key not in told]
        answer = json.dumps({"errors": [{"message": key} for key in wrong], "warnings": []})
        self._send(answer.encode(), status=400 if wrong else 200)

    def _commit(self, name: str, branch: str) -> None:
        repository = self._repository(name)
        files = dict(repository.commits[repository.refs.get(branch, repository.refs["main"])])
        for line in self._body.splitlines():
            entry = json.loads(line)
            told = entry["value"]
            if entry["key"] == "file":
                files[told["path"]] = base64.b64decode(told["content"])
            elif entry["key"] == "lfsFile":
                files[told["path"]] = self.server.blobs[told["oid"]]
            elif entry["key"] == "deletedFile":
                del files[told["path"]]
        commit = repository.add(branch, files)
        url = f"{self.server.endpoint}/{name}/commit/{commit}"
        self._send_json({"commitUrl": url, "commitOid": commit, "success": True})

    def _batch(self) -> None:
        """Say where large files are to be sent; those that are there already are not asked for."""
        objects = []
        for each in json.loads(self._body)["objects"]:
            told: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.server.blobs:
                upload = {"href": f"{self.server.endpoint}/lfs/{each['oid']}"}
                told["actions"] = {"upload": upload}
            objects.append(told)
        self._send_json({"transfer": "basic", "objects": objects})

    def _put(self) -> None:
        oid = self._path[1]
        if hashlib.sha256(self._body).hexdigest() != oid:
            raise _Refusal(400)
        self.server.blobs[oid] = self._body
        self._send(b"")


def _mode(path: str) -> dict[str, Any]:
    mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": None}


def _entry(path: str, data: bytes) -> dict[str, Any]:
    """Return what the tree of a repository says of a file."""
    told = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
    if path.endswith(LFS_SUFFIXES):
        digest = hashlib.sha256(data).hexdigest()
        return {**told, "lfs": {"oid": digest, "size": len(data), "pointerSize": 130}}
    return told


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubStandIn]:
    """An empty Hub, an empty cache and a token, for this process and those it starts."""
    from huggingface_hub import constants

    with serving() as server:
        for name, value in environment(server, tmp_path / "hub-home").items():
            monkeypatch.setenv(name, value)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        home = tmp_path / "hub-home"
        for name, here in {
            "ENDPOINT": server.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_DISABLE_TELEMETRY": True,
            "HF_HUB_DISABLE_PROGRESS_BARS": True,
        }.items():
            monkeypatch.setattr(constants, name, here)
        yield server


def environment(server: HubStandIn, home: Path) -> dict[str, str]:
    """Return the environment variables with which a process talks to the stand-in.

    Args:
        server: It.
        home: Folder of the process's cache and tokens.
    """
    return {
        "HF_ENDPOINT": server.endpoint,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
