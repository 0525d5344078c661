"""The caption: what it says, and that it stays in its place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from esarm_env.core.types import EMOTIONS
from esarm_env.rendering.caption import BACKGROUND, Caption, CaptionWriter

_CAPTION = Caption(
    "anna-01",
    "The boat left at noon.",
    "happy",
    3,
    "anna",
    step=12,
    n_steps=48,
    time_s=0.4,
    duration_s=1.6,
)
_SIZES = [(480, 480), (240, 240), (240, 640), (720, 300)]


def _written(caption: Caption, size: tuple[int, int] = (480, 480)) -> np.ndarray:
    picture = np.full((*size, 3), BACKGROUND, dtype=np.uint8)
    CaptionWriter(height=size[0], width=size[1]).draw(picture, caption)
    return picture


def _inked(picture: np.ndarray) -> np.ndarray:
    """Return which pixels are not background, shape (H, W)."""
    return np.asarray((picture != BACKGROUND).any(axis=2))


def test_the_condition_is_what_was_asked_for() -> None:
    """Seen beside the face, it says whether the emotion came out."""
    assert _CAPTION.condition == "happy 3/3 · anna"
    assert dataclasses.replace(_CAPTION, speaker=None).condition == "happy 3/3 · average speaker"


def test_scores_come_before_errors_with_their_units() -> None:
    """A score has no unit, an error is in mm: mixed up, they are read as each other."""
    caption = dataclasses.replace(
        _CAPTION,
        scores=(("learned", 0.31234), ("jerk", -12345.678)),
        metrics=(("lve", 3.0512, "mm"), ("eve", 12.0, "mm")),
    )
    assert caption.cards == [
        ("learned", "0.3123"),
        ("jerk", "-1.235e+04"),
        ("LVE", "3.05 mm"),
        ("EVE", "12.00 mm"),
    ]


def test_terms_without_room_are_counted() -> None:
    """Nine terms would cover the face; dropped in silence, the sum would not add up."""
    scores = tuple((f"term{number}", float(number)) for number in range(9))
    caption = dataclasses.replace(
        _CAPTION, scores=scores, metrics=(("lve", 3.0, "mm"), ("eve", 1.0, "mm"))
    )
    assert len(caption.cards) == 8
    assert caption.cards[4:] == [
        ("term4", "4"),
        ("terms", "+4 more"),
        ("LVE", "3.00 mm"),
        ("EVE", "1.00 mm"),
    ]
    six = dataclasses.replace(caption, scores=scores[:6])
    assert [name for name, _ in six.cards][:6] == [name for name, _ in scores[:6]]


@pytest.mark.parametrize("size", _SIZES)
def test_the_rows_of_the_head_stay_free(size: tuple[int, int]) -> None:
    """Text over the mouth would hide what the picture is for."""
    writer = CaptionWriter(height=size[0], width=size[1])
    assert writer.bottom - writer.top > 0.5 * size[0], "the head is the largest part"
    assert not _inked(_written(_CAPTION, size))[writer.top : writer.bottom].any()


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("emotion", EMOTIONS)
def test_no_text_overflows(size: tuple[int, int], emotion: str) -> None:
    """Ids are paths in some corpora, texts are paragraphs: they must neither leave nor collide."""
    caption = Caption(
        "a/very/long/path/of/folders/that/somebody/made/M003-front-level_3-014",
        "he said that nobody would ever cross the river before the bridge was mended " * 5,
        emotion,
        3,
        "a speaker with a name that is as long as this one",
        step=100_000,
        n_steps=100_000,
        time_s=3333.33,
        duration_s=3333.33,
        scores=(("a_term_with_a_long_name", -1.2345e-5), ("jerk", 1e30), ("nan", float("nan"))),
        metrics=(("lve", 123.456, "mm"), ("eve", 99.999, "mm")),
    )
    inked = _inked(_written(caption, size))
    bar = round(5 * min(size) / 480)
    margin = round(14 * min(size) / 480)
    text_rows = inked[:-bar]
    assert not text_rows[:, : margin - 1].any(), "the left margin is free"
    assert not text_rows[:, -(margin - 1) :].any(), "the right margin is free"
    title = inked[margin : CaptionWriter(height=size[0], width=size[1]).top].any(axis=0)
    gaps = np.diff(np.flatnonzero(title))
    assert gaps.max() >= margin - 1, "id and condition are apart"


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (12, 0.25), (48, 1.0)])
def test_the_bar_shows_the_share_of_steps(step: int, share: float) -> None:
    """It is read at a glance, so it has to be right."""
    row = _written(dataclasses.replace(_CAPTION, step=step))[-1]
    filled = (row == (46, 104, 176)).all(axis=1)
    assert filled.sum() == share * 480
    assert filled[: int(share * 480)].all(), "it fills from the left"


def test_every_field_is_seen() -> None:
    """A field that is written nowhere would be a promise not kept."""
    changes = {
        "utterance_id": "anna-02",
        "text": None,
        "emotion": "sad",
        "intensity": 1,
        "speaker": None,
        "step": 13,
        "n_steps": 52,
        "time_s": 0.43,
        "duration_s": 1.7,
        "scores": (("learned", 0.5),),
        "metrics": (("lve", 3.0, "mm"),),
    }
    assert set(changes) == {field.name for field in dataclasses.fields(Caption)}
    before = _written(_CAPTION)
    for name, value in changes.items():
        changed = dataclasses.replace(_CAPTION, **{name: value})  # type: ignore[arg-type]
        assert not np.array_equal(_written(changed), before), f"`{name}` is not written"
