"""Human choices: to disk and back, to labelled pairs, and what is listed or refused."""

import json
import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import write_livelink_csv
from reward.pairs.from_preferences import open_preferences, pairs_of_preferences
from reward.pairs.labelled import LabelledPairs, PairSource, check_motion
from reward.pairs.preference_file import (
    Preference,
    RatedAnimation,
    add_preference,
    motion_digest,
    read_preferences,
    write_preferences,
)

TIME = "2026-03-01T12:00:00+00:00"


@pytest.fixture
def motions(tiny_task):
    """Three animations of ben-04 (45 frames) and two of anna-01 (30 frames)."""
    rng = np.random.default_rng(0)
    lengths = {"x": 45, "y": 45, "z": 45, "p": 30, "q": 30}
    return {name: rng.random((n, 52)).astype(np.float32) for name, n in lengths.items()}


def choice(a, b, better, *, utterance="ben-04", rater="ann", time=TIME, **shown):
    return Preference(utterance, RatedAnimation(a, **shown), RatedAnimation(b), better, rater, time)


def test_judgements_come_back_from_disk(motions, tmp_path):
    """Written at once or one by one, names in any script."""
    first = choice("x", "y", "a", sha256=motion_digest(motions["x"]), rater="Zoë")
    second = choice("x", "z", "tie", time="2026-03-01T12:00:00Z", rate_hz=60.0)
    write_preferences([first], tmp_path / "new" / "preferences.jsonl")
    add_preference(second, tmp_path / "new" / "preferences.jsonl")
    assert read_preferences(tmp_path / "new" / "preferences.jsonl") == ([first, second], [])
    line = json.loads((tmp_path / "new" / "preferences.jsonl").read_text().splitlines()[0])
    assert line["better"] == "a" and line["a"]["name"] == "x" and line["rater"] == "Zoë"


def test_choices_become_pairs_of_the_common_form(motions, tiny_task):
    """A better, b better, a tie; an animation that is shown twice is there once."""
    given = [
        choice("x", "y", "a"),
        choice("x", "z", "b"),
        choice("p", "q", "tie", utterance="anna-01"),
    ]
    made = pairs_of_preferences(given, tiny_task, motions=motions, weight=3.0, stream=1)
    assert made.problems == ()
    source = made.source
    assert source.utterance.tolist() == [4, 4, 4, 1, 1]
    assert source.pairs.a.tolist() == [0, 0, 3] and source.pairs.b.tolist() == [1, 2, 4]
    assert source.pairs.probability.tolist() == [1.0, 0.0, 0.5]
    assert set(source.pairs.weight) == {3.0} and set(source.pairs.stream) == {1}
    np.testing.assert_array_equal(source.motions[2], motions["z"])


def test_files_beside_the_judgements_are_found(motions, tiny_task, tmp_path):
    """A folder can be sent away as it is: names are relative to it."""
    np.save(tmp_path / "x.npy", motions["x"])
    write_livelink_csv(tmp_path / "y.csv", motions["y"])
    write_preferences([choice("x.npy", "y.csv", "b")], tmp_path / "preferences.jsonl")
    made = open_preferences(tmp_path / "preferences.jsonl", tiny_task)
    assert made.problems == () and made.source.pairs.probability.tolist() == [0.0]
    np.testing.assert_allclose(made.source.motions[1], motions["y"], atol=1e-4)


def test_what_cannot_be_used_is_listed_and_the_rest_is_kept(motions, tiny_task, tmp_path):
    """One bad line in a thousand must not cost the other 999."""
    (tmp_path / "w.npy").write_bytes(b"no array")
    (tmp_path / "w.csv").write_text("no recording")
    lines = [
        choice("x", "y", "a").as_line(),
        "",
        "{",
        "[1]",
        json.dumps({"utterance": "ben-04"}),
        choice("x", "y", "a").as_line().replace('"better": "a"', '"better": "c"'),
        choice("x", "y", "a").as_line().replace(TIME, "noon"),
        choice("x", "y", "a").as_line().replace('"name": "y"', '"nome": "y"'),
        choice("x", "y", "a", utterance="ben-99").as_line(),
        choice("x", "v", "a").as_line(),
        choice("x", "w.npy", "a").as_line(),
        choice("x", "w.csv", "a").as_line(),
        choice("x", "y", "a", sha256="0" * 64).as_line(),
        choice("x", "copy", "a").as_line(),
        choice("x", "x", "tie", sha256="1").as_line().replace('"sha256": "1"', '"sha256": 1'),
        choice("x", "y", "a", rate_hz=31).as_line().replace("31", "true"),
    ]
    path = tmp_path / "preferences.jsonl"
    path.write_text("\n".join(lines))
    given = motions | {"copy": motions["x"]}
    made = open_preferences(path, tiny_task, motions=given)
    assert len(made.source.pairs) == 1
    expected = [
        "line 3: ",
        "line 4: must be a JSON object, got '[1]'",
        "line 5: `better` must be text, got None",
        "line 6: `better` must be one of ('a', 'b', 'tie', 'cannot-tell'), got 'c'",
        "line 7: `time` must be ISO 8601, got 'noon'",
        "line 8: `b` must hold the `name` of an animation, got {'nome': 'y', 'sha256': ''}",
        "line 15: `a.sha256` must be text, got 1",
        "line 16: `a.rate_hz` must be a number, got True",
        f"ann on 'ben-99' at {TIME}: the corpus has no utterance 'ben-99'",
        f"ann on 'ben-04' at {TIME}: there is no animation 'v'",
        f"ann on 'ben-04' at {TIME}: 'w.npy' cannot be read: ",
        f"ann on 'ben-04' at {TIME}: 'w.csv' cannot be read: ",
        f"ann on 'ben-04' at {TIME}: 'x' is no longer the animation that was shown",
        f"ann on 'ben-04' at {TIME}: 'x' and 'copy' are one motion",
    ]
    assert len(made.problems) == len(expected)
    for problem, start in zip(made.problems, expected, strict=True):
        assert problem.startswith(start), problem


@pytest.mark.parametrize("line", ['{"a": ' + "[" * 9000, '{"a": {"name": "x", "rate_hz": 1%s}}'])
def test_a_line_that_no_parser_takes_is_listed(line, tmp_path):
    """Nesting without end, or a number beyond all floats, cost every judgement of the file."""
    path = tmp_path / "preferences.jsonl"
    path.write_text(line.replace("%s", "0" * 400) + "\n")
    preferences, problems = read_preferences(path)
    assert preferences == [] and len(problems) == 1
    assert problems[0].startswith("line 1: ")


def test_a_rater_who_contradicts_himself_is_listed_and_others_count(motions, tiny_task):
    """Whoever says both has said nothing; two raters who disagree make a soft label."""
    later = "2026-03-02T12:00:00+00:00"
    given = [
        choice("x", "y", "a"),
        choice("y", "x", "a", time=later),  # now y
        choice("x", "y", "a", rater="bob"),
        choice("y", "x", "b", rater="bob", time=later),  # the same again, the other way round
        choice("x", "y", "b", rater="cy"),
        choice("x", "z", "a"),
        choice("x", "z", "tie", time=later),
    ]
    made = pairs_of_preferences(given, tiny_task, motions=motions)
    assert made.source.pairs.probability.tolist() == [1.0, 0.0]
    assert (
        made.problems
        == (f"ann on 'ben-04' at {TIME}: contradicted by the same rater at {later}",) * 2
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": (90, 52)}, "y (ben-04): must have 45 frames like its utterance at 30 fps, got 90; "
         "it is that of another utterance, or made at 60 fps"),
        ({"y": (45, 51)}, "y (ben-04): must have shape (T, 52), got (45, 51)"),
    ],
)  # fmt: skip
def test_motion_of_another_rate_or_length_is_refused(change, message, motions, tiny_task):
    """Half-speed motion would be scored against the wrong audio."""
    given = motions | {name: np.zeros(shape, dtype=np.float32) for name, shape in change.items()}
    with pytest.raises(InputError, match=re.escape(message)):
        pairs_of_preferences([choice("x", "y", "a")], tiny_task, motions=given)


def test_a_stated_rate_and_values_that_are_no_numbers_are_refused(motions, tiny_task, tmp_path):
    """The right number of frames at the wrong rate is still the wrong motion."""
    message = "x (ben-04): must be at 30 fps, got 60; resample it first"
    with pytest.raises(InputError, match=re.escape(message)):
        pairs_of_preferences([choice("x", "y", "a", rate_hz=60.0)], tiny_task, motions=motions)
    write_livelink_csv(tmp_path / "x.csv", motions["x"], rate_hz=60)
    with pytest.raises(InputError, match=re.escape("x.csv (ben-04): must be at 30 fps, got 60")):
        given = [choice("x.csv", "y", "a")]
        pairs_of_preferences(given, tiny_task, motions=motions, folder=tmp_path)
    broken = motions["x"].copy()
    broken[7, 3] = np.nan
    with pytest.raises(
        InputError, match=re.escape("m: must be finite, got a value that is not in frame 7")
    ):
        check_motion(broken, n_frames=45, name="m")
    check_motion(motions["x"], n_frames=45, name="m")


def test_a_file_without_a_single_use_is_refused(motions, tiny_task, tmp_path):
    """Training on nothing would look like training."""
    path = tmp_path / "preferences.jsonl"
    path.write_text("")
    with pytest.raises(InputError, match=re.escape("got none: the file is empty")):
        open_preferences(path, tiny_task)
    path.write_text(choice("x", "v", "a").as_line())
    with pytest.raises(InputError, match=re.escape("got none: ann on 'ben-04'")):
        open_preferences(path, tiny_task, motions=motions)
    with pytest.raises(InputError, match=re.escape("must be a file of preferences, got")):
        read_preferences(tmp_path / "none.jsonl")


def test_a_choice_between_one_and_the_same_is_refused():
    """It says nothing, and would be a pair of a row with itself."""
    with pytest.raises(ValueError, match=re.escape("must be different animations, got 'x' twice")):
        choice("x", "x", "a")


def test_the_digest_is_of_the_motion_not_of_its_container(motions):
    """The same curves in another file are the same animation."""
    motion = motions["x"]
    assert motion_digest(motion) == motion_digest(np.asfortranarray(motion.astype(np.float64)))
    assert motion_digest(motion) != motion_digest(motion.reshape(52, 45))


def test_sources_join(motions):
    """Ranks and choices train together: rows move, pairs stay with their animations."""
    one = PairSource(
        np.array([4, 4]),
        [motions["x"], motions["y"]],
        LabelledPairs.of(np.array([0]), np.array([1]), np.array([1.0])),
    )
    two = PairSource(
        np.array([1, 1]),
        [motions["p"], motions["q"]],
        LabelledPairs.of(np.array([1]), np.array([0]), np.array([0.5])),
    )
    both = PairSource.joined([one, two])
    assert both.utterance.tolist() == [4, 4, 1, 1] and len(both) == 4
    assert both.pairs.a.tolist() == [0, 3] and both.pairs.b.tolist() == [1, 2]
    assert both.motions[3] is motions["q"]
    with pytest.raises(ValueError, match=re.escape("must hold at least one source of pairs")):
        PairSource.joined([])


def test_sources_that_do_not_fit_are_refused(motions):
    """Pairs across utterances, of other lengths, or of motion that is not there."""
    pairs = LabelledPairs.of(np.array([0]), np.array([1]), np.array([1.0]))
    x, y, p = motions["x"], motions["y"], motions["p"]
    for utterance, given, message in (
        ([4, 1], [x, y], "pairs must be of the same utterance, got utterances 4 and 1 in pair 0"),
        ([4, 4], [x, p], "must be equally long, got 45 and 30 frames in pair 0"),
        ([4, 4], [x], "`motions` must be 2 like `utterance`, got 1"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            PairSource(np.array(utterance), given, pairs)
