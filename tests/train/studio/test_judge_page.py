"""Judge: what raters are shown, what becomes of their answers, and what they are not told."""

from __future__ import annotations

import functools
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import esarm_env.task.opening
from agents.rollout.named_decoding import NAMES
from esarm_env.core.errors import InputError
from esarm_env.task.opening import open_task
from reward.judging import NewAnimation, Pool, open_pool, write_pool
from reward.pairs.from_preferences import open_preferences
from reward.pairs.preference_file import read_preferences
from tests.train.studio.conftest import client_of
from train.bench.raters.at_page import RatersAtPage
from train.bench.raters.simulated import TASTES, SimulatedRaters
from train.studio.judging.asked import DECODINGS
from train.studio.judging.making import Writer
from train.studio.judging.simulated import SimulatedRater, served, unpacked
from train.studio.studio import Studio

FILE = "preferences.jsonl"
HOUR_S = 3600.0  # for waits that end long before


class Quiet(Studio):
    """A studio that loads nothing for Animate beforehand."""

    def _warm_up(self) -> None:
        self.ready.set()


class Page:
    """A page without a browser: asks a studio as the page's scripts do."""

    opened_ones: ClassVar[list[Page]] = []

    def __init__(self, run: Path | None, file: Path | None) -> None:
        self.opened_ones.append(self)
        self.studio = Quiet(run, preferences=file)
        self.study = self.studio.study
        self.client = client_of(self.studio)

    def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        answer = self.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def made(self, **asked: object) -> Page:
        """Make animations, and wait until they are there."""
        self.ask("POST", "/api/judge/pool", asked, status=202)
        assert self.study.maker.idle.wait(HOUR_S)
        assert self.study.maker.state == "ready", self.study.maker.message
        return self

    def opened(self) -> Page:
        """Open the page, and wait until the folder's pool is there."""
        self.ask("GET", "/api/judge")
        assert self.study.maker.idle.wait(HOUR_S)
        return self

    def sit(self, rater: str, **asked: object) -> dict[str, Any]:
        told = self.ask("POST", "/api/judge/sessions", {"rater": rater, **asked}, status=201)
        return dict(told)

    def answer(self, told: dict[str, Any], verdict: str) -> dict[str, Any]:
        body = {"number": told["number"], "verdict": verdict}
        next_ = self.ask("POST", f"/api/judge/sessions/{told['session']}/answers", body)
        return dict(next_)

    def place(self, told: dict[str, Any]) -> str:
        return f"/api/judge/sessions/{told['session']}/pairs/{told['number']}"


Judged = Callable[..., Page]


@pytest.fixture(scope="module", autouse=True)
def one_task() -> Iterator[None]:
    """Open the run's task once, which every page would open for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(esarm_env.task.opening, "open_task", functools.lru_cache(open_task))
        yield


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close whatever page a test has opened."""
    yield
    while Page.opened_ones:
        Page.opened_ones.pop().studio.close()


@pytest.fixture(scope="module")
def made(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pool: two samples of three policies and the recording of four utterances."""
    folder = tmp_path_factory.mktemp("made")
    page = Page(finished_run, folder / FILE).made(utterances=4)
    page.studio.close()
    return folder


@pytest.fixture
def judged(finished_run: Path, made: Path, tmp_path: Path) -> Judged:
    """A function that opens the page on a copy of the pool; the same name is the same copy."""

    def open_page(name: str = "judged", *, run: Path = finished_run) -> Page:
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(made, folder)
        return Page(run, folder / FILE).opened()

    return open_page


def judge(page: Page, told: dict[str, Any], verdicts: str) -> dict[str, Any]:
    """Answer by letters, `a`, `b`, `t` or `c`."""
    for letter in verdicts:
        told = page.answer(told, {"t": "tie", "c": "cannot-tell"}.get(letter, letter))
    return told


def test_a_pair_does_not_tell_who_wrote_it(judged: Judged) -> None:
    """A rater who knows which face is the improved one judges the name."""
    page = judged()
    pool: Pool = page.study.judging.pool
    secrets = {each.source.split(",")[0] for each in pool.animations}
    assert secrets == {"clone", "ppo", "reinforce", "recording"}
    told = page.sit("ann", pairs=12)
    for _ in range(12):
        answers = [page.client.get(f"/api/judge/sessions/{told['session']}")]
        answers += [page.client.get(page.place(told) + part) for part in ("/motions", "/sound")]
        heard = b"".join(a.content + repr(a.headers).encode() for a in answers).decode("latin-1")
        for each in (*secrets, "sampled", *(a.sha256[:16] for a in pool.animations)):
            assert each not in heard
        told = page.answer(told, "a")
    assert told["state"] == "done"
    assert set(told) == {"session", "rater", "choice", "state", "message", "answered", "goal"}


def test_sides_and_order_are_by_chance_and_come_again_with_the_seed(judged: Judged) -> None:
    """Without chance a favourite side is a favourite policy; without a seed nobody can check it."""

    def asked(name: str, rater: str) -> list[tuple[str, str]]:
        page = judged(name)
        judge(page, page.sit(rater), "a" * 16)
        return [(each.a.sha256, each.b.sha256) for each in page.study.judging.log.judgements]

    first = asked("one", "ann")
    assert asked("two", "ann") == first
    assert asked("three", "bob") != first
    pool = open_pool(judged("one").study.file.parent)  # type: ignore[union-attr]
    sha = {each.sha256 for each in pool.animations if each.source == "recording"}
    sides = [side for pair in first for side in range(2) if pair[side] in sha]
    assert 0 < sum(sides) < len(sides), "the recording is on either side"


def test_the_file_is_whole_after_every_answer_and_trains(
    judged: Judged, finished_run: Path
) -> None:
    """A crash costs the answer in flight; what is kept must be what the trainer reads."""
    page = judged()
    told, file = page.sit("Zoë", pairs=8), page.study.file
    assert file is not None
    for number, verdict in enumerate(("a", "b", "tie", "cannot-tell", "b", "a")):
        assert (told["state"], told["number"], told["answered"]) == ("pair", number, number)
        told = page.answer(told, verdict)
        kept, problems = read_preferences(file)
        assert problems == []
        assert [each.better for each in kept][-1] == verdict and len(kept) == number + 1
    choices = open_preferences(file, open_task(finished_run))
    assert (choices.problems, choices.undecided, len(choices.source.pairs)) == ((), 1, 5)
    assert not list(file.parent.glob(".*.draft"))


def test_the_page_shows_the_motion_that_the_file_names(judged: Judged) -> None:
    """Sides that are exchanged on the way would turn every answer round."""
    page = judged()
    told, pool = page.sit("ann"), page.study.judging.pool
    body = page.client.get(page.place(told) + "/motions").content
    shown, sound = unpacked(body), page.client.get(page.place(told) + "/sound")
    assert sound.headers["content-type"] == "audio/wav" and sound.content[:4] == b"RIFF"
    page.answer(told, "a")
    (kept,) = page.study.judging.log.judgements
    for side, rated in (("a", kept.a), ("b", kept.b)):
        animation = pool.animations[pool.row_of[kept.utterance, rated.sha256]]
        assert np.abs(shown[side] - pool.motion(animation)).max() <= 0.51e-4
    gone = page.client.get(page.place(told) + "/motions")
    assert (gone.status_code, gone.json()["error"]) == (
        404,
        "this pair is not on the screen; ask for the next one",
    )


def test_undo_brings_the_same_pair_again(judged: Judged) -> None:
    """A slip of the finger is no answer."""
    page = judged()
    told = page.sit("ann")
    refused = page.ask("DELETE", f"/api/judge/sessions/{told['session']}/answers", status=400)
    assert refused == {"error": "there must be an answer to take back, got none"}
    before = page.client.get(page.place(told) + "/motions").content
    judge(page, told, "a")
    again = page.ask("DELETE", f"/api/judge/sessions/{told['session']}/answers")
    assert (again["number"], again["answered"]) == (0, 0)
    assert page.client.get(page.place(again) + "/motions").content == before
    assert page.study.file is not None and page.study.file.read_text() == ""
    judge(page, again, "b")
    assert [each.better for each in page.study.judging.log.judgements] == ["b"]


def test_after_a_restart_the_same_pair_comes_and_the_name_is_asked_about(judged: Judged) -> None:
    """Nobody begins anew, and nobody takes another's place by typing the same name."""
    page = judged()
    told = judge(page, page.sit("Ann"), "aab")
    before = page.client.get(page.place(told) + "/motions").content
    later = judged()
    assert later.ask("GET", "/api/judge")["raters"] == ["Ann"]
    lost = later.ask("GET", f"/api/judge/sessions/{told['session']}", status=404)
    assert "the studio was started anew" in lost["error"]
    asked = later.ask("POST", "/api/judge/sessions", {"rater": " ann "}, status=409)
    assert asked["taken"] == {"rater": "Ann", "answers": 3, "at_work": False}
    now = later.sit("ann", go_on=True)
    assert (now["rater"], now["number"]) == ("Ann", 3)
    assert later.client.get(later.place(now) + "/motions").content == before


def test_who_has_judged_all_pairs_is_at_work_no_more(judged: Judged) -> None:
    """A rater came back to ten pairs more, and was told of a window that there was not."""
    page = judged()
    judge(page, page.sit("ann", pairs=2), "ab")
    asked = page.ask("POST", "/api/judge/sessions", {"rater": "ann"}, status=409)
    assert asked["taken"] == {"rater": "ann", "answers": 2, "at_work": False}
    assert page.sit("ann", pairs=4, go_on=True)["number"] == 2


def test_a_second_window_of_one_rater_asks_and_ends_the_first(judged: Judged) -> None:
    """Two windows would answer one pair twice."""
    page = judged()
    first = page.sit("ann")
    asked = page.ask("POST", "/api/judge/sessions", {"rater": "ann", "go_on": True}, status=409)
    assert asked["taken"] == {"rater": "ann", "answers": 0, "at_work": True}
    second = page.sit("ann", take_over=True)
    body = {"number": 0, "verdict": "a"}
    gone = page.ask("POST", f"/api/judge/sessions/{first['session']}/answers", body, status=404)
    assert gone["error"].startswith("this session has ended")
    page.answer(second, "a")
    stale = page.ask("POST", f"/api/judge/sessions/{second['session']}/answers", body, status=400)
    assert "`number` must be that of the pair on the screen (pair 1), got 0" in stale["error"]
    assert page.ask("DELETE", f"/api/judge/sessions/{second['session']}") == {"ended": True}
    assert page.sit("ann", go_on=True)["answered"] == 1


def test_two_raters_share_pairs_and_agree_as_far_as_they_do(judged: Judged) -> None:
    """Agreement is told of oneself, of each other and of the reward model, with what comes next."""
    page = judged()
    for rater in ("ann", "bob"):
        judge(page, page.sit(rater, pairs=40), "a" * 40)
    told = page.ask("GET", "/api/judge/agreement")
    assert told["agreement"]["answers"] == {"ann": 40, "bob": 40}
    assert told["agreement"]["shared"] > 0 and told["agreement"]["repeats"] > 0
    assert told["by_rater"]["ann"]["left"] == 1.0
    reward = told["reward"]
    assert reward["lack"] == "" and reward["by_rater"][""]["answers"] == 80
    assert 0 < reward["by_rater"]["ann"]["share"] < 1
    assert {row["source"] for row in told["sources"]} == {
        "clone, sampled", "ppo, sampled", "reinforce, sampled", "recording",
    }  # fmt: skip
    run, file = page.study.run, page.study.file
    assert told["command"] == f"esarm improve --from {run} --as judged --preferences {file}"
    assert told["problems"] == []


def test_a_line_that_was_cut_is_listed_and_costs_no_other(judged: Judged) -> None:
    """Another program was killed while it wrote into the file."""
    page = judged()
    told = judge(page, page.sit("ann"), "ab")
    assert page.study.file is not None
    whole = page.study.file.read_bytes()
    page.study.file.write_bytes(whole[:-40])
    assert page.ask("GET", "/api/judge")["problems"][0].startswith("line 2: ")
    again = page.ask("GET", f"/api/judge/sessions/{told['session']}")
    assert again["answered"] == 1
    judge(page, again, "b")
    kept, problems = read_preferences(page.study.file)
    assert [each.better for each in kept] == ["a", "b"] and len(problems) == 1
    assert page.ask("GET", "/api/judge/agreement")["problems"] == problems


def test_a_file_that_cannot_be_written_is_refused_before_anybody_judges(
    finished_run: Path, tmp_path: Path
) -> None:
    """An hour of answers must not end in an error."""
    (tmp_path / "file").write_text("no folder")
    page = Page(finished_run, tmp_path / "file" / FILE)
    told = page.ask("GET", "/api/judge")
    assert re.search("must be a file in a writable folder, got 'Not a directory'", told["lack"])
    refused = page.ask("POST", "/api/judge/sessions", {"rater": "ann"}, status=400)
    assert refused == {"error": told["lack"]}
    assert page.study.maker.state == "asleep"


def test_a_file_that_can_be_written_no_longer_keeps_the_pair(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told, and the answer can be given again."""
    page = judged()
    told = page.sit("ann")
    assert page.study.file is not None
    with monkeypatch.context() as patch:
        patch.setattr(page.study.judging.log, "path", page.study.file / "x" / FILE)
        page.study.file.write_text("")
        body = {"number": 0, "verdict": "a"}
        refused = page.ask(
            "POST", f"/api/judge/sessions/{told['session']}/answers", body, status=400
        )
    assert "must be a file in a writable folder" in refused["error"]
    assert page.answer(told, "a")["answered"] == 1


def test_without_a_reward_model_pairs_are_random_and_agreement_says_so(
    judged: Judged, finished_run: Path, tmp_path: Path
) -> None:
    """The first answers may be there before any reward is."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run, ignore=shutil.ignore_patterns("reward"))
    page = judged(run=run)
    reason = "the run has no reward model yet, which its stage `reward` trains"
    assert page.ask("GET", "/api/judge")["active"] == reason
    asked = {"rater": "ann", "choice": "active"}
    refused = page.ask("POST", "/api/judge/sessions", asked, status=400)
    assert refused["error"].endswith(f"got none: {reason}; choose random pairs")
    judge(page, page.sit("ann"), "a")
    told = page.ask("GET", "/api/judge/agreement")
    assert told["reward"] == {"lack": reason, "by_rater": {}}
    assert told["command"] == f"esarm reward --run {run} --preferences {page.study.file}"


def test_active_choice_asks_where_the_model_is_in_doubt(judged: Judged) -> None:
    """Random pairs would spend most answers where the model is sure."""
    page = judged()
    judge(page, page.sit("ann", choice="active", pairs=10), "a" * 10)
    pool = page.study.judging.pool
    (scores,) = page.study.scores.members(pool)  # one member: it doubts what it scores alike
    lead = np.abs(scores[:, None] - scores)
    rows = [
        tuple(pool.row_of[each.utterance, side.sha256] for side in (each.a, each.b))
        for each in page.study.judging.log.judgements
    ]
    every = [lead[i, j] for own in pool.rows_of.values() for i in own for j in own if i < j]
    assert np.mean([lead[pair] for pair in rows]) < 0.5 * np.mean(every)


def test_a_run_in_training_or_none_has_nothing_to_judge(tmp_path: Path) -> None:
    """The page says what is missing, and what helps."""
    told = Page(None, None).ask("GET", "/api/judge")
    assert told["lack"].endswith("start with `esarm studio RUN`.") and told["policies"] == []
    page = Page(tmp_path, None)
    lack = page.ask("GET", "/api/judge")["lack"]
    assert lack.endswith("once its stage `clone` is finished.")
    assert page.ask("POST", "/api/judge/pool", {}, status=400) == {"error": lack}
    assert page.ask("GET", "/api/judge/agreement", status=400) == {"error": lack}
    assert list(tmp_path.iterdir()) == [], "nothing is written into a run by looking"


def test_the_first_pair_is_there_while_others_are_made(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits a minute for sixty utterances; what was interrupted goes on later."""
    go_on, written = threading.Event(), Writer._written

    def slowly(self: Writer, *given: Any) -> Any:
        held.append(given)
        if len(held) > 1:
            assert go_on.wait(HOUR_S)
        return written(self, *given)

    held: list[object] = []
    monkeypatch.setattr(Writer, "_written", slowly)
    page = Page(finished_run, tmp_path / FILE)
    page.ask("POST", "/api/judge/pool", {"utterances": 5, "policies": ["clone"]}, status=202)
    told = page.sit("ann", pairs=4)
    assert told["state"] in ("waiting", "pair")
    told = page.ask("GET", f"/api/judge/sessions/{told['session']}?wait=10")
    assert told["state"] == "pair" and page.study.maker.state == "making"
    assert len(page.study.judging.pool.animations) == 4
    page.study.maker._end.set()
    go_on.set()
    page.study.close()
    begun = open_pool(tmp_path)
    assert len(begun.rows_of) == 2
    later = Page(finished_run, tmp_path / FILE).opened()
    pool = later.study.judging.pool
    assert len(pool.rows_of) == 5 and pool.animations[: len(begun.animations)] == begun.animations
    later.made(utterances=5, policies=["clone"], decodings=["greedy"], recordings=True)
    grown = later.study.judging.pool
    assert grown.animations[: len(pool.animations)] == pool.animations
    assert {each.source for each in grown.animations} == {
        "recording", "clone, sampled 1", "clone, sampled 2", "clone, greedy 1",
    }  # fmt: skip


def test_what_cannot_be_made_is_refused_by_name(judged: Judged) -> None:
    """A mistyped policy must not be left out in silence."""
    page = judged()
    for asked, said in (
        ({"policies": ["sac"]}, "`policies` must be among clone, ppo, reinforce, got ['sac']"),
        ({"decodings": []}, f"`decodings` must be among {', '.join(DECODINGS)}, got []"),
        ({"samples": 9}, "`samples` must be a whole number, 1 to 8, got 9"),
        ({"sample": 2}, "fields must be known ones, got sample"),
        (
            {"policies": ["clone"], "samples": 1, "recordings": False},
            "there must be two or more animations of each utterance to compare, got 1; add "
            "policies, decodings, samples or recordings",
        ),
    ):
        assert page.ask("POST", "/api/judge/pool", asked, status=400) == {"error": said}
    for body, said in (
        ({"rater": "\x07"}, "`rater` must be a name of 1 to 60 printable letters"),
        ({"rater": "ann", "pairs": 0}, "`pairs` must be a whole number, 1 to 10000, got 0"),
        ({"rater": "ann", "choice": "best"}, "`choice` must be one of random, active, got 'best'"),
    ):
        assert page.ask("POST", "/api/judge/sessions", body, status=400)["error"].startswith(said)
    assert set(DECODINGS) <= set(NAMES)


def test_a_folder_of_another_corpus_is_refused(finished_run: Path, tmp_path: Path) -> None:
    """Its answers would be about utterances that this run has not."""
    motions = [np.full((30, 52), x, np.float32) for x in (0.1, 0.2)]
    write_pool([NewAnimation("stranger", "clone", motion) for motion in motions], tmp_path)
    page = Page(finished_run, tmp_path / FILE).opened()
    told = page.ask("GET", "/api/judge")["pool"]
    assert told["state"] == "failed"
    assert "must hold animations of this run's corpus, got utterance 'stranger'" in told["message"]
    (tmp_path / "judging.json").write_text(json.dumps({"asked": {}}))
    page.study.maker.wake()
    assert page.study.maker.idle.wait(HOUR_S)
    assert "must be a note of what is judged, got KeyError" in page.study.maker.message


def test_pictures_stand_in_for_a_browser_that_cannot_draw(judged: Judged) -> None:
    """Both sides are drawn, and no other is asked for."""
    page = judged()
    told = page.sit("ann")
    drawn = [
        page.client.get(f"{page.place(told)}/pictures/{side}/5?size=96").content for side in "ab"
    ]
    assert drawn[0][:4] == drawn[1][:4] == b"\x89PNG" and drawn[0] != drawn[1]
    refused = page.ask("GET", f"{page.place(told)}/pictures/c/5", status=400)
    assert refused == {"error": "`side` must be a or b, got 'c'"}


def test_a_simulated_rater_answers_through_the_page(finished_run: Path, tmp_path: Path) -> None:
    """A rehearsal that goes round the page rehearses nothing of it."""
    jaw = 24

    def open_mouth(a: np.ndarray, b: np.ndarray, _: int) -> str:
        return "a" if a[:, jaw].mean() >= b[:, jaw].mean() else "b"

    with served(Quiet(finished_run, preferences=tmp_path / FILE)) as address:
        rater = SimulatedRater(address, "simulated, open mouth", open_mouth)
        rater.make(utterances=6)
        assert rater.judge(30) == 30
        told = rater.agreement()
        with pytest.raises(InputError, match="`choice` must be one of random, active, got 'best'"):
            rater.judge(31, choice="best")
    own = told["by_rater"]["simulated, open mouth"]
    assert own["repeats"] > 0 and own["with_itself"] == 1.0, "a taste does not change its mind"
    kept, problems = read_preferences(tmp_path / FILE)
    assert len(kept) == 30 and problems == []
    pool = open_pool(tmp_path)
    for each in kept:
        motions = [
            pool.motion(pool.animations[pool.row_of[each.utterance, side.sha256]])
            for side in (each.a, each.b)
        ]
        lead = motions[0][:, jaw].mean() - motions[1][:, jaw].mean()
        assert abs(lead) < 2e-4 or (lead > 0) == (each.better == "a")


def test_raters_at_the_page_answer_as_those_without_one(
    made: Path, finished_run: Path, tmp_path: Path
) -> None:
    """The study with simulated raters is one of the page only if the page changes no answer."""
    asked = {"n_raters": 3, "noise": 0.2, "seed": 5}
    taste = TASTES["raised-brows"]
    bare = shutil.ignore_patterns("judging.json")
    pools = [open_pool(shutil.copytree(made, tmp_path / x, ignore=bare)) for x in ("page", "none")]
    at_page = RatersAtPage(finished_run, pools[0], taste, **asked)
    for n in (7, 7, 15):  # they go on where they ended
        at_page.answer(n)
    without = SimulatedRaters(pools[1], taste, **asked)
    without.answer(15)
    said = [
        [(p.rater, p.a.sha256, p.b.sha256, p.better) for p in raters.judging.log.judgements]
        for raters in (at_page, without)
    ]
    assert said[0] == said[1] and len(said[0]) == 15
