"""The studio's page in a real browser: one server and one Chromium for all of it."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esarm_env.core.shipped import shipped_corpus
from esarm_env.corpus import open_corpus
from esarm_env.face import ARKIT_NAMES, read_livelink_csv
from tests.train.studio.conftest import PATIENCE_S, killed_late, wave_bytes

# Polled frame by frame, for the page's policy forbids what Playwright's own waiting evaluates.
WAIT = """async ([patience]) => {
  const end = performance.now() + 1000 * patience;
  const holds = () => { const { stage, views: { animate } } = window.studio; return CONDITION; };
  while (!holds()) {
    if (performance.now() > end) return false;
    await new Promise(done => requestAnimationFrame(done));
  }
  return true;
}"""

# Plays the sound, and at each picture looks which of its samples go to the loudspeaker.
LISTEN = """async () => {
  const { stage } = window.studio, { player } = stage;
  const sound = (await import("/web/player.js")).context();
  const tap = player.tap = sound.createAnalyser();
  tap.fftSize = 2048;
  player.seek(0);
  stage.clocks.length = 0;
  await player.play();
  const samples = player.buffer.getChannelData(0), heard = new Float32Array(tap.fftSize);
  const lags = [], n = heard.length, reach = Math.round(0.3 * sound.sampleRate);
  while (player.playing) {
    await new Promise(done => requestAnimationFrame(done));
    const picture = player.time();
    tap.getFloatTimeDomainData(heard);
    const middle = Math.round(player.time() * sound.sampleRate);
    if (heard.reduce((a, v) => a + v * v, 0) < 1) continue;
    const last = Math.min(samples.length, middle + reach);
    let best = Infinity, at = 0;
    for (let end = Math.max(n, middle - reach); end < last; end++) {
      let off = 0;
      for (let i = 0; i < n && off < best; i += 16) off += (heard[i] - samples[end - n + i]) ** 2;
      if (off < best) { best = off; at = end; }
    }
    if (best < 1e-4) lags.push(at / sound.sampleRate - (sound.outputLatency || 0) - picture);
  }
  player.tap = null;
  return { lags, drawn: stage.clocks.map(each => each.sound - each.picture) };
}"""


def wait(page: Any, condition: str) -> None:
    """Wait until a condition in JavaScript holds."""
    assert page.evaluate(WAIT.replace("CONDITION", condition), [PATIENCE_S]), condition


@pytest.fixture(scope="module")
def run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a finished run, to write into."""
    place = tmp_path_factory.mktemp("studio") / "run"
    shutil.copytree(finished_run, place)
    return place


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An utterance of the shipped corpus as a sound file."""
    corpus = open_corpus("synthetic-mini")
    index = min(corpus.split("validation"), key=lambda i: corpus.records[int(i)].n_frames)
    path = tmp_path_factory.mktemp("voices") / "ann.wav"
    path.write_bytes(wave_bytes(corpus[int(index)].audio))
    assert shipped_corpus().is_dir()
    return path


@pytest.fixture(scope="module")
def address(browser: Any, run: Path, speech: Path) -> Iterator[str]:
    """The address of a studio of the run and the folder of speech."""
    code = "import sys; from train.cli import main; main(sys.argv[1:])"
    options = [str(run), "--folder", str(speech.parent), "--no-open", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", code, "studio", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        with killed_late(server):
            first = server.stdout.readline()
            found = re.search(r"http\S+", first)
            assert found, first + server.stdout.read()
        yield found[0]
        with killed_late(server):
            server.send_signal(signal.SIGINT)
            rest = server.stdout.read()
    # A format that leaves something out says so on the terminal, too.
    said = [line for line in rest.splitlines() if not line.startswith("esarm: warning: format ")]
    assert (server.returncode, said) == (0, ["Ctrl-C ends it."]), "no fault was printed"


@pytest.fixture(scope="module")
def context(browser: Any, address: str) -> Iterator[Any]:
    """A browser with the token; whatever it asks for, and what it complains of, is kept."""
    made = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    made.asked, made.faults = [], []
    made.on("request", lambda request: made.asked.append(request.url))
    made.on("weberror", lambda fault: made.faults.append(str(fault.error)))
    made.on("console", lambda said: said.type == "error" and made.faults.append(said.text))
    yield made
    host = re.match(r"http://127\.0\.0\.1:\d+/", address)
    assert host
    outside = [url for url in made.asked if not url.startswith((host[0], "blob:", "data:"))]
    assert (outside, made.faults) == ([], []), "no request leaves the machine, and nothing fails"
    made.close()


@pytest.fixture(scope="module")
def page(context: Any, address: str) -> Any:
    """The page, opened by the address that was printed."""
    made = opened(context, address)
    made.select_option("#policy", "shipped:auto")
    return made


def opened(context: Any, address: str) -> Any:
    made = context.new_page()
    made.goto(address)
    made.wait_for_selector("body[data-ready]")
    return made


def drop(page: Any, speech: Path) -> None:
    """Choose a file, and wait until its face can be played."""
    before = page.evaluate("window.studio.stage.takes[0]?.job ?? ''")
    page.set_input_files("#file", str(speech))
    wait(page, f"stage.takes[0] && stage.takes[0].job !== '{before}'")
    wait(page, "stage.player.buffer")


def face_at(page: Any, time_s: float) -> np.ndarray:
    """Return the face as it is drawn at a moment, (height, width, 3)."""
    page.evaluate("time => window.studio.stage.player.seek(time)", time_s)
    wait(
        page,
        f"Math.abs(stage.drawn - {time_s}) < 1e-6 && !stage.viewer.rough",
    )
    picture = page.locator("canvas.face").screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(float)


def motion_of(page: Any) -> np.ndarray:
    shown = page.evaluate("Array.from(window.studio.stage.takes[0].motion)")
    return np.array(shown).reshape(-1, 52)


def test_the_address_loses_its_token(page: Any, address: str) -> None:
    """What stands in the address bar is copied and remembered."""
    assert "token" in address
    assert page.url == re.sub(r"\?token.*", "", address)


def test_a_dropped_file_makes_the_face_speak(page: Any, speech: Path) -> None:
    """Shut in silence, open at the loudest vowel, on the canvas as in the curves."""
    import soundfile

    drop(page, speech)
    motion = motion_of(page)
    audio, rate_hz = soundfile.read(speech)
    starts = (np.arange(len(motion)) * rate_hz / 30).astype(int)
    loud = np.array([np.square(audio[a : a + rate_hz // 15]).sum() for a in starts])
    jaw = motion[:, ARKIT_NAMES.index("jawOpen")]
    vowel = int(np.argmax(jaw * (loud > np.quantile(loud, 0.7))))
    assert jaw[vowel] > 0.15 + jaw[0], "at one of the loudest moments the jaw is open"
    shut, wide = face_at(page, 0.0), face_at(page, vowel / 30)
    height, width, _ = shut.shape
    moved = np.abs(wide - shut).mean(axis=2)
    mouth = moved[int(0.55 * height) : int(0.85 * height), int(0.35 * width) : int(0.65 * width)]
    corner = moved[int(0.3 * height) : int(0.7 * height), : int(0.1 * width)]
    assert mouth.mean() > 3
    assert corner.mean() < 0.5, "what is no face stands still"


def test_sound_and_picture_are_within_50_ms(page: Any) -> None:
    """By the page's clocks, and by the samples that go to the loudspeaker at each picture."""
    lags = page.evaluate(LISTEN)
    assert len(lags["drawn"]) >= 5, "pictures were drawn while it played"
    assert np.abs(lags["drawn"]).max() < 0.05
    assert len(lags["lags"]) >= 5, "samples were found again"
    assert abs(np.median(lags["lags"])) < 0.05


def test_keys_play_pause_and_step(page: Any) -> None:
    """Nobody should have to aim at a button."""
    page.locator(".timeline").first.focus()
    page.evaluate("window.studio.stage.player.seek(0)")
    page.keyboard.press("ArrowRight")
    wait(page, "Math.abs(stage.player.time() - 1 / 30) < 1e-6")
    page.keyboard.press("Space")
    wait(page, "stage.player.playing")
    page.keyboard.press("Space")
    wait(page, "!stage.player.playing")
    page.keyboard.press("Home")
    wait(page, "stage.player.time() === 0")


def test_the_recording_loops(page: Any) -> None:
    """After its end it begins again, and the face with it."""
    page.get_by_label("Loop").first.check()
    page.evaluate("window.studio.stage.player.seek(window.studio.stage.player.duration - 0.15)")
    page.locator(".play").first.click()
    wait(page, "stage.player.playing && stage.drawn < 0.5")
    page.locator(".play").first.click()
    page.get_by_label("Loop").first.uncheck()


def test_wireframe_and_orbit_change_the_picture(page: Any) -> None:
    """The head turns with the pointer, and shows its mesh."""
    plain = face_at(page, 0.0)
    page.get_by_role("button", name="Wireframe").first.click()
    wait(page, "stage.viewer.material.wireframe && !stage.viewer.rough")
    assert np.abs(face_at(page, 0.0) - plain).mean() > 3
    page.get_by_role("button", name="Wireframe").first.click()
    box = page.locator("canvas.face").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=4)
    page.mouse.up()
    wait(page, "!stage.viewer.rough && !stage.viewer.changed")
    assert np.abs(face_at(page, 0.0) - plain).mean() > 3
    page.get_by_role("button", name="Front").first.click()


def test_several_samples_can_be_chosen_from(page: Any) -> None:
    """Each is a face of its own, and a click shows it."""
    page.select_option("#samples", "3")
    wait(page, "document.querySelectorAll('.chips input').length === 3")
    first = motion_of(page)
    page.locator(".chips label").nth(2).click()
    wait(page, "stage.takes[0].number === 2")
    assert np.abs(motion_of(page) - first).max() > 0.01
    page.select_option("#samples", "1")
    wait(
        page,
        "!document.querySelector('.chips input') && stage.takes[0].number === 0",
    )


def test_an_emotion_is_drawn_under_the_waveform(page: Any) -> None:
    """A stroke of the pointer becomes a share over time, and the face follows."""
    page.locator(".segments label", has_text="Draw").click()
    page.locator(".brushes label", has_text="happy").click()
    box = page.locator("canvas.curves").first.bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 70)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 12, steps=6)
    page.mouse.up()
    wait(page, "stage.takes[0].emotion?.source === 'curve'")
    shares = page.evaluate("window.studio.stage.takes[0].emotion.shares")
    assert set(shares) == {"neutral", "happy"}
    assert 0.2 < shares["happy"] < 0.8
    page.locator(".segments label", has_text="Voice").click()


def test_every_format_is_downloaded_and_read_back(page: Any, tmp_path: Path) -> None:
    """What is on the disk is what was on the screen."""
    page.locator("#go").click()
    wait(page, "stage.takes[0].emotion?.source === 'voice'")
    motion = np.clip(motion_of(page), 0, 1)
    links = page.locator("#downloads a:not([aria-disabled])")
    names = [links.nth(k).get_attribute("data-format") for k in range(links.count())]
    assert {"livelink", "npy", "glb"} <= set(names)
    got = {}
    for name in names:
        with page.expect_download() as download:
            page.locator(f"#downloads a[data-format={name}]").click()
        got[name] = tmp_path / name / download.value.suggested_filename
        download.value.save_as(got[name])
        assert got[name].stem == "ann"
        assert got[name].stat().st_size > 1000, name
    read, _ = read_livelink_csv(got["livelink"])
    np.testing.assert_allclose(read, motion, atol=2e-4)
    np.testing.assert_allclose(np.load(got["npy"]), motion, atol=2e-4)
    body = got["glb"].read_bytes()
    assert body[:4] == b"glTF"
    header = json.loads(body[20 : 20 + int.from_bytes(body[12:16], "little")])
    assert sorted(header["meshes"][0]["extras"]["targetNames"]) == sorted(ARKIT_NAMES)
    for name in {"beat", "lam", "audio2face"} & set(got):
        assert json.loads(got[name].read_text()), name
    for name in {"mp4", "webm"} & set(got):
        check_video(got[name], n_frames=len(motion))


def check_video(path: Path, *, n_frames: int) -> None:
    """Check that a film has a picture for each frame, and sound."""
    import av

    with av.open(str(path)) as film:
        assert [stream.type for stream in film.streams] == ["video", "audio"]
        assert abs(sum(1 for _ in film.decode(video=0)) - n_frames) <= 1


def test_the_microphone_is_recorded_and_animated(page: Any) -> None:
    """What is spoken into it becomes a sound like any other."""
    page.locator("#record").click()
    wait(
        page,
        "animate.recorder.active && animate.recorder.duration > 1.2",
    )
    page.locator("#record").click()
    wait(
        page,
        "animate.sound.name === 'recording.wav' && stage.takes.length === 1",
    )
    assert page.locator("#sound").inner_text().startswith("recording.wav, ")


def test_what_is_no_sound_is_told_in_a_sentence(page: Any, context: Any, tmp_path: Path) -> None:
    """An error that only the console knows is none for who dropped the file."""
    empty, picture = tmp_path / "empty.wav", tmp_path / "face.png"
    empty.write_bytes(b"")
    picture.write_bytes(b"\x89PNG\r\n" + bytes(400))
    for path, words in (
        (empty, "empty.wav: must be a sound file, got 0 bytes"),
        (picture, "face.png: must be"),
    ):
        page.set_input_files("#file", str(path))
        notice = page.locator("#notice", has_text=words)
        notice.wait_for()
    page.get_by_role("button", name="Close").click()
    # The browser notes each refusal in its console.
    refused = [fault for fault in context.faults if "status of 400" in fault]
    for fault in refused:
        context.faults.remove(fault)


def test_speech_of_the_folder_is_chosen_and_a_second_page_works_beside(
    page: Any, context: Any, address: str
) -> None:
    """Two tabs at once, by the cookie of the first."""
    other = opened(context, re.sub(r"\?token.*", "", address))
    for each in (page, other):
        each.get_by_label("Speech of the folder").select_option("ann.wav")
    for each in (page, other):
        wait(
            each,
            "animate.sound?.name === 'ann.wav' && stage.takes.length === 1",
        )
    other.close()


def test_a_browser_without_the_token_is_refused(browser: Any, address: str) -> None:
    """Another user of the machine sees the port."""
    stranger = browser.new_context()
    shown = stranger.new_page()
    assert shown.goto(re.sub(r"\?token.*", "", address)).status == 403
    assert "needs the whole address" in shown.inner_text("body")
    stranger.close()


def test_without_webgl_the_page_says_so_and_shows_pictures(
    context: Any, address: str, speech: Path
) -> None:
    """An old machine, or a browser that forbids it: the face is there all the same."""
    shown = context.new_page()
    shown.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "  return kind.startsWith('webgl') ? null : get.call(this, kind, ...more); };"
    )
    shown.goto(re.sub(r"\?token.*", "", address))
    shown.wait_for_selector("body[data-ready]")
    assert "has no WebGL" in shown.locator(".pictures .note").inner_text()
    drop(shown, speech)
    wait(
        shown,
        "[...document.querySelectorAll('.moments img')].some(each => each.naturalWidth === 320)",
    )
    first = shown.evaluate("document.querySelector('.moments img').src")
    shown.evaluate("window.studio.stage.player.seek(0.5)")
    wait(
        shown,
        f"stage.pictures.images[0].src !== '{first}' && !stage.pictures.images[0].dataset.busy",
    )
    assert shown.evaluate("document.querySelectorAll('.strip img').length") == 12
    shown.close()


def test_methods_are_compared_side_by_side(page: Any) -> None:
    """Three faces of one clock, with figures, curves and strips."""
    page.locator("#tabs a", has_text="Compare").click()
    page.wait_for_selector(".compare .utterances label")
    page.locator(".compare button.main").click()
    wait(page, "stage.takes.length === 3")
    labels = page.evaluate("window.studio.stage.takes.map(take => take.label)")
    assert labels[0] == "recording"
    rows = page.evaluate("window.studio.stage.timeline.rows.map(row => row.label)")
    assert rows[:3] == labels
    assert [row.split(",")[0] for row in rows[3:]] == ["LVE", "EVE"]
    figures = page.locator(".figures tr").all_inner_texts()
    assert len(figures) == 4
    assert page.evaluate("window.studio.stage.viewer.faces.length") == 3
    page.locator(".compare .play").click()
    wait(page, "stage.drawn > 0.3")
    page.locator(".compare .play").click()


def test_a_training_is_watched_while_it_goes_on(page: Any, run: Path) -> None:
    """Rows that are written while the page is open appear, and an alarm with them."""
    work = run / "experiments" / "bold" / ".improve.partial" / "ppo"
    work.mkdir(parents=True)
    file = work / "metrics.csv"
    file.write_text("step,score,kl,validation_lve_mm,alarm\n1,0.1,0.01,2.5,0\n")
    page.locator("#tabs a", has_text="Watch").click()
    page.locator(".watch .utterances label", has_text="experiments/bold/improve/ppo").click()
    said = page.locator(".board .said")
    said.get_by_text("at work, 1 rows").wait_for()
    assert page.locator(".chart figcaption").all_inner_texts()[:2] == [
        "Score, the proxy",
        "True errors on validation, mm",
    ]
    file.write_text(file.read_text() + "2,0.4,0.02,2.8,1\n")
    said.get_by_text("at work, 2 rows").wait_for()
    page.locator(".alarm.raised", has_text="Alarm of reward hacking at step 2.").wait_for()
