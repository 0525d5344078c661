"""Collecting demonstrations: what comes out, whoever shares the work, and how it is kept."""

import re

import numpy as np
import pytest

import reward.demonstrations
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from reward.demonstrations import (
    Making,
    RankedDemonstrations,
    collect,
    damaged,
    ground_truth,
    load_demonstrations,
    motions_of,
    requantised,
    tokens_of,
)
from reward.demonstrations.audit import audit_labels
from reward.demonstrations.card import card_of
from reward.demonstrations.corruptions import (
    FAMILIES,
    Context,
    Donors,
    families_without,
    family_named,
    row_rng,
)
from reward.demonstrations.ranked import padded
from reward.pairs.from_ranks import RankedPairs

UTTERANCES = np.array([4, 1, 5])
LEVELS = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def rolled(tiny_task, roll_out):
    """Two roll-outs at each of three levels of three utterances."""
    return collect(roll_out, tiny_task, UTTERANCES, epsilons=LEVELS, rollouts=2, seed=7)


@pytest.fixture(scope="module")
def everything(tiny_task, roll_out, rolled):
    """Roll-outs, both kinds of ground truth, and every family at two strengths."""
    recorded = tiny_task.recorded(UTTERANCES)
    base = RankedDemonstrations.concatenate(
        [rolled, ground_truth(recorded), ground_truth(recorded, origin="reconstruction")]
    )
    made = damaged(
        base, tiny_task, families=tuple(FAMILIES), strengths=(0.3, 1.0), seed=3, roll_out=roll_out
    )
    return RankedDemonstrations.concatenate([base, made])


@pytest.fixture(scope="module")
def motions(everything, tiny_task):
    """The motion of `everything`; nobody writes into it."""
    made = motions_of(everything, tiny_task)
    for motion in made:
        motion.flags.writeable = False
    return made


@pytest.fixture(scope="module")
def kinds(everything):
    """A row of `everything` for each family at each strength on each origin and utterance."""
    making = everything.making
    told = zip(making.family, making.strength, making.origin, everything.utterance, strict=True)
    return sorted({kind: row for row, kind in enumerate(told)}.values())


def equal(a, b):
    for name in ("utterance", "tokens", "lengths", "condition"):
        np.testing.assert_array_equal(getattr(a.trajectories, name), getattr(b.trajectories, name))
    np.testing.assert_array_equal(a.epsilon, b.epsilon)
    np.testing.assert_array_equal(a.partner, b.partner)
    for name, column in a.making.columns().items():
        np.testing.assert_array_equal(column, b.making.columns()[name])


def test_levels_utterances_and_numbers_stand_beside_each_roll_out(rolled, tiny_task):
    """A level on the wrong row labels random tokens as the best."""
    assert rolled.utterance.tolist() == UTTERANCES.tolist() * 6
    assert rolled.epsilon.tolist() == [0.0] * 6 + [0.5] * 6 + [1.0] * 6
    assert rolled.making.sample.tolist() == np.repeat(range(6), 3).tolist()
    np.testing.assert_array_equal(rolled.making.rank, rolled.epsilon)
    clean = tiny_task.recorded(UTTERANCES).tokens
    np.testing.assert_array_equal(rolled.trajectories.tokens[:3], clean)
    wrong = [(rolled.trajectories.tokens[i * 6 : i * 6 + 3] != clean).mean() for i in range(3)]
    assert wrong[0] == 0 < wrong[1] < wrong[2]


def test_workers_may_share_the_utterances_as_they_like(rolled, tiny_task, roll_out):
    """A result that depends on the number of workers can never be repeated elsewhere."""
    parts = [
        collect(roll_out, tiny_task, part, epsilons=LEVELS, rollouts=2, seed=7)
        for part in (UTTERANCES[2:], UTTERANCES[:2])
    ]
    joined = RankedDemonstrations.concatenate(parts)

    def rows(given):
        return {
            (int(u), int(s)): tokens[tokens >= 0].tolist()
            for u, s, tokens in zip(
                given.utterance, given.making.sample, given.trajectories.tokens, strict=True
            )
        }

    assert rows(joined) == rows(rolled) and len(rows(rolled)) == 18


def test_each_level_is_announced_and_numbers_can_start_later(tiny_task, roll_out, rolled):
    """Equal numbers at two temperatures would share their random choices."""
    calls = []
    later = collect(
        roll_out,
        tiny_task,
        UTTERANCES,
        epsilons=(0.5,),
        seed=7,
        temperature=1.0,
        iteration=2,
        first_sample=6,
        after_level=lambda: calls.append(1),
    )
    assert len(calls) == 1
    assert set(later.making.sample) == {6} and set(later.making.iteration) == {2}
    assert set(later.making.temperature) == {1.0}
    assert (later.trajectories.tokens != rolled.trajectories.tokens[6:9]).any()


def test_another_seed_or_iteration_gives_other_roll_outs(tiny_task, roll_out):
    """Rounds that repeat their noise collect nothing new."""

    def tokens(**given):
        settings = {"epsilons": (0.5,), "seed": 0} | given
        return collect(roll_out, tiny_task, UTTERANCES, **settings).trajectories.tokens

    first = tokens()
    np.testing.assert_array_equal(first, tokens())
    assert (tokens(seed=1) != first).any() and (tokens(iteration=1) != first).any()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"epsilons": ()}, InputError, "`epsilons` must be different noise levels, got []"),
        ({"epsilons": (0.5, 0.5)}, InputError, "must be different noise levels, got [0.5, 0.5]"),
        ({"epsilons": (0.5, 1.1)}, InputError, "`epsilons` must be in [0, 1], got [0.5, 1.1]"),
        ({"epsilons": (np.nan,)}, InputError, "`epsilons` must be in [0, 1], got [nan]"),
        ({"rollouts": 0}, ValueError, "`rollouts` must be at least 1, got 0"),
        ({"utterances": UTTERANCES[:0]}, ValueError, "`utterances` must be at least 1, got 0"),
    ],
)
def test_a_grid_that_makes_no_ladder_is_refused(given, error, message, tiny_task, roll_out):
    """Equal levels make no pair."""
    settings = {"utterances": UTTERANCES, "epsilons": LEVELS, "seed": 0} | given
    with pytest.raises(error, match=re.escape(message)):
        collect(roll_out, tiny_task, settings.pop("utterances"), **settings)


def test_everything_comes_back_from_disk(everything, tmp_path):
    """Labels, partners and seeds included; token rows that repeat are kept once."""
    everything.save(tmp_path / "d.npz")
    loaded = load_demonstrations(tmp_path / "d.npz")
    equal(loaded, everything)
    with np.load(tmp_path / "d.npz") as file:
        assert file["table"].dtype == np.int16
        assert len(file["table"]) < 0.5 * len(everything)


def test_a_file_of_the_first_format_is_a_plain_ladder(rolled, tmp_path):
    """Runs that were made before must go on."""
    parts = rolled.trajectories
    np.savez(
        tmp_path / "d.npz",
        utterance=parts.utterance,
        tokens=parts.tokens.astype(np.int16),
        lengths=parts.lengths,
        condition=parts.condition,
        epsilon=rolled.epsilon,
    )
    equal(load_demonstrations(tmp_path / "d.npz"), rolled)


def test_a_file_of_a_later_format_is_refused_with_the_remedy(rolled, tmp_path):
    """Read as if it were ours, it would mean something else."""
    np.savez(tmp_path / "d.npz", format=np.array(3))
    message = "must be a demonstrations file of format 2 or older, got 3; install the newer ESARM"
    with pytest.raises(InputError, match=re.escape(message)):
        load_demonstrations(tmp_path / "d.npz")


def test_tokens_that_do_not_fit_are_refused(rolled, tmp_path):
    """Wrapped round, they would be other tokens."""
    parts = rolled.trajectories
    huge = Trajectories(parts.utterance, np.where(parts.tokens >= 0, 40_000, -1), parts.lengths,
                        parts.condition)  # fmt: skip
    with pytest.raises(ValueError, match=re.escape("`tokens` must be at most 32767, got 40000")):
        RankedDemonstrations(huge, rolled.epsilon).save(tmp_path / "d.npz")


def test_motion_is_that_of_tokens_recordings_and_each_family_alone(everything, motions, tiny_task):
    """Made in batches, each animation is what its family makes of it alone."""
    donors, making = Donors(tiny_task), everything.making
    checked = set()
    assert len(motions) == len(everything)
    for row, motion in enumerate(motions):
        utterance, given = int(everything.utterance[row]), everything.trajectories
        n = int(tiny_task.n_frames[utterance])
        assert motion.shape == (n, 52) and motion.dtype == np.float32
        tokens = given.tokens[row, : given.lengths[row]]
        recorded = making.origin[row] == "recording"
        family = str(making.family[row])
        if family in ("temperature", "policy-emotion", "policy-intensity"):
            continue  # their tokens are what came out
        base = tiny_task.corpus[utterance].motion if recorded else None
        base = tiny_task.tokenizer.decode(tokens)[:n] if base is None else base
        if family:
            rng = row_rng(3, utterance=utterance, sample=int(making.sample[row]), family=family)
            tokens = None if recorded else tokens
            context = Context(tiny_task, utterance, donors, tokens, everything.partner_of(row))
            base = family_named(family).corrupt(
                base, strength=float(making.strength[row]), rng=rng, context=context
            )
        np.testing.assert_allclose(motion, base, atol=1e-5)
        checked.add((family, str(making.origin[row])))
    assert len(checked) == 3 * 14, "13 families and none, on three origins"


def test_motion_does_not_depend_on_what_else_is_asked_for(everything, motions, tiny_task):
    """Damaged animations are made again in whatever batches training happens to draw."""
    rows = np.random.default_rng(0).permutation(len(everything))[:40]
    for row, motion in zip(rows, motions_of(everything[rows], tiny_task), strict=True):
        np.testing.assert_allclose(motion, motions[row], atol=1e-5)


def test_writing_into_motion_spoils_nothing(everything, kinds, tiny_task):
    """Recordings are shared memory."""
    asked = everything[np.array(kinds)]
    before = motions_of(asked, tiny_task)
    for motion in motions_of(asked, tiny_task):
        motion[:] = 9
    for old, new in zip(before, motions_of(asked, tiny_task), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_is_sent_through_the_tokenizer_is_what_it_can_say(motions, tiny_task):
    """A model that sees damage leave the decoder's range has learned nothing of faces."""
    motions = motions[-6:]
    for motion, made in zip(motions, requantised(motions, tiny_task), strict=True):
        tokens = tiny_task.tokenizer.encode(motion)
        expected = tiny_task.tokenizer.decode(tokens)[: len(motion)]
        np.testing.assert_array_equal(made, expected)


def test_the_example_in_the_package_works(tiny_task, roll_out, rng):
    """What stands at the top is what people copy."""
    text = reward.demonstrations.__doc__
    code = text.split("```python\n")[1].split("```")[0]
    names = {"np": np, "task": tiny_task, "roll_out": roll_out, "rng": rng}
    names |= {"utterances": UTTERANCES, "families_without": families_without}
    names |= {"audit_labels": audit_labels, "RankedPairs": RankedPairs}
    names |= {name: getattr(reward.demonstrations, name) for name in reward.demonstrations.__all__}
    exec(code, names)
    assert len(names["motions"]) == len(names["demonstrations"]) > 200
    assert len(names["pairs"]) > 64
    assert "repetition" not in set(names["made"].making.family)


def test_policy_families_ask_the_policy_again_for_their_own_streams(tiny_task, roll_out, rolled):
    """The condition kept is the right one: it is what the animation is judged under."""
    greedy = rolled[(rolled.epsilon == 0)]
    made = damaged(
        greedy,
        tiny_task,
        families=("policy-emotion", "mouth:temperature"),
        strengths=(1.0,),
        seed=0,
        roll_out=roll_out,
    )
    np.testing.assert_array_equal(made.trajectories.condition[:6], greedy.trajectories.condition)
    emotion, mouth = made.trajectories.tokens[:6], made.trajectories.tokens[6:]
    assert (emotion != greedy.trajectories.tokens).any(axis=1).all()
    changed = (mouth != greedy.trajectories.tokens).reshape(6, -1, 4)
    assert changed[..., :2].any() and not changed[..., 2:].any()


def test_the_policy_is_asked_again_about_short_utterances_alone(tiny_task, roll_out, rolled):
    """The families drawn for each row may leave a policy family with short rows only."""
    greedy = rolled[rolled.epsilon == 0]
    short = greedy.trajectories.lengths < greedy.trajectories.tokens.shape[1]
    made = damaged(
        greedy,
        tiny_task,
        families=("temperature",),
        strengths=(1.0,),
        seed=0,
        rows=short,
        roll_out=roll_out,
    )
    assert len(made) == short.sum() > 0
    width = greedy.trajectories.tokens.shape[1]
    assert made.trajectories.tokens.shape[1] == width
    assert (made.trajectories.tokens != greedy.trajectories.tokens[short]).any(axis=1).all()


def test_partners_are_worse_animations_to_the_same_audio(everything):
    """Mixed with a better one, more damage would mean a better face."""
    for row in np.flatnonzero(np.isin(everything.making.family, ["blend", "mixed-chunks"])):
        tokens = everything.partner_of(row)
        others = everything[everything.utterance == everything.utterance[row]]
        match = [
            rank
            for other, rank in zip(others.trajectories.tokens, others.making.rank, strict=True)
            if np.array_equal(other[other >= 0], tokens)
        ]
        assert match and max(match) > everything.making.rank[row]
    worst = everything.making.untouched & (everything.epsilon == 1)
    assert not np.isin(everything.making.sample[everything.making.family == "blend"],
                       everything.making.sample[worst]).any()  # fmt: skip


def test_own_donors_are_roll_outs_of_the_same_kind(rolled, tiny_task):
    """A recorded donor in a roll-out could be told by its quality alone."""
    made = damaged(
        rolled, tiny_task, families=("shuffled-audio",), strengths=(1.0,), seed=0, own_donors=True
    )
    for row in range(len(made)):
        same = rolled[rolled.epsilon == made.epsilon[row]]
        partner = made.partner_of(row)
        found = [
            int(u)
            for u, other in zip(same.utterance, same.trajectories.tokens, strict=True)
            if np.array_equal(other[other >= 0], partner)
        ]
        assert found and made.utterance[row] not in found


def test_only_the_asked_rows_are_damaged_and_others_can_be_partners(everything, tiny_task):
    """Ground truth mixed with the clone's chunks: the clone itself stays whole."""
    base = everything[everything.making.untouched]
    truth = base.making.origin == "reconstruction"
    made = damaged(
        base, tiny_task, families=("mixed-chunks",), strengths=(0.5,), seed=0, rows=truth
    )
    assert len(made) == 3 and set(made.making.origin) == {"reconstruction"}
    assert all(made.partner_of(row) is not None for row in range(3))


def test_a_few_families_can_be_drawn_for_each_animation(rolled, tiny_task):
    """All families at all strengths fill the memory; a row's draw must not hang on others."""
    families = ("time-shift", "frozen-span", "repetition", "over-smoothing")

    def drawn(given):
        made = damaged(
            given, tiny_task, families=families, strengths=(0.5, 1.0), seed=0, families_per_row=2
        )
        columns = (made.utterance, made.making.sample, made.making.family)
        return set(zip(*(column.tolist() for column in columns), strict=True)), len(made)

    whole, count = drawn(rolled)
    assert count == 18 * 2 * 2 and len(whole) == 18 * 2
    assert {family for _, _, family in whole} == set(families)
    part, _ = drawn(rolled[5:9])
    assert part < whole


def test_what_a_family_cannot_act_on_is_left_out(tiny_task, roll_out):
    """Neutral speech has one intensity; the rest must not fail for it."""
    base = collect(roll_out, tiny_task, np.array([0, 4]), epsilons=(0.0,), seed=0)
    made = damaged(base, tiny_task, families=("wrong-intensity",), strengths=(0.5,), seed=0)
    assert made.utterance.tolist() == [4]


def test_damage_that_cannot_be_done_is_refused(rolled, tiny_task, everything):
    """Each message names what is missing."""

    def do(given=rolled, families=("time-shift",), strengths=(0.5,), **more):
        damaged(given, tiny_task, families=families, strengths=strengths, seed=0, **more)

    rows = [
        (lambda: do(everything), "`demonstrations` must be without corruption, got some of"),
        (lambda: do(strengths=(0.0,)), "`strengths` must be above 0 and at most 1, got 0.0"),
        (lambda: do(strengths=(1.5,)), "`strengths` must be above 0 and at most 1, got 1.5"),
        (lambda: do(families_per_row=0), "`families_per_row` must be 1 to 1, got 0"),
        (lambda: do(families_per_row=2), "`families_per_row` must be 1 to 1, got 2"),
        (lambda: do(families=("temperature",)), "`roll_out` must be a policy for 'temperature'"),
        (
            lambda: do(rolled[rolled.epsilon == 1], families=("blend",)),
            "`families` must hold one that can act on `demonstrations`, got ['blend'] for 6",
        ),
    ]
    for act, message in rows:
        with pytest.raises(ValueError, match=re.escape(message)):
            act()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("origin", np.array(["x", "policy"]), "`origin` must be one of policy, reconstruction, "),
        ("rank", np.zeros(3), "`rank` must have shape (2,), got (3,)"),
        ("rank", np.array([0, np.nan]), "`rank` must be finite"),
        ("strength", np.array([0, 1.5]), "`strength` must be in [0, 1]"),
        ("strength", np.array([0, 0.5]), "`strength` must be above 0 just where `family` names"),
        ("family", np.array(["", "blend"]), "`strength` must be above 0 just where `family` names"),
    ],
)
def test_a_making_that_contradicts_itself_is_refused(column, value, message):
    """A damaged row that counts as whole would rank first."""
    columns = Making.of(2, rank=0.0).columns() | {column: value}
    with pytest.raises(ValueError, match=re.escape(message)):
        Making(**columns)


def test_parts_of_another_length_are_refused(rolled):
    """One making for all would be broadcast silently."""
    making, partner = Making.of(2, rank=0.0), np.zeros((2, 4), dtype=np.int64)
    for given, name in (({"making": making}, "making"), ({"partner": partner}, "partner")):
        with pytest.raises(ValueError, match=re.escape(f"`{name}` must have 18 rows")):
            RankedDemonstrations(rolled.trajectories, rolled.epsilon, **given)


def test_levels_are_those_of_roll_outs_alone(everything):
    """Ground truth has no noise, and must not make a level of its own."""
    assert everything.levels.tolist() == [0.0, 0.5, 1.0]
    assert everything[everything.making.origin == "recording"].levels.tolist() == []


def test_damaged_tokens_are_told_and_the_others_kept(everything, tiny_task):
    """A reward on tokens must see the damage where there is some to see."""
    tokens = tokens_of(everything, tiny_task)
    changed = (tokens != everything.trajectories.tokens).any(axis=1)
    family = everything.making.family
    assert set(family[changed]) == {"neighbour-codes", "random-codes", "mixed-chunks"}
    assert changed[family == "random-codes"].all()


def test_padding_adds_nothing():
    """Numbers by hand."""
    np.testing.assert_array_equal(padded(np.array([[3, 4]]), 4), [[3, 4, -1, -1]])


def test_the_card_counts_and_names(everything, tiny_task):
    """A file without its card is a riddle in a year."""
    card = card_of(everything, tiny_task, policy="a test's policy", seed=7)
    n = len(everything)
    assert f"- {n} animations of 3 utterances (3 train, 0 validation, 0 test)" in card
    assert tiny_task.corpus.content_hash in card and "a test's policy" in card
    assert "| policy | 18 |" in card and "| recording | 3 |" in card
    assert "| time-shift 0.3 | 24 |" in card and "| ground truth |" in card
    assert "seed of the run: 7; seeds of damage: 3" in card
    sad = int((everything.utterance == 4).sum())
    assert f"| sad | {sad} |" in card and f"| ben-04 | {sad} |" in card
    assert "which was not stated" in card
    named = card_of(everything, tiny_task, policy="p", seed=7, licence="CC BY 4.0")
    assert "that of the recordings, CC BY 4.0" in named


def test_the_card_of_a_synthetic_corpus_says_so(rolled, tiny_task, monkeypatch):
    """Nobody may take rules for people."""
    monkeypatch.setattr(tiny_task.corpus, "name", "synthetic-mead")
    card = card_of(rolled, tiny_task, policy="p", seed=0)
    assert "Speech and motion are synthetic" in card and "seeds of damage: none" in card
