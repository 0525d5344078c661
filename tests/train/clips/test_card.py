"""The quality card: figures worked out by hand, and a page that holds them and loads nothing."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.rollout.named_decoding import NamedDecoding
from esarm_env.audio.encoders.phone_spans import PhoneSpan
from esarm_env.core.shipped import shipped_run
from esarm_env.face import index_of, load_head
from esarm_env.metrics.dynamics import jerk
from esarm_env.task.opening import open_speech_task
from esarm_env.task.recording import AnimationCondition
from train.animate import SpeechAnimator, Writing
from train.cli import main
from train.clips.card.charts import chart
from train.clips.card.figures import MEASURES, measure_clip
from train.clips.card.page import png

JAW = index_of("jawOpen")
PHONES = (PhoneSpan("b", 0.9, 1.0), PhoneSpan("a", 1.0, 1.1), PhoneSpan("m", 1.5, 1.6))


@pytest.fixture
def talk() -> tuple[np.ndarray, np.ndarray]:
    """Return 3 s of motion and sound: noise from 1 s to 2 s, the jaw open while it lasts."""
    motion, audio = np.zeros((90, 52), "f4"), np.zeros(48_000, "f4")
    motion[30:60, JAW] = 0.4
    audio[16_000:32_000] = np.random.default_rng(0).normal(size=16_000) * 0.1
    return motion, audio


def test_closures_are_those_of_the_phones(talk: tuple[np.ndarray, np.ndarray]) -> None:
    """Shut at b, before the jaw opens; open at m; a vowel is no closure."""
    figures = measure_clip(*talk, head=load_head(), phones=PHONES)
    assert [(each.phone, each.shut) for each in figures.closures] == [("b", True), ("m", False)]
    assert figures.values["bilabials_shut_share"] == 0.5
    later = PhoneSpan("p", 3.01, 3.1)
    assert len(measure_clip(*talk, head=load_head(), phones=[later]).closures) == 0


def test_motion_in_silence_is_told_from_motion_in_speech(
    talk: tuple[np.ndarray, np.ndarray],
) -> None:
    """A mouth that moves while nobody speaks is the first thing that is seen."""
    motion, audio = talk
    still = measure_clip(motion, audio, head=load_head())
    assert still.values["lip_speed_in_silence_mm_s"] == 0
    assert still.values["synchrony"] > 0.4
    assert 0.9 < still.speech[30:60].mean() <= 1 and still.speech.sum() < 50
    moved = motion.copy()
    moved[5:12, JAW] = np.linspace(0, 0.3, 7)
    assert measure_clip(moved, audio, head=load_head()).values["lip_speed_in_silence_mm_s"] > 10


def test_figures_are_those_of_the_metrics(talk: tuple[np.ndarray, np.ndarray]) -> None:
    """In other units, which the names tell."""
    motion, audio = talk
    figures = measure_clip(motion, audio, head=load_head())
    values, opening = figures.values, figures.opening_mm
    assert values["jerk_lips_m_s3"] == pytest.approx(jerk(motion, head=load_head())[0] / 1000)
    assert values["opening_most_mm"] == pytest.approx(opening.max()) and opening[0] == 0
    assert values["opening_mean_mm"] == pytest.approx(opening[figures.speech].mean())
    assert values["blinks_per_minute"] == 0
    assert np.isnan(values["bilabials_shut_share"]), "no phone is known"
    assert figures.to_dict()["bilabials_shut_share"] is None
    assert set(values) == set(MEASURES)


def test_channels_that_are_at_their_end_are_named(talk: tuple[np.ndarray, np.ndarray]) -> None:
    """What is meant beyond 1 is cut off, and looks like a face that sticks."""
    motion, audio = talk
    motion[:45, index_of("mouthSmileLeft")] = 1.0
    motion[:9, JAW] = 1.0
    motion[:2, index_of("jawLeft")] = 1.0
    figures = measure_clip(motion, audio, head=load_head())
    assert figures.at_end == {"mouthSmileLeft": 0.5, "jawOpen": 0.1}
    assert figures.values["clipped_share"] == pytest.approx(56 / 90 / 52)


def test_speech_alone_has_no_silence_to_measure(talk: tuple[np.ndarray, np.ndarray]) -> None:
    """And a nan is no 0."""
    motion, audio = talk[0][30:60], talk[1][16_000:32_000]
    assert np.isnan(
        measure_clip(motion, audio, head=load_head()).values["lip_speed_in_silence_mm_s"]
    )


def test_the_chart_draws_every_curve_and_marks_every_closure(
    talk: tuple[np.ndarray, np.ndarray],
) -> None:
    """Lips that stay open are marked by a word, too: some readers see no red."""
    motion, audio = talk
    figures = measure_clip(motion, audio, head=load_head(), phones=PHONES)
    drawn = chart(
        {"mouth": figures.opening_mm, "<brows>": np.zeros(90)},
        audio=audio,
        speech=figures.speech,
        closures=figures.closures,
    )
    assert drawn.count("<polyline") == 2 and drawn.count('class="wave"') == 1
    assert re.findall(r'class="phone \w+"[^>]*>([^<]*)<', drawn) == ["b", "m open"]
    assert drawn.count('class="quiet"') == 2
    assert "&lt;brows&gt;" in drawn and "<brows>" not in drawn


def test_pictures_are_png(tmp_path: Path) -> None:
    """Written without a library; read by one."""
    image = pytest.importorskip("PIL.Image")
    picture = np.random.default_rng(0).integers(0, 255, (7, 5, 3), dtype=np.uint8)
    read = image.open(io.BytesIO(png(picture)))
    assert read.format == "PNG" and (np.asarray(read) == picture).all()


class Addresses(HTMLParser):
    """Collects whatever a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a recogniser hear a b and an m."""
    spans = (PhoneSpan("b", 0.1, 0.2), PhoneSpan("m", 0.3, 0.4))
    monkeypatch.setattr("esarm_env.audio.encoders.phone_spans.phone_spans", lambda audio: spans)


def animated(voice: Path, *options: object) -> dict[str, Any]:
    """Animate with a card; return what was noted."""
    note = voice.parent / "done.json"
    command = ["animate", voice, "-o", voice.parent / "a.csv", "--json", note, *options]
    main([str(part) for part in command])
    return json.loads(note.read_text())


@pytest.mark.usefixtures("heard")
def test_a_card_stands_beside_the_output_and_loads_nothing(voice: Path) -> None:
    """Pictures, curves, closures, emotion, score and pace, on one page and in `--json`."""
    done = animated(voice, "--card")["card"]
    assert done["path"] == str(voice.parent / "a.card.html")
    assert [each["phone"] for each in done["closures"]] == ["b", "m"]
    assert set(done["emotion"]) == {
        "asked of the policy",
        "heard in the voice",
        "read from the face",
    }
    assert np.isfinite(done["learned_score"]) and done["real_time_factor"] > 0
    low, middle, high = done["recordings"]["synchrony"]
    assert -1 <= low <= middle <= high <= 1
    assert done["notes"] == []
    page = Path(done["path"]).read_text()
    addresses = Addresses()
    addresses.feed(page)
    assert len(addresses.found) == 11, "ten faces and the sound"
    assert all(each.startswith("data:") for each in addresses.found)
    assert base64.b64decode(addresses.found[0].partition(",")[2]).startswith(b"\x89PNG")
    for words in ("lips shut at /b/", "learned score", "real-time factor", "heard in the voice"):
        assert words in page
    assert page.count("<svg") == 2


@pytest.fixture
def no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run have no recordings of several emotions."""
    monkeypatch.setattr("train.clips.card.maker.emotion_judge", lambda task: None)


@pytest.mark.usefixtures("no_judge")
def test_what_a_card_lacks_is_said(voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra `phones` there are no closures, and the rest is there."""
    monkeypatch.setitem(sys.modules, "hama", None)
    done = animated(voice, "--card", voice.parent / "b.html", "--emotion", "neutral")["card"]
    assert done["path"] == str(voice.parent / "b.html")
    phones, face = done["notes"]
    assert phones.startswith("no closures at p, b and m: ")
    assert "pip install 'esarm[phones]'" in phones
    assert face == "no emotion read from the face: the run's recordings show one or none"
    assert done["bilabials_shut_share"] is None and done["closures"] == []
    assert list(done["emotion"]) == ["asked of the policy"]
    assert "<h2>Left out</h2>" in Path(done["path"]).read_text()


@pytest.mark.usefixtures("heard", "no_judge")
def test_each_recording_of_a_folder_gets_its_card(voice: Path, tmp_path: Path) -> None:
    """And one without is not done yet."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    voice.rename(folder / "a.wav")
    command = ["animate", str(folder), "-o", str(out), "--emotion", "neutral"]
    main(command)
    assert [path.name for path in out.iterdir()] == ["a.csv"]
    main([*command, "--card"])
    assert sorted(path.name for path in out.iterdir()) == ["a.card.html", "a.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "a.csv", "--card", "x.png"], "`card` must be a file that ends in .html, got x.png"),
        (["-o", "a.csv", "--card", "x.html", "y.html"], "`card` must stand followed by one file"),
        (["-o", "a.csv", "--card", "no/x.html"], "which does not exist; make it first"),
        (["-o", "/dev/null", "--card"], "`card` must name a file where the output is /dev/null"),
    ],
)
def test_a_card_that_cannot_be_written_is_refused_first(
    options: list[str], message: str, voice: Path, monkeypatch, capsys
) -> None:
    """Before the recording is animated."""
    monkeypatch.chdir(voice.parent)
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["animate", str(voice), *options])
    assert message in capsys.readouterr().err
    assert [path.name for path in voice.parent.iterdir()] == ["hello.wav"]


def test_what_the_reward_preferred_has_the_higher_learned_score(make_speech: Any) -> None:
    """The score of motion is that of the tokens it was written with, up to rounding."""
    animator, audio = SpeechAnimator(shipped_run()), make_speech(1.0)
    voice, sampled = AnimationCondition("neutral", 2, None), NamedDecoding("sampled")
    scores = [
        animator.learned_score(animator.animate(audio, voice, Writing(sampled, n)), audio, voice)
        for n in (1, 8)
    ]
    assert np.isfinite(scores).all() and scores[1] > scores[0]


def test_a_still_face_has_another_score(make_speech: Any) -> None:
    """Whoever adds motion by hand can ask as well; an opened task gives the same."""
    animator, audio = SpeechAnimator(shipped_run()), make_speech(1.0)
    voice, task = AnimationCondition("neutral", 2, None), open_speech_task(shipped_run())
    still = animator.learned_score(np.zeros((30, 52), "f4"), audio, voice)
    open_jaw = np.zeros((30, 52), "f4")
    open_jaw[:, JAW] = 0.5
    assert animator.learned_score(np.zeros((30, 52), "f4"), audio, voice, task=task) == still
    assert animator.learned_score(open_jaw, audio, voice, task=task) != still
