"""Figure 5's files: strips that show what they say, and a page that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from esarm_env.audio.encoders.phone_spans import PhoneSpan
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.face import load_head
from train.figure5 import strip
from train.figure5.emotion_curves import emotion_curves
from train.figure5.figure import Shown, draw_figure
from train.figure5.methods import Row
from train.figure5.moments import EVEN, TO_SHUT, Moment
from train.figure5.quantities import LIP_CORNERS, quantities_of
from train.figure5.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import Corpus
    from train.figure5.emotion_curves import Curves

pytest.importorskip("PIL")
from PIL import Image

PHONES = (PhoneSpan("h", 0.1, 0.3), PhoneSpan("m", 0.4, 0.6))
COLUMNS = 3


@pytest.fixture(scope="module")
def shown(tiny_corpus: Corpus) -> Shown:
    """Return a sentence with two rows, the second of which moves half as far."""
    spoken = tiny_corpus[11]
    subject = Subject(
        "dora-11",
        "happy 2/3, speaker dora",
        "We met by the lake.</script><b>",
        spoken.audio,
        spoken.record.n_frames,
        PHONES,
        11,
        spoken.captured,
        ("a note",),
    )
    rows = [
        Row("recording", "recording", spoken.motion),
        Row("half", "half of it", 0.5 * spoken.motion),
    ]
    return Shown(subject, rows, [None, {"lve": 1.25, "eve": float("nan")}])


@pytest.fixture(scope="module")
def drawn(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the figure, and what `figure5.json` holds."""
    out = tmp_path_factory.mktemp("figure5")
    told = draw_figure(shown, out, head=load_head(), columns=COLUMNS, error_map=True)
    assert json.loads((out / "figure5.json").read_text()) == told
    return out, told


def pixels_of(path: Path) -> np.ndarray:
    """Return a picture, shape (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image)


def data_of(page: str) -> dict[str, Any]:
    """Return the data of a page."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    return dict(json.loads(found.group(1)))


def numbers_of(packed: dict[str, Any]) -> np.ndarray:
    """Return the numbers of an array as the page reads it."""
    dtype = np.dtype(packed["type"]).newbyteorder("<")
    return np.frombuffer(base64.b64decode(packed["data"]), dtype) * packed.get("scale", 1)


def test_every_frame_is_the_row_s_motion_at_the_columns_time(
    shown: Shown, drawn: tuple[Path, dict[str, Any]]
) -> None:
    """The top row is the recording itself; frames are the same for all rows."""
    out, told = drawn
    picture = pixels_of(out / "figure5.png")
    frames = [each["frame"] for each in told["frames"]]
    assert len(frames) == COLUMNS
    renderer, top = strip.face_renderer(load_head()), strip.strips_top(shown.subject)
    for number, row in enumerate(shown.rows):
        for column, frame in enumerate(frames):
            x, y = strip.cell_origin(number, column, top=top)
            cell = picture[y : y + strip.CELL[0], x : x + strip.CELL[1]]
            np.testing.assert_array_equal(cell, renderer.frame(row.motion[frame]))
    left, width = strip.cell_origin(0, COLUMNS, top=top)[0], picture.shape[1]
    assert width == left - strip.GAP + strip.MARGIN
    assert told["rows"][1]["errors_mm"] == {"lve": 1.25, "eve": None}
    assert shown.beside == ["", "LVE 1.25 mm"]


def test_the_error_s_strips_have_no_row_of_the_recording(
    shown: Shown, drawn: tuple[Path, dict[str, Any]]
) -> None:
    """It has no error; and where there is no recording, an error map is refused."""
    out, told = drawn
    assert told["files"] == {
        "strips": "figure5.png",
        "errors": "figure5_errors.png",
        "page": "figure5.html",
        "figures": "figure5.json",
    }
    heights = [len(pixels_of(out / name)) for name in ("figure5.png", "figure5_errors.png")]
    assert 0 < heights[0] - heights[1] < strip.CELL[0]  # one row less, a bar more
    voice = Shown(shown.subject, shown.rows[1:], [None])
    with pytest.raises(InputError, match=re.escape("`error_map` must be left out")):
        draw_figure(voice, out, head=load_head(), error_map=True)


def test_an_interruption_leaves_the_files_that_were_finished(shown: Shown, tmp_path: Path) -> None:
    """Curves by emotion take minutes; whoever is tired of them must not lose the strips."""

    def stopped() -> Curves:
        raise KeyboardInterrupt

    head, named = load_head(), list[str]()
    with pytest.raises(KeyboardInterrupt):
        draw_figure(
            replace(shown, emotions=stopped),
            tmp_path,
            head=head,
            columns=2,
            error_map=True,
            written=lambda path: named.append(path.name),
        )
    assert named == ["figure5.png", "figure5_errors.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == named


def test_curves_by_emotion_are_drawn_before_the_page_that_shows_them(
    shown: Shown, tmp_path: Path
) -> None:
    """Each file is told of once, when it is there; the page has the curves' picture and table."""
    pytest.importorskip("matplotlib")
    head = load_head()
    quantities = [quantities_of(head)[LIP_CORNERS]]
    motion, half = (row.motion for row in shown.rows)
    rows = {"recording": [motion, half], "half of it": [half, 0.5 * half]}
    named: list[str] = []

    def written(path: Path) -> None:
        assert path.is_file()
        named.append(path.name)

    told = draw_figure(
        replace(shown, emotions=lambda: emotion_curves(rows, ["happy", "sad"], quantities)),
        tmp_path,
        head=head,
        columns=2,
        written=written,
    )
    assert named == ["figure5.png", "figure5_emotions.png", "figure5.html", "figure5.json"]
    assert list(told["files"].values()) == named
    assert told["emotion_contrast"] == {LIP_CORNERS: {"half of it": pytest.approx(0.5, abs=1e-3)}}
    page = data_of((tmp_path / "figure5.html").read_text(encoding="utf-8"))
    assert page["emotions"]["table"] == [["", LIP_CORNERS], ["half of it", "0.50"]]


class Sources(HTMLParser):
    """Collects what a page would load, its ids, and its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.scripts += tag == "script"
        self.loaded += [named[key] or "" for key in ("src", "href", "data") if key in named]
        if named.get("id"):
            self.ids.add(str(named["id"]))


def test_the_page_loads_nothing_and_no_text_ends_its_script(
    drawn: tuple[Path, dict[str, Any]],
) -> None:
    """From a disk without a network it must still play; a sentence is no markup."""
    page = (drawn[0] / "figure5.html").read_text(encoding="utf-8")
    found = Sources()
    found.feed(page)
    assert found.loaded == []
    assert not re.search(r"https?://|url\(|@import|\bfetch\(|XMLHttpRequest|import\(", page)
    assert "default-src 'none'" in page
    assert found.scripts == 3
    asked = set(re.findall(r'\$\("(\w+)"\)', page))
    assert asked <= found.ids, "the script asks for what the page has not"
    assert data_of(page)["text"] == "We met by the lake.</script><b>"
    assert len(page) < 2_000_000


def test_the_page_s_numbers_are_the_motion_the_sound_and_the_curves(
    shown: Shown, drawn: tuple[Path, dict[str, Any]]
) -> None:
    """What moves on the page is what was measured."""
    data = data_of((drawn[0] / "figure5.html").read_text(encoding="utf-8"))
    assert [each["label"] for each in data["methods"]] == ["recording", "half of it"]
    for each, row in zip(data["methods"], shown.rows, strict=True):
        motion = numbers_of(each["motion"]).reshape(-1, 52)
        np.testing.assert_allclose(motion, row.motion, atol=5.1e-5)
    audio, rate = soundfile.read(io.BytesIO(base64.b64decode(data["audio"])))
    assert rate == 16_000
    np.testing.assert_allclose(audio, shown.subject.audio, atol=1e-4)
    head = load_head()
    known = quantities_of(head)
    for quantity in data["quantities"]:
        weights = known[quantity["name"]].weights
        np.testing.assert_allclose(quantity["weights"], weights, atol=1e-5)
    vertices = numbers_of(data["head"]["vertices"]).reshape(-1, 3)
    np.testing.assert_allclose(vertices, head.vertices, atol=0.006)
    assert (data["truth"], data["fps"], data["n_frames"]) == ("recording", 30, 31)
    assert data["phones"] == [["h", 0.1, 0.3], ["m", 0.4, 0.6]]


_NODE = """
const page = require("fs").readFileSync(process.argv[1], "utf8");
const data = JSON.parse(page.match(/<script id="data"[^>]*>([^]*?)<\\/script>/)[1]);
const code = page.match(/<script id="engine">([^]*?)<\\/script>/)[1];
new Function(page.match(/<script id="ui">([^]*?)<\\/script>/)[1]);  // parses
const tools = new Function(code + "; return {Mesh, Painter, arrayOf, curveOf}")();
const mesh = new tools.Mesh(data.head), motion = tools.arrayOf(data.methods[0].motion);
const vertices = mesh.vertices(motion, 9, new Float32Array(3 * mesh.n));
const painter = new tools.Painter(mesh, 150, 176), pixels = new Uint8ClampedArray(150 * 176 * 4);
painter.yaw = 12;
painter.draw(vertices, pixels, null, [244, 245, 247]);
const curves = data.quantities.map(each => Array.from(tools.curveOf(motion, each.weights)));
const out = {vertices: Array.from(vertices), pixels: Array.from(pixels), curves};
process.stdout.write(JSON.stringify(out));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which runs the page's script")
def test_the_page_s_script_moves_and_draws_the_head_as_we_do(
    shown: Shown, drawn: tuple[Path, dict[str, Any]]
) -> None:
    """Written twice, in two languages: a slip in one would show another face."""
    done = subprocess.run(
        ["node", "-e", _NODE, str(drawn[0] / "figure5.html")],
        capture_output=True,
        text=True,
        check=True,
    )
    found, head, motion = json.loads(done.stdout), load_head(), shown.rows[0].motion
    np.testing.assert_allclose(
        np.reshape(found["vertices"], (-1, 3)), head.apply(motion[9]), atol=0.1
    )
    for curve, quantity in zip(found["curves"], quantities_of(head).values(), strict=True):
        np.testing.assert_allclose(curve, quantity.of(motion), atol=0.01)
    ours = strip.face_renderer(head).frame(motion[9]).astype(float)
    theirs = np.reshape(found["pixels"], (176, 150, 4))[..., :3]
    assert np.abs(ours - theirs).mean() < 4.0, "of 255; edges are not smoothed there"


def test_a_voice_has_a_page_without_ground_truth(shown: Shown, tmp_path: Path) -> None:
    """There is nothing to compare with, and the page must not offer it."""
    subject = replace(shown.subject, index=None, text=None, phones=())
    voice = Shown(subject, shown.rows[1:], [None])
    told = draw_figure(voice, tmp_path, head=load_head(), columns=2)
    data = data_of((tmp_path / "figure5.html").read_text(encoding="utf-8"))
    assert data["truth"] is None
    assert data["text"] is None
    assert [each["error"] for each in data["methods"]] == [""]
    assert told["rows"] == [{"method": "half", "label": "half of it", "errors_mm": {}}]


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (Moment(0, EVEN), "frames: the same for every row, evenly spaced"),
        (
            Moment(0, TO_SHUT),
            "frames: the same for every row, evenly spaced, and where lips should be shut by the "
            "phones",
        ),
    ],
)
def test_the_caption_speaks_of_lips_where_a_column_is_there_for_them(
    moment: Moment, said: str, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a phone recogniser it told of phones, and the next line that there were none."""
    lines: list[str] = []
    monkeypatch.setattr("esarm_env.rendering.text.draw", lambda _, line, **__: lines.append(line))
    voice = replace(shown.subject, index=None, phones=())
    moments = [moment, *[Moment(frame, EVEN) for frame in range(1, 10)]]
    strip.draw_strips(voice, [], moments, frames={}, beside=[], title="Figure")
    assert said in lines


def test_without_pillow_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; the command must say so before it animates for minutes."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    line = "`esarm figure5` needs `pillow`: run `pip install 'esarm[render]'`"
    with pytest.raises(MissingExtraError, match=re.escape(line)):
        strip.need_pillow()
