"""Emotions told apart: perfect, at chance, and where there is nothing to tell."""

import numpy as np
import pytest

from esarm_env.corpus.realism.description import separability

N_EACH, SPEAKERS, EMOTIONS = 6, ("anna", "ben", "cora", "dan"), ("angry", "happy", "sad")


def labels() -> tuple[list[str], list[str]]:
    rows = [(e, s) for s in SPEAKERS for e in EMOTIONS for _ in range(N_EACH)]
    return [emotion for emotion, _ in rows], [speaker for _, speaker in rows]


def test_distinct_emotions_are_told_apart(rng: np.random.Generator) -> None:
    emotions, speakers = labels()
    centre = {e: row for e, row in zip(EMOTIONS, np.eye(3, 8), strict=True)}
    faces = np.array([centre[e] for e in emotions]) + 0.05 * rng.standard_normal((72, 8))
    assert separability(faces, emotions, speakers) == (1.0, pytest.approx(1 / 3)), "all right"


def test_noise_gives_chance(rng: np.random.Generator) -> None:
    """A classifier that sees its own test faces would find emotions in noise."""
    emotions, speakers = labels()
    found = [separability(rng.standard_normal((72, 8)), emotions, speakers)[0] for _ in range(20)]
    assert np.mean(found) == pytest.approx(1 / 3, abs=0.06), f"noise is told apart: {found}"


def test_speakers_are_held_out(rng: np.random.Generator) -> None:
    """Faces that carry the emotion only within a speaker say nothing about another one."""
    emotions, speakers = labels()
    code = {(s, e): rng.standard_normal(12) for s in SPEAKERS for e in EMOTIONS}
    faces = np.array([code[s, e] for s, e in zip(speakers, emotions, strict=True)])
    accuracy, _ = separability(faces, emotions, speakers)
    assert accuracy < 0.75, f"the same speaker must not be in training, got {accuracy}"


@pytest.mark.parametrize("case", ["one emotion", "one speaker", "no channel", "nothing", "too few"])
def test_nothing_to_tell_is_nan(case: str) -> None:
    emotions, speakers = labels()
    faces = np.zeros((72, 4))
    if case == "one emotion":
        emotions = ["sad"] * 72
    elif case == "one speaker":
        speakers = ["anna"] * 72
    elif case == "no channel":
        faces = faces[:, :0]
    elif case == "nothing":
        faces, emotions, speakers = faces[:0], [], []
    else:
        emotions = ["happy"] * 3 + ["sad"] * 69
    assert np.isnan(separability(faces, emotions, speakers)).all(), case
