"""Judge in a real browser: the keyboard alone, two windows, sound and faces together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from reward.judging import Pool
from reward.pairs.preference_file import read_preferences
from tests.train.studio.test_judge_page import Quiet
from train.studio.judging.simulated import SimulatedRater, served
from train.studio.studio import Studio

SMALL = {"width": 760, "height": 620}


class Window:
    """A window of the browser that looks at a studio, and what it asked and complained of."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_context(viewport=SMALL).new_page()
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.page.on("request", lambda r: self.hosts.add(urlsplit(r.url).netloc))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)

    def until(self, condition: str, given: object = None) -> None:
        """Wait for a condition, a function of JavaScript."""
        self.page.wait_for_function(condition, arg=given)

    def focused(self, element: str) -> None:
        self.until("id => document.activeElement.id === id", element)

    def tab_to(self, condition: str) -> None:
        """Press Tab until the element that has the focus fulfils a condition."""
        for _ in range(40):
            if self.page.evaluate(f"() => (e => {condition})(document.activeElement)"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never reaches {condition}")

    def sit(self, name: str, pairs: int) -> None:
        """Open Judge and begin, by the keyboard."""
        self.tab_to("e.dataset.page === 'judge'")
        self.page.keyboard.press("Enter")
        self.focused("rater")
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(name)
        self.tab_to("e.id === 'pairs'")
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(str(pairs))
        self.page.keyboard.press("Enter")

    def pair(self, number: int) -> None:
        """Wait until a pair is on the screen and can be judged."""
        # A page that is loaded again has no view yet.
        self.until(
            "n => { const view = window.studio?.judge; return view?.number === n && !view.busy; }",
            number,
        )

    def press(self, key: str, then: int) -> None:
        """Press a key, and wait for the pair that comes of it."""
        self.page.keyboard.press(key)
        self.pair(then)

    def text(self, place: str) -> str:
        return str(self.page.inner_text(place))


@pytest.fixture(scope="module")
def studio(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """A studio of the run whose animations are made once for all tests here."""
    return Quiet(finished_run, preferences=tmp_path_factory.mktemp("judged") / "answers.jsonl")


@pytest.fixture(scope="module")
def address(studio: Studio) -> Iterator[str]:
    with served(studio) as place:
        SimulatedRater(place, "nobody", lambda *_: "a").make(utterances=4)
        studio.study.maker.idle.wait()
        yield place


@pytest.fixture
def windows(browser: Any, address: str) -> Iterator[Any]:
    """A function that opens a window; what it asks for stays on this machine."""
    opened: list[Window] = []

    def open_window() -> Window:
        opened.append(Window(browser, address))
        return opened[-1]

    yield open_window
    for window in opened:
        window.page.context.close()
        assert window.hosts == {urlsplit(address).netloc}
        assert window.errors == []


def answers_of(studio: Studio, rater: str) -> list[str]:
    assert studio.study.file is not None
    kept, problems = read_preferences(studio.study.file)
    assert problems == []
    return [each.better for each in kept if each.rater == rater]


def test_ten_pairs_are_judged_with_the_keyboard_alone(windows: Any, studio: Studio) -> None:
    """Hundreds of pairs are judged without a mouse, and the file says what was pressed."""
    window = windows()
    window.sit("ann", 10)
    keys = ("a", "b", "t", "c", "ArrowLeft", "ArrowRight", "A", "B", "t")
    motion = "() => Array.from(window.studio.judge.stage.takes[0].motion)"
    for number, key in enumerate(keys):
        window.pair(number)
        before = window.page.evaluate(motion)
        assert window.text("#count") == f"Pair {number + 1} of 10"
        window.press(key, number + 1)
    said = ["a", "b", "tie", "cannot-tell", "a", "b", "a", "b", "tie"]
    assert answers_of(studio, "ann") == said
    window.press("u", 8)
    assert window.page.evaluate(motion) == before, "the pair that was answered comes again"
    assert answers_of(studio, "ann") == said[:-1]
    assert window.text("#saved") == "taken back; judge it again"
    window.press("b", 9)
    window.page.keyboard.press("a")
    window.focused("headline")
    assert window.text("#headline") == "10 pairs are judged."
    assert answers_of(studio, "ann") == [*said[:-1], "b", "a"]
    row = window.text("#raters tbody tr").split("\t")
    assert row[:4] == ["ann", "10", "1", "1"]
    assert window.text("#command").startswith("esarm improve --from ")
    assert window.text("#command").endswith("answers.jsonl")
    pool: Pool = studio.study.judging.pool
    assert len(pool.rows_of) == 4


def test_a_second_rater_judges_in_a_second_window(windows: Any, studio: Studio) -> None:
    """Two people at once; who types a name that is taken is asked who they are."""
    one, two = windows(), windows()
    one.sit("bob", 3)
    one.pair(0)
    two.sit("Bob", 3)
    two.focused("go-on")
    assert two.text("#question-text") == (
        "bob is judging in another window of this studio. Go on here, which ends it there?"
    )
    two.tab_to("e.id === 'other-name'")
    two.page.keyboard.press("Enter")
    two.focused("rater")
    two.page.keyboard.type("cleo")
    two.page.keyboard.press("Enter")
    two.pair(0)
    one.press("a", 1)
    two.press("b", 1)
    one.press("b", 2)
    assert (answers_of(studio, "bob"), answers_of(studio, "cleo")) == (["a", "b"], ["b"])
    two.page.reload()
    two.pair(1)  # this window's own session goes on
    two.tab_to("e.id === 'show-results'")
    two.page.keyboard.press("Enter")
    two.focused("headline")
    assert "bob\t2" in two.text("#raters") and "cleo\t1" in two.text("#raters")
    two.tab_to("e.id === 'another'")
    two.page.keyboard.press("Enter")
    two.focused("rater")
    two.page.keyboard.type("bob")
    two.page.keyboard.press("Enter")
    two.focused("go-on")
    two.page.keyboard.press("Enter")
    two.pair(2)
    one.page.keyboard.press("a")
    one.page.wait_for_selector("#notice:not([hidden])")
    assert one.text("#notice").startswith("this session has ended")
    one.page.wait_for_selector("#begin")
    assert answers_of(studio, "bob") == ["a", "b"]


def test_both_faces_move_with_the_sound_and_one_alone_leaves_the_other_still(
    windows: Any,
) -> None:
    """Lips that lag behind the voice would be judged for the page's fault."""
    window = windows()
    window.sit("dora", 5)
    window.pair(0)
    window.until("() => window.studio.judge.stage.player.time() > 0.4")
    stage = "window.studio.judge.stage"
    clocks = window.page.evaluate(f"() => {stage}.clocks.filter(c => c.sound > 0)")
    assert len(clocks) > 1
    assert max(abs(each["picture"] - each["sound"]) for each in clocks) < 0.05
    jaws = f"k => Array.from({stage}.viewer.faces[k].weights)"
    still = f"k => Array.from({stage}.takes[k].motion.slice(0, 52))"
    assert all(window.page.evaluate(jaws, k) != window.page.evaluate(still, k) for k in (0, 1))
    window.page.keyboard.press("2")
    window.until(f"() => {stage}.which === 'b' && {stage}.player.time() > 0.4")
    assert window.page.evaluate(jaws, 0) == window.page.evaluate(still, 0)
    assert window.page.evaluate(jaws, 1) != window.page.evaluate(still, 1)
    assert window.page.get_attribute("#play-b", "aria-pressed") == "true"
    window.page.keyboard.press("Space")
    window.until(f"() => {stage}.which === 'both' && {stage}.player.playing")
