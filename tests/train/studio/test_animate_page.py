"""Animate: what is asked for is done, and what cannot be is refused by its name."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from esarm_env.core.types import EMOTIONS
from esarm_env.face import read_livelink_csv
from tests.train.studio.conftest import Open, finished


def unpacked(body: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read packed arrays as the page does."""
    (length,) = struct.unpack("<I", body[:4])
    told, start = json.loads(body[4 : 4 + length]), 4 + length
    arrays = {
        name: np.frombuffer(
            body, place["type"], int(np.prod(place["shape"])), start + place["at"]
        ).reshape(place["shape"])
        for name, place in told["arrays"].items()
    }
    return told, arrays


@pytest.fixture(scope="module")
def sound(live: TestClient, spoken: bytes) -> str:
    answer = live.post("/api/sounds", params={"name": "ann.wav"}, content=spoken)
    return str(answer.json()["id"])


def animate(live: TestClient, sound: str, **asked: object) -> dict[str, Any]:
    answer = live.post("/api/animations", json={"sound": sound, **asked})
    assert answer.status_code == 202, answer.text
    return finished(live, answer.json())


def motion_of(live: TestClient, job: dict[str, Any], take: int = 0) -> np.ndarray:
    told, arrays = unpacked(live.get(f"/api/jobs/{job['id']}/takes/{take}/motion").content)
    motion: np.ndarray = arrays["motion"] * told["step"]
    return motion


def test_speech_becomes_a_face_as_by_the_command(live: TestClient, sound: str) -> None:
    """The page must show what `esarm animate` writes."""
    from esarm_env.core.shipped import shipped_run
    from esarm_env.liveliness import add_liveliness
    from esarm_env.task.recording import AnimationCondition
    from train.animate import SpeechAnimator

    job = animate(live, sound, emotion={"kind": "mix", "shares": {"happy": 1}}, intensity=3)
    assert (job["state"], job["sound"]["name"]) == ("done", "ann.wav")
    (take,) = job["takes"]
    assert (take["policy"], take["decoding"], take["n_frames"]) == (
        "clone",
        "expected-distance",
        30,
    )
    assert take["emotion"]["shares"] == {"happy": 1.0}
    audio = live.app.state.studio.sounds.get(sound).audio  # type: ignore[attr-defined]
    voice = AnimationCondition("happy", 3)
    expected = SpeechAnimator(shipped_run()).animate(audio, voice)
    expected = add_liveliness(expected, seed=0, own_blinks=False)
    np.testing.assert_allclose(motion_of(live, job), expected, atol=1e-4)


def test_samples_differ_and_are_ready_one_by_one(live: TestClient, sound: str) -> None:
    """Several samples are there to be chosen from; of the same seeds they are the same."""
    asked = {"samples": 2, "seed": 5, "alive": False, "policy": "shipped:auto"}
    job = animate(live, sound, **asked)
    assert [take["label"] for take in job["takes"]] == ["sample 1", "sample 2"]
    assert [(take["decoding"], take["seed"]) for take in job["takes"]] == [
        ("sampled", 5),
        ("sampled", 6),
    ]
    first, second = (motion_of(live, job, take) for take in (0, 1))
    assert np.abs(first - second).max() > 0.01
    again = animate(live, sound, **{**asked, "seed": 6, "samples": 1, "decoding": "sampled"})
    np.testing.assert_array_equal(motion_of(live, again), second)


def test_a_drawn_emotion_changes_the_face_over_time(live: TestClient, sound: str) -> None:
    """A curve that is drawn and read as its mean would be a blend."""
    curve = {
        "kind": "curve",
        "times_s": [0, 0.5, 1],
        "shares": {"neutral": [2, 1, 0], "sad": [0, 1, 2]},
    }
    job = animate(live, sound, emotion=curve, alive=False)
    assert job["state"] == "done", job["message"]
    shown = job["takes"][0]["emotion"]
    assert shown["source"] == "curve"
    assert shown["words"] == "neutral, sad over time (the drawing)"
    assert shown["shares"]["neutral"] == pytest.approx(0.5, abs=0.05)
    plain = animate(
        live, sound, emotion={"kind": "mix", "shares": {"neutral": 1, "sad": 1}}, alive=False
    )
    assert np.abs(motion_of(live, job) - motion_of(live, plain)).max() > 0.01


def test_what_only_the_policy_can_refuse_is_told_by_the_job(live: TestClient, sound: str) -> None:
    """The voice is read before it is known whose face styles there are."""
    job = animate(live, sound, speaker="nobody")
    assert job["state"] == "failed"
    assert job["message"].startswith("`speaker` must be one of ")
    short = {"kind": "curve", "times_s": [0, 0.2], "shares": {"happy": [1, 1]}}
    job = animate(live, sound, emotion=short)
    assert "must cover the whole recording, 0 to 1.00 s, got 0 to 0.2 s" in job["message"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"policy": "/etc/passwd"}, "`policy` must be one of shipped:auto, got '/etc/passwd'"),
        ({"decoding": "loud"}, "`decoding` must be one of "),
        (
            {"decoding": "greedy", "temperature": 0.5},
            "`temperature`, `top_k` and `top_p` must be left out of greedy decoding",
        ),
        (
            {"samples": 2, "decoding": "greedy"},
            "`samples` must be 1 of greedy decoding, which leaves nothing to chance, got 2",
        ),
        ({"samples": 9}, "`samples` must be a whole number, 1 to 8, got 9"),
        ({"samples": True}, "`samples` must be a whole number, 1 to 8, got True"),
        ({"seed": -1}, "`seed` must be a whole number, 0 to "),
        ({"intensity": 4}, "`intensity` must be 1 to 3, got 4"),
        ({"intensity": True}, "`intensity` must be 1 to 3, got True"),
        ({"intensity": [1]}, "`intensity` must be 1 to 3, got [1]"),
        ({"speaker": 3}, "`speaker` must be a name, got 3"),
        ({"alive": "yes"}, "`alive` must be true or false, got 'yes'"),
        ({"temperature": "warm"}, "`temperature` must hold finite numbers, got 'warm'"),
        ({"loudness": 3}, "fields must be known ones, got loudness"),
        ({"emotion": "curve.csv"}, "the request must be a JSON object, got str"),
        (
            {"emotion": {"kind": "/etc/x.csv"}},
            "`kind` must be one of auto, mix, curve, got '/etc/x.csv'",
        ),
        ({"emotion": {"kind": []}}, "`kind` must be one of auto, mix, curve, got []"),
        ({"emotion": {"kind": "auto", "shares": {}}}, "fields must be known ones, got shares"),
        ({"emotion": {"kind": "mix", "shares": {"x.csv": 1}}}, "`shares` must be of neutral, "),
        ({"emotion": {"kind": "mix", "shares": {}}}, "`shares` must be of neutral, "),
        (
            {"emotion": {"kind": "mix", "shares": {"happy": 0}}},
            "`shares` must be at least 0, and one of them above",
        ),
        (
            {"emotion": {"kind": "mix", "shares": {"happy": -1, "sad": 2}}},
            "`shares` must be at least 0, and one",
        ),
        (
            {"emotion": {"kind": "curve", "shares": {"happy": [1]}}},
            "`times_s` must be a list of 1 to 20000 numbers, got None",
        ),
        (
            {"emotion": {"kind": "curve", "times_s": [0, 1], "shares": {"happy": [0, 0]}}},
            "the drawing: an emotion must have a share above 0 at every time",
        ),
        (
            {"emotion": {"kind": "curve", "times_s": [1, 0], "shares": {"happy": [1, 1]}}},
            "the drawing: `time_s` must be ascending times",
        ),
        (
            {"emotion": {"kind": "curve", "times_s": [0, 1], "shares": {"happy": [1]}}},
            "the drawing: `happy` must be a number for each of 2 times",
        ),
        (
            {
                "emotion": {
                    "kind": "curve",
                    "times_s": [0, 1],
                    "shares": {"happy": [1, 1]},
                    "intensity": [1, 9],
                }
            },
            "the drawing: `intensity` must be 1 to 3, got 9 at 1 s",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(
    opened: Open, spoken: bytes, asked: dict[str, object], message: str
) -> None:
    """Silence is the worst fault: a field that does nothing looks as if it did."""
    client = opened()
    sound = client.post("/api/sounds?name=a.wav", content=spoken).json()["id"]
    answer = client.post("/api/animations", json={"sound": sound, **asked})
    assert answer.status_code == 400, answer.text
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"\xff", b"[" * 5000, b'{"sound": NaN}', b"1" * 600_000]
)
def test_a_request_that_is_no_json_object_is_refused(opened: Open, body: bytes) -> None:
    """Whatever comes, the answer is a sentence."""
    answer = opened().post("/api/animations", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(("the request must ", "`sound` must "))


def test_a_sound_that_was_forgotten_is_told(opened: Open) -> None:
    """A page that was open over night."""
    answer = opened().post("/api/animations", json={"sound": "0"})
    assert answer.status_code == 404
    assert answer.json() == {"error": "this sound was forgotten; drop the file again"}


@pytest.mark.filterwarnings("ignore:format beat has no `tongueOut`")
def test_takes_are_downloaded_in_every_format(live: TestClient, sound: str, tmp_path: Any) -> None:
    """What is downloaded is what was shown, under the name of the sound."""
    job = animate(live, sound, emotion={"kind": "auto"})
    place = f"/api/jobs/{job['id']}/takes/0/export"
    told = live.get("/api/studio").json()["formats"]
    assert {"livelink", "npy", "glb"} <= {each["name"] for each in told if each["lack"] is None}
    for each in told:
        if each["suffix"] in (".csv", ".npy", ".json", ".glb"):
            answer = live.get(place, params={"format": each["name"], "rate": each["rates_hz"][0]})
            assert answer.status_code == 200, (each, answer.text)
            assert (
                answer.headers["content-disposition"]
                == f"attachment; filename*=UTF-8''ann{each['suffix']}"
            )
    path = tmp_path / "ann.csv"
    path.write_bytes(live.get(place, params={"format": "livelink"}).content)
    read, _ = read_livelink_csv(path)
    np.testing.assert_allclose(read, np.clip(motion_of(live, job), 0, 1), atol=2e-4)


@pytest.mark.parametrize(
    ("place", "status", "message"),
    [
        ("export?format=loud", 400, "`format` must be one of "),
        (
            "export?format=livelink&rate=29",
            400,
            "`rate` must be 30 or 60 frames per second, got 29",
        ),
        ("export?format=livelink&rate=x", 400, "`rate` must be a whole number"),
        (
            "export?format=livelink&head=../x.glb",
            400,
            "the head must be 'esarm' where no folder is chosen",
        ),
        ("pictures/-1", 400, "`frame` must be a whole number, 0 to 29, got '-1'"),
        ("pictures/30", 400, "`frame` must be a whole number, 0 to 29, got '30'"),
        ("pictures/0?size=5000", 400, "`size` must be one of 96, 160, 320, 480, got 5000"),
    ],
)
def test_what_no_take_has_is_refused(
    live: TestClient, sound: str, place: str, status: int, message: str
) -> None:
    """An address is typed, too."""
    job = animate(live, sound)
    answer = live.get(f"/api/jobs/{job['id']}/takes/0/{place}")
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_pictures_stand_in_where_the_browser_cannot_draw(live: TestClient, sound: str) -> None:
    """Without WebGL the page shows what the server draws: a PNG with a face in it."""
    import io

    import PIL.Image

    job = animate(live, sound)
    answer = live.get(f"/api/jobs/{job['id']}/takes/0/pictures/3?size=96")
    assert answer.headers["content-type"] == "image/png"
    picture = np.asarray(PIL.Image.open(io.BytesIO(answer.content)))
    assert picture.shape == (96, 96, 3)
    assert picture.std() > 20, "an empty picture has one colour"


def test_takes_and_jobs_that_are_not_there_are_told(live: TestClient, sound: str) -> None:
    """A page of before the server was started again."""
    assert live.get("/api/jobs/0").json() == {
        "error": "this animation was forgotten; make it again"
    }
    job = animate(live, sound)
    answer = live.get(f"/api/jobs/{job['id']}/takes/1/motion")
    assert answer.status_code == 400
    assert answer.json() == {"error": "`take` must be a whole number, 0 to 0, got '1'"}


def test_a_job_is_cancelled_from_the_page(opened: Open, spoken: bytes) -> None:
    """Another click on Animate drops what was asked for before."""
    client = opened()
    sound = client.post("/api/sounds?name=a.wav", content=spoken).json()["id"]
    job = client.post("/api/animations", json={"sound": sound}).json()
    assert job["state"] == "waiting"
    assert client.get(f"/api/jobs/{job['id']}/takes/0/motion").json() == {
        "error": "nothing is animated yet"
    }
    assert client.delete(f"/api/jobs/{job['id']}").json()["state"] == "cancelled"
    assert client.get(f"/api/jobs/{job['id']}").json()["state"] == "cancelled"


def test_the_page_is_told_what_there_is(opened: Open) -> None:
    """Choices that are offered are those that work."""
    told = opened().get("/api/studio").json()
    assert [each["id"] for each in told["policies"]] == ["shipped:auto"]
    assert told["conditions"]["shipped"]["emotions"] == [e for e in EMOTIONS if e != "calm"]
    assert (told["run"], told["folder"], told["lack"]) == (None, None, None)
    assert told["heads"] == ["esarm"]
    assert told["limits"] == {"bytes": 128 * 2**20, "seconds": 600}
