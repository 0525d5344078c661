"""Rewards over HTTP: what is sent, what comes back, and how every fault of a server is told."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import re
import socket
import threading
from typing import Any

import numpy as np
import pytest

from esarm_env import SpeechAnimationEnv
from esarm_env.core.errors import InputError
from esarm_env.core.types import FloatArray
from esarm_env.rewards import RewardError, resolve_reward
from reward.plugins.motion_alone import JerkReward
from reward.remote import client as client_module
from reward.remote import protocol
from reward.remote.client import Address
from reward.remote.reward import HttpReward


def motion_of(episode: dict[str, Any]) -> FloatArray:
    """Return an episode's motion as a server reads it, (T, 52)."""
    given = episode["motion"]
    data = np.frombuffer(base64.b64decode(given["base64"]), dtype="<f4")
    return data.reshape(given["shape"])


def jaw(handler: Any, batch: dict[str, Any]) -> None:
    """Score by how far the jaw is open in the mean."""
    place = batch["channels"].index("jawOpen")
    scores = [float(motion_of(episode)[:, place].mean()) for episode in batch["episodes"]]
    handler.reply({"version": 1, "scores": scores})


def after_greeting(answer: Any) -> Any:
    """Greet as one should, and answer to episodes by `answer`."""

    def reply(handler: Any, batch: dict[str, Any]) -> None:
        if batch["episodes"]:
            answer(handler, batch)
        else:
            handler.reply({"version": 1, "scores": []})

    return reply


def test_a_server_scores_a_batch_in_one_request(serve: Any, tiny_task: Any) -> None:
    """Motion must arrive as it was decoded, to the last digit and to the utterance's last frame."""
    server = serve(jaw)
    reward = HttpReward(tiny_task, server.url)
    trajectories = tiny_task.recorded(np.array([0, 3, 8]))
    scores = reward.score(trajectories)
    greeting, batch = server.asked
    assert greeting["episodes"] == [] and batch["version"] == 1 and batch["path"] == "/score"
    assert (batch["corpus"], batch["rate_hz"]) == ("tiny", 30)
    assert batch["token_streams"] == list(tiny_task.token_streams)
    decoded = tiny_task.decode_chunks(trajectories)
    for row, episode in enumerate(batch["episodes"]):
        index = int(trajectories.utterance[row])
        record = tiny_task.corpus.records[index]
        assert (episode["id"], episode["index"], episode["text"]) == (record.id, index, record.text)
        assert episode["tokens"] == trajectories.tokens[row, : trajectories.lengths[row]].tolist()
        np.testing.assert_array_equal(motion_of(episode), decoded[row][: record.n_frames])
        known = record.speaker if record.speaker in tiny_task.conditions.speakers else None
        assert episode["condition"] == {
            "emotions": {record.emotion: 1.0},
            "intensity": record.intensity,
            "speaker": known,
            "vector": trajectories.condition[row].tolist(),
        }
    place = batch["channels"].index("jawOpen")
    n_frames = tiny_task.n_frames[trajectories.utterance]
    cut = [motion[:n, place].mean() for motion, n in zip(decoded, n_frames, strict=True)]
    np.testing.assert_allclose(scores, cut, rtol=1e-6)
    assert scores.dtype == np.float32
    assert server.connections == 1, "kept alive"


def test_an_environment_takes_it_alone_and_in_a_sum(serve: Any, tiny_task: Any) -> None:
    """As any other reward: each term before its weight, under the name that was asked for."""
    server = serve(jaw)
    env = SpeechAnimationEnv(task=tiny_task, reward={server.url: 2.0, "jerk": -0.1})
    env.reset(seed=0)
    done, reward, info = False, 0.0, {}
    while not done:
        _, reward, done, _, info = env.step(0)
    assert set(info["rewards"]) == {server.url, "jerk"}
    wanted = 2 * info["rewards"][server.url] - 0.1 * info["rewards"]["jerk"]
    assert reward == pytest.approx(wanted, rel=1e-5)
    assert len(server.asked) == 2
    alone = resolve_reward(server.url, tiny_task, None)
    assert alone.terms == (server.url,) and alone.chunk_streams == ()
    assert not alone.needs_ground_truth


def test_what_a_server_says_of_itself_counts(serve: Any, tiny_task: Any) -> None:
    """A reward of recordings must not be climbed on speech that has none."""
    told = {"version": 1, "scores": [], "needs_ground_truth": True}
    server = serve(lambda handler, batch: handler.reply(told))
    assert HttpReward(tiny_task, server.url).needs_ground_truth


def test_scores_by_chunk_come_with_the_scores(serve: Any, tiny_task: Any) -> None:
    """Asked twice, a slow server would take twice as long; padded wrongly, credit would move."""

    def answer(handler: Any, batch: dict[str, Any]) -> None:
        n = batch["frames_per_chunk"]
        told = {"version": 1, "chunk_streams": ["mouth", "upper"]}
        lengths = [-(-episode["motion"]["shape"][0] // n) for episode in batch["episodes"]]
        chunks = [[[1.0, 0.5]] * count for count in lengths]
        handler.reply(told | {"scores": [1.5 * each for each in lengths], "chunks": chunks})

    server = serve(answer)
    combined = resolve_reward({server.url: 2.0}, tiny_task, None)
    trajectories = tiny_task.recorded(np.array([1, 2]))
    chunks = combined.score_chunks(trajectories)
    counts = trajectories.lengths // tiny_task.tokens_per_chunk
    assert combined.chunk_streams == ("mouth", "upper")
    assert chunks.shape == (2, counts.max(), 2)
    for row, count in enumerate(counts):
        assert (chunks[row, :count] == [2.0, 1.0]).all() and (chunks[row, count:] == 0).all()
    assert len(server.asked) == 2, "a greeting and one batch"
    env = SpeechAnimationEnv(task=tiny_task, reward=server.url, reward_timing="chunk")
    env.reset(seed=0)
    paid = [env.step(0)[1] for _ in range(2 * tiny_task.tokens_per_chunk)]
    assert sum(paid) == pytest.approx(3.0)


def refused(serve: Any, task: Any, answer: Any) -> str:
    """Return what is said of a server that answers to a batch of two as `answer` does."""
    server = serve(after_greeting(answer))
    combined = resolve_reward(server.url, task, None)
    with pytest.raises(RewardError) as caught:
        combined.score(task.recorded(np.array([0, 1])))
    assert len(server.asked) == 2, "asked once, not for each animation again"
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(server.url, "URL")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "must answer with JSON, got '<html>'"),
        (b"\xff\xfe", "must answer with JSON, got"),
        (b"[" * 100_000, "must answer with JSON, got '[[["),
        (b"[]", "must answer with an object, got []"),
        ({"scores": [1, 2]}, "`version` of its answer must be 1, got none"),
        ({"version": 2, "scores": [1, 2]}, "`version` of its answer must be 1, got 2"),
        ({"version": 1}, "`scores` must be a list of 2, got none"),
        ({"version": 1, "scores": [1]}, "`scores` must be a list of 2, got 1 of them"),
        ({"version": 1, "scores": {"a": 1}}, "`scores` must be a list of 2, got {'a': 1}"),
        ({"version": 1, "scores": [1, None]}, "`scores` must be finite numbers, got none of 'u01"),
        ({"version": 1, "scores": [True, 1]}, "`scores` must be finite numbers, got True of 'u00"),
        ({"version": 1, "scores": [1, [2]]}, "`scores` must be finite numbers, got [2] of 'u01"),
        ({"version": 1, "scores": [float("nan"), 1]}, "must be finite numbers, got nan of 'u00"),
        ({"version": 1, "scores": [1e39, 1]}, "must be finite numbers, got 1e+39 of 'u00"),
        ({"version": 1, "scores": [10**400, 1]}, "must be finite numbers, got 1000"),
        ({"version": 1, "scores": ["1", 1]}, "must be finite numbers, got '1' of 'u00"),
    ],
)
def test_an_answer_against_the_protocol_is_refused(
    serve: Any, tiny_task: Any, content: Any, message: str
) -> None:
    """A score that was read wrongly would be climbed all the same."""
    ids = [record.id for record in tiny_task.corpus.records]
    said = refused(serve, tiny_task, lambda handler, batch: handler.reply(content))
    assert said.startswith("the reward server URL must keep to the protocol: ")
    wanted = message.replace("'u00", f"'{ids[0]}'").replace("'u01", f"'{ids[1]}'")
    assert wanted in said
    assert said.endswith("; `docs/howto/rewards.md` has the messages")


@pytest.mark.parametrize(
    ("content", "status", "headers", "message"),
    [
        (b"no\nweights", 500, {}, "must answer 200, got 500 Internal Server Error: no weights; "),
        (b"", 404, {}, "must answer 200, got 404 Not Found; its own output may tell more"),
        (
            b"over there",
            302,
            {"Location": "http://127.0.0.1:9/"},
            "must answer 200, got 302 Found (redirects are not followed); ",
        ),
    ],
)
def test_another_status_is_told_with_its_reason(
    serve: Any, tiny_task: Any, content: bytes, status: int, headers: Any, message: str
) -> None:
    """A redirect that was followed would send animations to whom nobody named."""
    said = refused(serve, tiny_task, lambda handler, _: handler.reply(content, status, headers))
    assert message in said


def test_an_answer_without_end_is_cut(
    serve: Any, tiny_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory of a training that has run for hours."""
    monkeypatch.setattr(client_module, "LARGEST_REPLY", 1 << 20)
    said = refused(serve, tiny_task, lambda handler, _: handler.reply(b" " * (2 << 20)))
    assert "must answer with at most 1 MiB, got more; send scores alone" in said


def test_an_answer_that_breaks_off_is_no_answer(serve: Any, tiny_task: Any) -> None:
    """Half a list of scores may be a list of scores."""

    def answer(handler: Any, batch: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"version": 1, "scores": [1, 2]}')
        handler.close_connection = True

    said = refused(serve, tiny_task, answer)
    assert "must send its whole answer, got 68 bytes too few" in said


def test_a_slow_server_is_waited_for_so_long(serve: Any, tiny_task: Any) -> None:
    """One that hangs would hang the training; `#timeout` is ours and is not sent."""
    over = threading.Event()
    server = serve(after_greeting(lambda handler, batch: over.wait(30)))
    reward = HttpReward(tiny_task, f"{server.url}#timeout=0.05")
    rule = "must answer within 0.05 s, got no whole answer; let it answer sooner, or allow it more"
    with pytest.raises(RewardError, match=re.escape(rule)):
        reward.score(tiny_task.recorded(np.array([0])))
    over.set()
    assert [batch["path"] for batch in server.asked] == ["/score", "/score"]


def test_a_server_that_is_not_there_is_said_at_once(tiny_task: Any) -> None:
    """With the remedy, and where the environment is made."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(InputError) as caught:
            SpeechAnimationEnv(task=tiny_task, reward={"zero": 1.0, url: 1.0})
    said = f"`reward` cannot be used: the reward server {url} must be there and speak HTTP, got "
    assert str(caught.value).startswith(said) and str(caught.value).endswith("; start it first")


def test_a_server_of_something_else_is_refused_in_the_greeting(serve: Any, tiny_task: Any) -> None:
    """Before the first episode."""
    server = serve(lambda handler, batch: handler.reply(b"hello"))
    with pytest.raises(InputError, match=re.escape("must answer with JSON, got 'hello'")):
        HttpReward(tiny_task, server.url)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"needs_ground_truth": 1}, "`needs_ground_truth` must be true or false, got 1"),
        ({"chunk_streams": ["nose"]}, "must be some of ['mouth', 'upper', 'whole'], each once, "),
        ({"chunk_streams": ["upper", "upper"]}, "each once, got ['upper', 'upper']"),
        ({"chunk_streams": "mouth"}, "each once, got 'mouth'"),
        ({"scores": [1]}, "`scores` must be a list of 0, got 1 of them"),
    ],
)
def test_a_greeting_against_the_protocol_is_refused(told: Any, message: str) -> None:
    """What a server says of itself decides what is asked of it."""
    body = json.dumps({"version": 1, "scores": []} | told).encode()
    with pytest.raises(protocol.ProtocolError, match=re.escape(message)):
        protocol.read_abilities(body, token_streams=("mouth", "mouth", "upper"))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (None, "`chunks` must be a list of 1, got none"),
        ([[[1, 2]]], "`chunks of 'a'` must be a list of 2, got 1 of them"),
        ([[[1, 2], [3]]], "`chunks of 'a'` must be a list of 2, got 1 of them"),
        ([[[1, 2], [3, None]]], "`chunks of 'a'` must be finite numbers, got none in chunk 1"),
    ],
)
def test_chunks_against_the_protocol_are_refused(chunks: Any, message: str) -> None:
    """Credit of a chunk that is not there would go to another."""
    body = json.dumps({"version": 1, "scores": [0], "chunks": chunks}).encode()
    with pytest.raises(protocol.ProtocolError, match=re.escape(message)):
        protocol.read_chunks(body, ["a"], counts=[2], columns=2)


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(serve: Any, tiny_task: Any) -> None:
    """Servers close what is idle, and training steps take longer than their patience."""

    def answer(handler: Any, batch: dict[str, Any]) -> None:
        jaw(handler, batch)
        handler.close_connection = True  # without a word of it in the answer's head

    server = serve(answer)
    reward = HttpReward(tiny_task, server.url)
    one = tiny_task.recorded(np.array([0]))
    np.testing.assert_array_equal(reward.score(one), reward.score(one))
    assert len(server.asked) == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_connects_by_itself(serve: Any, tiny_task: Any, copied: Any) -> None:
    """Workers of a vector environment get a pickle; on one connection answers would be mixed up."""
    server = serve(jaw)
    reward = HttpReward(tiny_task, server.url)
    other = copied(reward._client)
    assert other.address == reward._client.address
    other.post(protocol.request(tiny_task))
    assert server.connections == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http:host:8000", "must be an address such as http://HOST:PORT/PATH, got 'http:host"),
        ("http://", "must be an address such as http://HOST:PORT/PATH, got 'http://'"),
        ("http://host:99999/", "http://HOST:PORT/PATH, got 'http://host:99999/': Port out of"),
        ("http://host:0/", "must be an address such as http://HOST:PORT/PATH, got 'http://host:0"),
        ("http://ho st/", "without spaces and letters beyond ASCII, got 'http://ho st/'"),
        ("http://me:pass@host/x", "without a user's name or password, got one for /x"),
        ("http://host/#top", "must end in its path or in #timeout=SECONDS above 0, got"),
        ("http://host/#timeout=0", "must end in its path or in #timeout=SECONDS above 0, got"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, message: str) -> None:
    """Before anything is asked of anybody; a password is not repeated."""
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        Address.read(url)
    assert "pass@" not in str(caught.value)


def test_addresses_have_the_usual_ports_and_paths() -> None:
    """`http://host` alone is an address."""
    assert Address.read("http://host") == Address("http://host", False, "host", 80, "/")
    found = Address.read("https://[::1]:8/a?b=1#timeout=2.5")
    assert (found.secure, found.host, found.port) == (True, "::1", 8)
    assert (found.path, found.timeout_s) == ("/a?b=1", 2.5)


def test_a_blend_and_a_stranger_are_told_in_words(serve: Any, tiny_task: Any) -> None:
    """A server that knows conditions by one emotion's name would score blends as none."""
    server = serve(jaw)
    trajectories = tiny_task.recorded(np.array([0]))
    trajectories.condition[0] = 0
    trajectories.condition[0, [1, 6, 10, 11]] = 0.5
    HttpReward(tiny_task, server.url).score(trajectories)
    condition = server.asked[-1]["episodes"][0]["condition"]
    assert list(condition["emotions"].values()) == [0.5, 0.5]
    assert (condition["intensity"], condition["speaker"]) == (2.5, None)


def test_a_term_without_chunks_stands_beside_those_that_have_them(
    serve: Any, tiny_task: Any
) -> None:
    """What the server says of whole animations is earned with their last chunk."""
    server = serve(jaw)
    combined = resolve_reward({server.url: 1.0, "jerk": -0.1}, tiny_task, None)
    trajectories = tiny_task.recorded(np.array([0]))
    chunks = combined.score_chunks(trajectories)
    jerk = JerkReward(tiny_task).score_chunks(trajectories)
    total = combined.score(trajectories)
    np.testing.assert_allclose(chunks.sum(axis=(1, 2)), total, rtol=1e-4)
    assert chunks.sum() != pytest.approx(-0.1 * jerk.sum())
