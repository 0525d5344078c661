"""USD files of a clip: no fault by usd-core's own validators, and posed by UsdSkel as by us."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import MissingExtraError
from esarm_env.face import ARKIT_NAMES, Head
from esarm_env.face.exporters import Sound, write_motion

pytest.importorskip("pxr")
from pxr import Usd, UsdGeom, UsdSkel, UsdValidation


def posed(stage: Any, frame: float) -> np.ndarray:
    """Return the mesh's points at a time code as UsdSkel poses them, in the stage's unit."""
    root = UsdSkel.Root(stage.GetDefaultPrim())
    cache = UsdSkel.Cache()
    cache.Populate(root, Usd.PrimDefaultPredicate)
    (binding,) = cache.ComputeSkelBindings(root, Usd.PrimDefaultPredicate)
    skeleton = cache.GetSkelQuery(binding.GetSkeleton())
    (skinning,) = binding.GetSkinningTargets()
    assert skinning.HasBlendShapes() and skinning.IsRigidlyDeformed()
    weights = skeleton.GetAnimQuery().ComputeBlendShapeWeights(frame)
    query = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(skinning.GetPrim()))
    sub_weights, shapes, subs = query.ComputeSubShapeWeights(weights)
    points = UsdGeom.Mesh(skinning.GetPrim()).GetPointsAttr().Get()
    query.ComputeDeformedPoints(
        sub_weights,
        shapes,
        subs,
        query.ComputeBlendShapePointIndices(),
        query.ComputeSubShapePointOffsets(),
        points,
    )
    return np.array(points)


@pytest.mark.parametrize("suffix", [".usda", ".usdc", ".usd"])
def test_usd_has_no_fault_by_its_own_validators(
    small_head: Head, motion: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    """A binding that is not applied is drawn by one program and not by the next."""
    path = tmp_path / f"a{suffix}"
    write_motion(path, motion, head=small_head)
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    context = UsdValidation.ValidationContext(validators)
    assert len(validators) > 5
    assert not [error.GetMessage() for error in context.Validate(Usd.Stage.Open(str(path)))]
    is_text = path.read_bytes().startswith(b"#usda")
    assert is_text == (suffix == ".usda")


@pytest.mark.parametrize("rate_hz", [30, 60])
def test_usdskel_poses_the_head_as_we_do(
    small_head: Head, motion: np.ndarray, tmp_path: Path, rate_hz: int
) -> None:
    """Names, weights, offsets and their vertices at once: the face is what they are for."""
    write_motion(tmp_path / "a.usdc", motion, head=small_head, rate_hz=rate_hz)
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    assert stage.GetTimeCodesPerSecond() == rate_hz
    assert stage.GetEndTimeCode() == 14 * rate_hz // 30
    mm = UsdGeom.GetStageMetersPerUnit(stage) * 1000
    assert mm == pytest.approx(10), "cm, what readers take that do not look"
    for frame in (0, 7, 14):
        points = posed(stage, frame * rate_hz // 30)[:5] * mm
        np.testing.assert_allclose(points, small_head.apply(motion[frame]), atol=1e-4)


def test_shapes_bear_arkits_names_and_the_sound_is_noted(
    small_head: Head, motion: np.ndarray, tmp_path: Path
) -> None:
    """Retargeting goes by names."""
    sound = Sound(np.zeros(8000, "f4"), 16000, "a.wav")
    write_motion(tmp_path / "take.usda", motion, head=small_head, speech=sound)
    stage = Usd.Stage.Open(str(tmp_path / "take.usda"))
    animation = UsdSkel.Animation(stage.GetPrimAtPath("/Face/Skeleton/Animation"))
    assert tuple(animation.GetBlendShapesAttr().Get()) == ARKIT_NAMES
    about = {"clip": "take", "fps": 30, "audioFile": "a.wav", "audioOffsetSeconds": 0.0}
    assert stage.GetRootLayer().customLayerData == about


@pytest.mark.parametrize("name", ["A.USDC", "A.USD"])
def test_the_suffix_may_be_in_capitals(
    small_head: Head, motion: np.ndarray, tmp_path: Path, name: str
) -> None:
    """As Windows programs write it; USD itself knows small letters alone."""
    write_motion(tmp_path / name, motion, head=small_head)
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(b"PXR-USDC")


def test_a_missing_extra_is_told_with_the_pip_line(
    motion: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is called otherwise than what is imported."""
    monkeypatch.setitem(sys.modules, "pxr.Usd", None)
    message = "A USD file needs `usd-core`: run `pip install 'esarm[usd]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        write_motion(tmp_path / "a.usda", motion)
