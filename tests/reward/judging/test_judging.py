"""Judging: what raters are shown, what is kept of their answers, and what a crash may cost."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from reward.judging import (
    ActivePairs,
    JudgementLog,
    Judging,
    JudgingSettings,
    NewAnimation,
    extend_pool,
    open_pool,
    write_pool,
)
from reward.pairs.from_preferences import open_preferences
from reward.pairs.preference_file import read_preferences

NO_REPEATS = JudgingSettings(repeats=0.0, overlap=0.0)


@pytest.fixture
def pool(tmp_path):
    """Four animations of ben-04 (45 frames) and three of anna-01 (30 frames)."""
    rng = np.random.default_rng(0)
    made = [
        NewAnimation(name, f"clone, sampled {number}", rng.random((n, 52)).astype(np.float32))
        for name, n, count in (("ben-04", 45, 4), ("anna-01", 30, 3))
        for number in range(count)
    ]
    return write_pool(made, tmp_path / "judged")


def judge(session, n, verdict="a"):
    """Give `n` answers, and return the pairs."""
    shown = []
    for _ in range(n):
        shown.append(session.next())
        session.answer(verdict, number=shown[-1].number)
    return shown


def test_ten_answers_are_a_file_that_trains(pool, tiny_task):
    """The file is what `open_preferences` reads, and names do not tell who wrote an animation."""
    session = Judging(pool, settings=NO_REPEATS).begin("  Zoë   K ")
    shown = judge(session, 9)
    assert session.next() is None, "nine pairs there are, and each was judged"
    made = open_preferences(pool.preferences, tiny_task)
    assert made.problems == () and len(made.source.pairs) == 9
    kept, _ = read_preferences(pool.preferences)
    assert [each.rater for each in kept] == ["Zoë K"] * 9
    assert [(each.a.sha256, each.b.sha256) for each in kept] == [
        (pair.a.sha256, pair.b.sha256) for pair in shown
    ]
    assert "clone" not in pool.preferences.read_text()
    assert {pair.utterance for pair in shown[:4]} == {"ben-04", "anna-01"}


def test_sides_are_drawn_and_pairs_do_not_come_twice(pool):
    """A rater who always takes the left one must not teach anything."""
    shown = judge(Judging(pool, settings=NO_REPEATS).begin("ann"), 9)
    rows = [tuple(pool.row_of[p.utterance, x.sha256] for x in (p.a, p.b)) for p in shown]
    assert len({frozenset(pair) for pair in rows}) == 9
    assert 0 < sum(a < b for a, b in rows) < 9


def test_a_crash_costs_the_answer_in_flight_alone(pool):
    """After it the same pair is on the screen, and the file is whole."""
    judging = Judging(pool)
    judge(judging.begin("ann"), 4)
    waiting = judging.begin("ann", go_on=True, take_over=True).next()
    again = Judging(open_pool(pool.folder)).begin("ann", go_on=True)
    assert again.n_answers == 4 and again.next() == waiting
    assert not [path for path in pool.folder.iterdir() if path.name.endswith(".draft")]


def test_undo_takes_the_last_answer_of_this_rater_back(pool):
    """Another rater's answer in between stays, and the pair comes again on the same sides."""
    judging = Judging(pool, settings=NO_REPEATS)
    ann, bob = judging.begin("ann"), judging.begin("bob")
    shown = judge(ann, 2)
    judge(bob, 1, "b")
    assert ann.undo() == shown[1] == ann.next()
    assert [(each.rater, each.better) for each in judging.log.judgements] == [
        ("ann", "a"),
        ("bob", "b"),
    ]
    ann.answer("tie")
    assert [each.better for each in judging.log.judgements] == ["a", "b", "tie"]
    assert [ann.undo(), ann.undo(), ann.undo()] == [shown[1], shown[0], None]
    assert judging.log.take_back("nobody") is None


def test_repeats_are_hidden_and_come_late_enough(pool):
    """Without them nobody knows whether a rater would say the same again."""
    settings = JudgingSettings(repeats=1.0, repeat_after=3)
    shown = judge(Judging(pool, settings=settings).begin("ann"), 8)
    assert [pair.repeat for pair in shown] == [False] * 4 + [True] * 4
    sides = [{pair.a.sha256, pair.b.sha256} for pair in shown]
    assert all(sides[n] in sides[: n - 3] for n in range(4, 8))
    assert len({frozenset(side) for side in sides[4:]}) == 4, "no pair comes a third time"


def test_raters_share_pairs_as_far_as_asked(pool):
    """Without shared pairs, agreement between raters cannot be told."""
    settings = JudgingSettings(repeats=0.0, overlap=1.0)
    judging = Judging(pool, settings=settings)
    first = judge(judging.begin("ann"), 4)
    second = judge(judging.begin("bob"), 4)
    sets = [{frozenset((p.a.sha256, p.b.sha256)) for p in shown} for shown in (first, second)]
    assert sets[0] == sets[1]


def test_two_people_with_one_name_are_told(pool):
    """Else two raters would be one, who contradicts himself."""
    judging = Judging(pool)
    session = judging.begin("Ann")
    with pytest.raises(InputError, match=re.escape("not at work elsewhere, got 'Ann'; choose")):
        judging.begin("ann")
    judge(session, 1)
    judging.end(session)
    with pytest.raises(InputError, match="must be a new name, got 'Ann', who has judged before"):
        judging.begin("ANN")
    later = judging.begin("ann", go_on=True)
    assert (later.rater, later.n_answers) == ("Ann", 1)
    newest = judging.begin("Ann", take_over=True)
    with pytest.raises(InputError, match="session of 'Ann' has ended, or goes on in another"):
        later.next()
    assert newest.n_answers == 1 and judging.raters == ("Ann",)
    for name in ("", " \n", "x" * 61, "a\x07b"):
        with pytest.raises(InputError, match="`rater` must be a name of 1 to 60 printable"):
            judging.begin(name)


def test_a_double_click_answers_one_pair(pool):
    """The second click would judge a pair that nobody has looked at."""
    session = Judging(pool).begin("ann")
    number = session.next().number
    session.answer("a", number=number)
    with pytest.raises(InputError, match=re.escape("pair on the screen (pair 1), got 0")):
        session.answer("a", number=number)
    with pytest.raises(InputError, match="`verdict` must be one of a, b, tie, cannot-tell, got"):
        session.answer("left")


def test_a_cut_line_stays_and_costs_nobody_else(pool, tiny_task):
    """A file that another program cut in the middle of a letter goes on below it."""
    judging = Judging(pool, settings=NO_REPEATS)
    session = judging.begin("Zoë")
    judge(session, 2)
    whole = pool.preferences.read_bytes()
    place = whole.rindex("ë".encode()) + 1
    pool.preferences.write_bytes(whole[:place])
    assert (session.n_answers, judging.log.n_unreadable) == (1, 1)
    judge(session, 2)
    made = open_preferences(pool.preferences, tiny_task)
    assert len(made.source.pairs) == 3
    assert len(made.problems) == 1 and made.problems[0].startswith("line 2: 'utf-8' codec")


def test_two_processes_write_into_one_file(pool):
    """The log reads what came from elsewhere before it writes."""
    judgings = [Judging(pool), Judging(pool)]
    sessions = [judgings[0].begin("ann"), judgings[1].begin("bob")]
    for _ in range(3):
        for session in sessions:
            session.next()
            session.answer("b")
    raters = [each.rater for each in JudgementLog(pool.preferences).judgements]
    assert raters == ["ann", "bob"] * 3


def test_cannot_tell_is_kept_and_not_learned_from(pool, tiny_task):
    """It is an honest answer, and no fault of the file."""
    session = Judging(pool, settings=NO_REPEATS).begin("ann")
    judge(session, 2, "cannot-tell")
    with pytest.raises(InputError, match='can be used, got none: "cannot tell" alone'):
        open_preferences(pool.preferences, tiny_task)
    judge(session, 1, "tie")
    made = open_preferences(pool.preferences, tiny_task)
    assert (len(made.source.pairs), made.problems, made.undecided) == (1, (), 2)


def test_active_choice_asks_where_members_disagree(pool):
    """Two members of a reward that rank one utterance alike and the other in opposite orders."""
    rows = pool.rows_of["ben-04"]
    scores = np.zeros((2, len(pool.animations)))
    scores[:, rows] = [[0, 1, 2, 3], [3, 2, 1, 0]]
    scores[:, pool.rows_of["anna-01"]] = [0, 1, 2]
    choice = ActivePairs(scores)
    doubt = choice.doubt_of(np.array([[rows[0], rows[3]], [rows[0], rows[1]], [4, 6]]))
    assert doubt[0] > doubt[1] > doubt[2] == 0
    alone = ActivePairs(scores[:1]).doubt_of(np.array([[rows[0], rows[3]], [rows[0], rows[1]]]))
    assert alone[1] > alone[0], "one member alone doubts what it scores alike"
    shown = judge(Judging(pool, choice=choice, settings=NO_REPEATS).begin("ann"), 9)
    assert len({(p.a.sha256, p.b.sha256) for p in shown}) == 9
    with pytest.raises(InputError, match=re.escape("of shape (members, animations), got (3,)")):
        ActivePairs(np.zeros(3))
    with pytest.raises(InputError, match="`scores` must be of 7 animations, got 2"):
        ActivePairs(np.zeros((1, 2))).pick(pool, set(), np.random.default_rng(0))


def test_pools_come_back_and_refuse_what_is_none(pool, tmp_path):
    """A motion that was exchanged after the fact would be judged in another's name."""
    again = open_pool(pool.folder)
    assert again == pool
    first = again.animations[0]
    np.save(pool.folder / first.name, np.zeros((45, 52), np.float32))
    with pytest.raises(InputError, match="must hold the motion of the pool, got another"):
        again.motion(first)
    assert again.motion(again.animations[1]).shape == (45, 52)
    one = NewAnimation("ben-04", "clone", np.zeros((45, 52), np.float32))
    with pytest.raises(InputError, match="two different ones of some utterance, got 1 of 1"):
        write_pool([one, one], tmp_path / "other")
    with pytest.raises(InputError, match=re.escape("must have shape (T, 52), got (45, 51)")):
        write_pool([NewAnimation("x", "clone", np.zeros((45, 51)))], tmp_path / "other")
    two = NewAnimation("ben-04", "ppo", np.ones((45, 52), np.float32))
    with pytest.raises(InputError, match="must be a new folder, got one with another pool"):
        write_pool([one, two], pool.folder)
    (pool.folder / "pool.json").write_text(json.dumps({"animations": [{}]}))
    with pytest.raises(InputError, match="must list the animations of a pool"):
        open_pool(pool.folder)


def test_a_pool_grows_behind_its_rows(pool, rng):
    """A pair on a rater's screen stays the one that it is while others are made."""
    judging = Judging(pool, settings=NO_REPEATS)
    session = judging.begin("ann")
    waiting = session.next()
    copy = NewAnimation("ben-04", "again", pool.motion(pool.animations[0]))
    new = [NewAnimation("cleo-07", f"ppo {k}", rng.random((36, 52))) for k in range(2)]
    alone = NewAnimation("cleo-06", "ppo", rng.random((20, 52)))
    judging.pool = extend_pool(pool, [copy, *new, alone])
    assert judging.pool.animations[:7] == pool.animations
    assert [each.source for each in judging.pool.animations[7:]] == ["ppo 0", "ppo 1"]
    assert open_pool(pool.folder) == judging.pool
    assert session.next() == waiting
    assert {shown.utterance for shown in judge(session, 10)} == {"ben-04", "anna-01", "cleo-07"}
    assert extend_pool(judging.pool, [copy]) is judging.pool, "nothing new is nothing to write"


def test_a_rater_may_have_a_choice_of_their_own(pool):
    """Two raters of one study, one of whom is asked what the model doubts."""
    scores = np.zeros((2, 7))
    scores[:, pool.rows_of["ben-04"]] = [[0, 1, 2, 3], [3, 2, 1, 0]]
    scores[:, pool.rows_of["anna-01"]] = [0, 5, 10]
    judging = Judging(pool, settings=NO_REPEATS)
    doubtful = judge(judging.begin("ann", choice=ActivePairs(scores)), 5)
    assert {shown.utterance for shown in doubtful} == {"ben-04"}
    assert {shown.utterance for shown in judge(judging.begin("bob"), 5)} == {"ben-04", "anna-01"}


def test_a_log_that_cannot_be_written_says_so(pool, tmp_path):
    """The page shows the message, and the pair stays on the screen."""
    (tmp_path / "file").write_text("no folder")
    session = Judging(pool, file=tmp_path / "file" / "preferences.jsonl").begin("ann")
    waiting = session.next()
    with pytest.raises(InputError, match="must be a file in a writable folder, got 'File exists'"):
        session.answer("a")
    assert session.next() == waiting
