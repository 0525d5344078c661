"""A rival in a folder: trained once, loaded from then on, and refused where it is of another."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.baselines.rivals import RivalSettings
from agents.baselines.rivals.base import PARTS
from esarm_env.core.errors import InputError
from esarm_env.encoder.shape import EncoderShape
from esarm_env.task.animation_task import AnimationTask, pad_stack
from train.rivals import RivalAnimator, train_rival
from train.rivals.data import PlainFeatures, rival_data

SETTINGS = RivalSettings(epochs=1, width=16, batch_utterances=4)


@pytest.fixture(scope="module")
def folder(tiny_task: AnimationTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an EmoTalk of one epoch."""
    path = tmp_path_factory.mktemp("rivals") / "emotalk"
    train_rival(tiny_task, "emotalk", seed=3, folder=path, settings=SETTINGS)
    return path


def test_a_finished_rival_is_loaded_and_animates_as_it_did(
    tiny_task: AnimationTask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its errors on the validation utterances are those that its summary says."""
    monkeypatch.setattr("train.rivals.training.drive", None)  # whatever trains would raise
    animator = train_rival(tiny_task, "emotalk", seed=3, folder=folder, settings=SETTINGS)
    summary = json.loads((folder / "summary.json").read_text())
    validation = tiny_task.corpus.split("validation")
    motion = animator.animate_many(validation)
    errors = tiny_task.errors_of_motion(pad_stack(motion, edge=True), validation)
    assert summary["validation_lve_mm"] == pytest.approx(float(errors["lve"].mean()), rel=1e-5)
    assert summary["validation_eve_mm"] == pytest.approx(float(errors["eve"].mean()), rel=1e-5)
    assert summary["parameters"] == animator.n_parameters
    assert (summary["rival"], summary["sees"]) == ("emotalk", ["intensity", "speaker"])
    assert not (folder / "checkpoint.pt").exists()


def test_motion_comes_in_the_order_asked_for_and_does_not_depend_on_its_company(
    tiny_task: AnimationTask, folder: Path
) -> None:
    """Utterances are animated in order of length: a row that is not put back is another's face."""
    animator = train_rival(tiny_task, "emotalk", seed=3, folder=folder, settings=SETTINGS)
    utterances = np.array([10, 4, 6])
    motions = animator.animate_many(utterances)
    assert [m.shape for m in motions] == [(int(tiny_task.n_frames[i]), 52) for i in utterances]
    for index, motion in zip(utterances, motions, strict=True):
        assert motion.dtype == np.float32 and 0 <= motion.min() <= motion.max() <= 1
        np.testing.assert_allclose(animator.animate_many(np.array([index]))[0], motion, atol=1e-5)


def test_in_its_own_conditions_an_emotion_changes_nothing_and_in_all_of_them_it_does(
    tiny_task: AnimationTask, folder: Path, tmp_path: Path
) -> None:
    """The two rows of the table differ in what is told, and in nothing else."""
    utterances = np.array([8, 9])
    told = tiny_task.condition_of(utterances)
    told[:, :9] = np.roll(told[:, :9], 1, axis=1)
    own = train_rival(tiny_task, "emotalk", seed=3, folder=folder, settings=SETTINGS)
    every = train_rival(
        tiny_task, "emotalk", conditions="all", seed=3, folder=tmp_path / "all", settings=SETTINGS
    )
    assert every.parts == PARTS

    def change(animator: RivalAnimator) -> float:
        motions = (
            animator.animate_many(utterances),
            animator.animate_many(utterances, conditions=told),
        )
        return float(max(np.abs(a - b).max() for a, b in zip(*motions, strict=True)))

    assert change(own) == 0
    assert change(every) > 0


def test_a_folder_of_another_training_is_refused_by_what_differs(
    tiny_task: AnimationTask, folder: Path
) -> None:
    """Loaded without a word, another seed would be counted twice."""
    message = f"{folder}: must be of this training, got one of other seed; choose another folder"
    with pytest.raises(InputError, match=re.escape(message)):
        train_rival(tiny_task, "emotalk", seed=4, folder=folder, settings=SETTINGS)
    with pytest.raises(InputError, match=re.escape("got one of other rival, sees, seed, settings")):
        train_rival(tiny_task, "faceformer", seed=4, folder=folder)


def test_unknown_conditions_are_refused(tiny_task: AnimationTask, tmp_path: Path) -> None:
    """A misspelt row must not train for an hour as another one."""
    with pytest.raises(InputError, match=re.escape("`conditions` must be own or all, got 'every'")):
        train_rival(tiny_task, "emotalk", conditions="every", seed=0, folder=tmp_path)  # type: ignore[arg-type]


def test_rivals_hear_the_audio_features_and_no_stream_of_our_encoder(
    tiny_task: AnimationTask,
) -> None:
    """Through our encoder, a rival would be our regressor by another name."""
    plain = PlainFeatures(tiny_task)
    assert plain.dim == tiny_task.features.dim

    class Heard:
        shape = EncoderShape(feature_dim=4, condition_dim=1)

    heard = dataclasses.replace(tiny_task, speech_encoder=Heard())  # type: ignore[arg-type]
    cut = PlainFeatures(heard)
    assert cut.dim == 4
    np.testing.assert_array_equal(cut[3], tiny_task.features[3][:, -4:])


def test_parallel_utterances_are_aligned_frame_by_frame(
    tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """An utterance is aligned with itself as it is, and no frame lies beyond the other's end."""
    data = rival_data(tiny_task, tmp_path)
    for second in (1, 3, 4):
        own = data.align(second, second)
        assert np.abs(own - np.arange(len(own))).max() <= 1
        places = data.align(0, second)
        assert places.shape == (tiny_task.n_frames[second],)
        assert places.min() >= 0 and places.max() < tiny_task.n_frames[0]
    batch = data.batch([10], PARTS)
    assert not batch.condition[0, 12:].any(), "a test speaker is unknown"
    loss = data.loss(batch.curves, batch.curves, batch.inside)
    assert loss.item() == pytest.approx(1e-3 * 3, rel=1e-3)
    assert torch.equal(batch.features[0], torch.from_numpy(tiny_task.features[10].copy()))
