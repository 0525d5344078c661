"""Every corruption family alone: nothing at strength 0, more and more after, where it should."""

import re
from dataclasses import replace

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import STREAMS
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS, UPPER_CHANNELS
from esarm_env.tokenizer.vq import CHANNELS as tokenizer_channels
from reward.demonstrations.corruptions import (
    FAMILIES,
    Context,
    Donors,
    MotionFamily,
    PolicyFamily,
    TokenFamily,
    families_without,
    family_named,
    registry,
    row_rng,
)
from reward.demonstrations.corruptions.curves import at_times, fitted, growing_span, stretched
from reward.demonstrations.corruptions.family import CHANNELS, damaged_slots
from reward.demonstrations.corruptions.tokens import nearest_codes

HAPPY, SAD = 1, 4  # utterances of the tiny task; 5 is parallel to 4
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
CONFINED = [f"{s}:{n}" for n, f in FAMILIES.items() for s in sorted(f.damages)]


@pytest.fixture(scope="module")
def donors(tiny_task):
    return Donors(tiny_task)


@pytest.fixture
def make_context(tiny_task, donors, roll_out):
    """Return a function: an utterance to the context of its recording in tokens."""

    def make(utterance, **changes):
        tokens = tiny_task.recorded_tokens(utterance)
        random = np.random.default_rng(utterance).integers(tiny_task.n_tokens, size=len(tokens))
        given = {"tokens": tokens, "partner": random, "roll_out": roll_out} | changes
        return Context(tiny_task, utterance, donors, **given)

    return make


def motion_of(context):
    n = context.task.n_frames[context.utterance]
    return context.decode(context.tokens)[:n]


def damage(name, context, strength, *, sample=0, motion=None):
    rng = row_rng(0, utterance=context.utterance, sample=sample, family=name)
    motion = motion_of(context) if motion is None else motion
    return family_named(name).corrupt(motion, strength=strength, rng=rng, context=context)


@pytest.mark.parametrize("name", [*FAMILIES, *CONFINED])
def test_no_strength_no_change(name, make_context):
    """A step at zero would let a model tell damaged animations by the mere handling."""
    context = make_context(SAD)
    motion = motion_of(context)
    made = damage(name, context, 0.0, motion=motion)
    np.testing.assert_array_equal(made, motion)
    assert not np.shares_memory(made, motion)


# The tiny task's syllables come evenly, so that a shift by a whole one is hardly any: see below.
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "time-shift"])
def test_damage_grows_with_strength(name, make_context):
    """A ladder whose rungs are out of order teaches the opposite of what its labels say."""
    # Donors that are recordings here, so that they are other than the partner's noise.
    given = {} if FAMILIES[name].needs_partner else {"partner": None}
    contexts = [make_context(u, **given) for u in (SAD, 5, HAPPY)]
    whole = [(context, motion_of(context)) for context in contexts]
    distances = []
    for strength in STRENGTHS:
        made = [
            np.abs(damage(name, context, strength, sample=n, motion=motion) - motion).mean()
            for context, motion in whole
            for n in range(6)
            if name != "wrong-intensity" or context.utterance != 5
        ]
        distances.append(np.mean(made))
    assert distances[0] == 0
    assert np.all(np.diff(distances) > 0), f"{name}: {np.round(distances, 4)}"


@pytest.mark.parametrize("name", [*FAMILIES, *CONFINED])
def test_only_the_named_streams_are_damaged(name, make_context):
    """A head that judges lips must not be told that a pair differs where its lips are equal."""
    context = make_context(SAD)
    motion = motion_of(context)
    made = damage(name, context, 1.0, motion=motion)
    assert made.dtype == np.float32 and made.shape == motion.shape
    assert 0 <= made.min() and made.max() <= 1
    for stream, channels in CHANNELS.items():
        equal = np.array_equal(made[:, channels], motion[:, channels])
        assert equal == (stream not in family_named(name).damages), stream


@pytest.mark.parametrize("name", FAMILIES)
def test_a_seed_repeats_the_damage_and_another_gives_another(name, make_context):
    """Damaged animations are never stored: they must come out the same every time."""
    context = make_context(SAD)
    first, again = damage(name, context, 0.5), damage(name, context, 0.5)
    np.testing.assert_array_equal(first, again)
    if name in ("over-smoothing", "over-amplification", "blend"):  # nothing is drawn
        return
    if not FAMILIES[name].needs_partner:
        context = make_context(SAD, partner=None)
    others = [damage(name, context, 0.5, sample=sample) for sample in range(1, 8)]
    assert any(not np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("name", FAMILIES)
def test_recordings_can_be_damaged_too(name, make_context, tiny_task):
    """A recording has no tokens; the tokenizer's own error must not come with the damage."""
    context = make_context(SAD, tokens=None)
    recorded = tiny_task.corpus[SAD].motion
    rng = np.random.default_rng(0)
    made = family_named(name).corrupt(recorded, strength=1e-6, rng=rng, context=context)
    if not isinstance(FAMILIES[name], PolicyFamily):  # these leave the recording altogether
        np.testing.assert_allclose(made, recorded, atol=2e-5)


def test_a_time_shift_is_as_long_as_it_says(make_context):
    """0.4 s are 12 frames at 30 fps, and the pose at the end is held."""
    context = make_context(SAD, tokens=None)
    ramp = np.tile(np.linspace(0, 1, 45, dtype=np.float32)[:, None], (1, 52))
    shift, directions = FAMILIES["time-shift"], set()
    for seed in range(8):
        made, distances = ramp, [0.0]
        for strength in (0.3, 0.5, 1.0, 0.5**0.5):
            rng = np.random.default_rng(seed)
            made = shift.corrupt(ramp, strength=strength, rng=rng, context=context)
            distances.append(np.abs(made - ramp).mean())
        assert np.argsort(distances).tolist() == [0, 1, 2, 4, 3]
        late = np.allclose(made[6:], ramp[:-6], atol=1e-6) and np.allclose(made[:6], 0)
        early = np.allclose(made[:-6], ramp[6:], atol=1e-6) and np.allclose(made[-6:], 1)
        assert late != early
        directions.add(late)
    assert directions == {True, False}


def test_a_frozen_face_is_one_pose(make_context):
    """At full strength nothing moves, and the pose is one of the animation's own."""
    context = make_context(SAD)
    made, motion = damage("frozen-span", context, 1.0), motion_of(context)
    assert np.ptp(made, axis=0).max() == 0
    assert np.abs(motion - made[0]).max(axis=1).min() == 0
    half = damage("frozen-span", context, 0.5)
    still = np.flatnonzero((np.diff(half, axis=0) == 0).all(axis=1))
    assert len(still) in range(45 // 2 - 6, 45 // 2 + 1)


def test_repetition_is_periodic(make_context):
    """A loop that is not one would be only another animation."""
    made = damage("repetition", make_context(SAD), 1.0)
    periods = [p for p in range(1, 31) if np.array_equal(made[p:], made[:-p])]
    assert periods and periods[0] >= 10


@pytest.mark.parametrize(
    ("damages", "damaged"),
    [({"mouth"}, [1, 1, 1, 1, 0, 0]), ({"upper"}, [0, 0, 0, 0, 1, 1]), (STREAMS, [1] * 6)],
)
def test_damage_knows_streams_of_unlike_numbers_of_tokens(damages, damaged):
    """Split in the middle, damage of the brows would hit the lips, and train the reward on it."""
    streams = ("mouth",) * 4 + ("upper",) * 2
    found = damaged_slots(12, frozenset(damages), token_streams=streams)
    assert found.tolist() == [bool(value) for value in damaged * 2]


def test_amplification_keeps_the_mean_pose_and_triples_the_rest(make_context):
    """Where nothing is clipped, three times the deviation is what comes out."""
    context = make_context(SAD, tokens=None)
    wave = 0.5 + 0.1 * np.sin(np.arange(45, dtype=np.float32))[:, None] * np.ones((1, 52))
    wave = wave.astype(np.float32)
    made = FAMILIES["over-amplification"].corrupt(
        wave, strength=1.0, rng=np.random.default_rng(0), context=context
    )
    expected = wave.mean(0) + 3 * (wave - wave.mean(0))
    np.testing.assert_allclose(made, expected, atol=1e-6)


def test_smoothing_keeps_constants_and_flattens_the_rest(make_context):
    """A smoothed curve has a smaller range, but the same middle."""
    context = make_context(SAD)
    made, motion = damage("over-smoothing", context, 1.0), motion_of(context)
    assert np.ptp(made, axis=0).mean() < 0.6 * np.ptp(motion, axis=0).mean()
    np.testing.assert_allclose(made.mean(), motion.mean(), atol=0.02)


def test_a_wrong_emotion_moves_the_mouth_by_one_constant(make_context, tiny_task, donors):
    """The words must stay right: only the mouth's mean pose is the donor's."""
    context = make_context(SAD, partner=None)
    made = damage("wrong-emotion", context, 1.0)
    shift = (made - motion_of(context))[:, MOUTH_CHANNELS]
    inside = ((made > 0) & (made < 1))[:, MOUTH_CHANNELS].all(axis=0)
    assert inside.sum() > 10
    assert np.ptp(shift[:, inside], axis=0).max() < 1e-6
    # The parallel utterance is angry: that is how the brows must end.
    angry = stretched(donors.motion(5, decoded=True), 45)[:, UPPER_CHANNELS]
    np.testing.assert_allclose(made[:, UPPER_CHANNELS], np.clip(angry, 0, 1), atol=1e-6)


def test_blend_and_mixture_end_at_the_partner(make_context, tiny_task):
    """Strength is the partner's share."""
    context = make_context(SAD)
    partner = context.decode(context.partner)[:45]
    np.testing.assert_allclose(damage("blend", context, 1.0), partner, atol=1e-6)
    np.testing.assert_allclose(damage("mixed-chunks", context, 1.0), partner, atol=1e-5)
    half = 0.5 * (partner + motion_of(context))
    np.testing.assert_allclose(damage("blend", context, 0.5), half, atol=1e-6)


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if isinstance(f, TokenFamily)])
def test_damaged_tokens_stay_damaged_at_greater_strength(name, make_context):
    """Nested damage makes ladders steady; a token must not become whole again."""
    context = make_context(SAD)
    changed = np.zeros(len(context.tokens), dtype=bool)
    for strength in STRENGTHS:
        rng = row_rng(0, utterance=SAD, sample=0, family=name)
        made = FAMILIES[name].corrupt_tokens(
            context.tokens, strength=strength, rng=rng, context=context
        )
        now = made != context.tokens
        assert now[changed].all()
        assert now.sum() >= changed.sum()
        changed = now
    assert changed.mean() > 0.8


def test_mouth_only_noise_leaves_the_upper_tokens_alone(make_context):
    """Within a chunk the first half of the tokens is the mouth's."""
    context = make_context(SAD)
    made = family_named("mouth:random-codes").corrupt_tokens(
        context.tokens, strength=1.0, rng=np.random.default_rng(0), context=context
    )
    changed = (made != context.tokens).reshape(-1, 4)
    assert changed[:, :2].mean() > 0.8 and not changed[:, 2:].any()


def test_nearest_codes_are_the_nearest(tiny_tokenizer):
    """Compared with a sort of plain distances, slot by slot."""
    table = nearest_codes(tiny_tokenizer)
    books = tiny_tokenizer.codebooks()
    assert books.shape == (4, 16, 8) and table.shape == (4, 16, 4)
    for slot, code in ((0, 3), (1, 0), (3, 15)):
        distance = np.linalg.norm(books[slot] - books[slot, code], axis=1)
        distance[code] = np.inf
        expected = np.sort(distance)[:4]
        np.testing.assert_allclose(distance[table[slot, code]], expected, rtol=1e-4)
        assert code not in table[slot, code]


def test_codebooks_are_those_that_decode(tiny_tokenizer):
    """Slot 2 is the upper face's coarse codebook: decoding must use the same vectors."""
    stream = tiny_tokenizer._stream("upper")
    import torch

    codes = torch.tensor([[[7, 5]]])
    books = tiny_tokenizer.codebooks()
    expected = books[2, 7] + books[3, 5]
    np.testing.assert_allclose(stream.vectors(codes)[0, 0].detach(), expected, atol=1e-5)


def test_donors_stay_within_the_split_and_are_what_was_asked_for(donors, tiny_task, rng):
    """Test motion in training pairs, or a "wrong" emotion that is the right one."""
    records, train = tiny_task.corpus.records, set(tiny_task.corpus.split("train").tolist())
    for _ in range(20):
        other = donors.draw("sentence", SAD, rng)
        assert other in train and records[other].text != records[SAD].text
        assert records[donors.draw("emotion", SAD, rng)].emotion != "sad"
        chosen = records[donors.draw("intensity", SAD, rng)]
        assert chosen.emotion == "sad" and chosen.intensity != 2
    assert donors.draw("emotion", SAD, rng) == 5, "ben says the same angrily"
    assert {donors.draw("emotion", 10, rng) for _ in range(9)} == {11}
    assert donors.has("intensity", SAD) and not donors.has("intensity", 0)


def test_what_cannot_be_done_is_refused(make_context, rng, donors):
    """Each message names what is missing."""
    context, family = make_context(SAD), FAMILIES["blend"]
    motion = motion_of(context)

    def corrupt(name="blend", motion=motion, context=context, strength=0.5):
        FAMILIES[name].corrupt(motion, strength=strength, rng=rng, context=context)

    rows = [
        (lambda: corrupt(motion=motion[:, :51]), "`motion` must have shape (T, 52), got (45, 51)"),
        (lambda: corrupt(motion=motion[:0]), "`motion` must have shape (T, 52), got (0, 52)"),
        (lambda: corrupt(strength=1.01), "`strength` must be in [0, 1], got 1.01"),
        (lambda: corrupt(strength=np.nan), "`strength` must be in [0, 1], got nan"),
        (
            lambda: corrupt(context=make_context(SAD, partner=None)),
            "`context.partner` must be given for 'blend', got None",
        ),
        (
            lambda: corrupt("mixed-chunks", context=make_context(SAD, partner=context.partner[4:])),
            "`context.partner` must have 48 tokens like the animation, got 44",
        ),
        (
            lambda: corrupt(context=make_context(SAD, partner=context.partner[4:])),
            "`context.partner` must cover 45 frames like the motion, got 44",
        ),
        (
            lambda: corrupt("temperature", context=make_context(SAD, roll_out=None)),
            "`context.roll_out` must be a policy for this family, got None",
        ),
        (
            lambda: donors.draw("intensity", 0, rng),
            "the split of 'anna-00' must hold another intensity as a donor, got none",
        ),
        (
            lambda: FAMILIES["other-upper"].only("mouth"),
            "`stream` must be one that 'other-upper' damages (upper), got 'mouth'",
        ),
    ]
    for act, message in rows:
        with pytest.raises(ValueError, match=re.escape(message)):
            act()
    assert family.needs_partner


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shift", "must be one of neighbour-codes"),
        ("lips:time-shift", "got 'lips:time-shift'"),
        (":time-shift", "got ':time-shift'"),
        ("mouth:other-upper", "`stream` must be one that 'other-upper' damages"),
    ],
)
def test_unknown_families_are_refused(name, message):
    """A misspelt family that is held out would be trained on."""
    with pytest.raises(InputError, match=re.escape(message)):
        family_named(name)


def test_a_family_is_held_out_with_its_one_sided_versions():
    """Training on `mouth:time-shift` would make `time-shift` no unseen family."""
    among = ("time-shift", "mouth:time-shift", "upper:blend", "blend")
    assert families_without("time-shift", among=among) == ("upper:blend", "blend")
    assert families_without("upper:time-shift", among=among) == ("upper:blend", "blend")
    assert set(families_without("blend")) == set(FAMILIES) - {"blend"}
    assert families_without() == tuple(FAMILIES)


def test_a_family_of_ones_own_can_be_asked_for(make_context, monkeypatch):
    """Whoever knows another way to fail must be able to add it."""

    def first_pose(motion, strength, rng, context):
        return np.repeat(motion[:1], len(motion), axis=0)

    monkeypatch.setitem(FAMILIES, "still", FAMILIES["blend"])  # is taken away afterwards
    del FAMILIES["still"]
    mine = MotionFamily("still", frozenset({"mouth"}), "Keep the first pose.", act=first_pose)
    registry.register_family(mine)
    assert registry.family_named("still") is mine
    made = damage("still", make_context(SAD), 1.0)
    assert np.ptp(made[:, MOUTH_CHANNELS], axis=0).max() == 0
    with pytest.raises(InputError, match=re.escape("must be free, got 'still'; or pass `repl")):
        registry.register_family(mine)
    registry.register_family(mine, replace=True)
    for name in ("", "mouth:still"):
        with pytest.raises(InputError, match=re.escape(f"a name without a colon, got {name!r}")):
            registry.register_family(replace(mine, name=name))


def test_spans_grow_round_their_place():
    """The stretch at one strength lies within that at the next, and ends as a whole."""
    last = np.zeros((50, 1))
    for strength in np.linspace(0, 1, 11):
        span = growing_span(50, strength, 0.3)
        assert (span >= last - 1e-6).all()
        assert abs(span.sum() - 50 * strength) < 2.01 or strength in (0, 1)
        last = span
    assert last.min() == 1
    assert growing_span(50, 0.0, 0.3).max() == 0
    assert growing_span(10, 0.5, 0.0)[0] == 1, "no fade at the start of the animation"


def test_motion_is_fitted_by_cutting_or_stretching():
    """Numbers by hand."""
    ramp = np.arange(5, dtype=np.float32)[:, None]
    np.testing.assert_allclose(stretched(ramp, 9)[:, 0], np.arange(9) / 2)
    np.testing.assert_allclose(fitted(ramp, 3, 0.999)[:, 0], [2, 3, 4])
    np.testing.assert_allclose(fitted(ramp, 3, 0.0)[:, 0], [0, 1, 2])
    np.testing.assert_allclose(fitted(ramp, 9, 0.7)[:, 0], np.arange(9) / 2)
    np.testing.assert_allclose(at_times(ramp, np.array([-1, 0.25, 9]))[:, 0], [0, 0.25, 4])


def test_jaw_and_brows_belong_to_different_streams():
    """The streams are the tokenizer's; a swapped pair would damage the other half."""
    assert tuple(CHANNELS) == tuple(tokenizer_channels) == STREAMS
    assert all(CHANNELS[name] is tokenizer_channels[name] for name in STREAMS)
    assert ARKIT_NAMES.index("jawOpen") in MOUTH_CHANNELS
