"""Exporters `usda`, `usdc` and `usd`: head and animated blend shapes by UsdSkel (extra `usd`).

Unreal, Omniverse, Houdini, Maya and Blender read them. Lengths are in cm, USD's own default, so
that readers which do not look at `metersPerUnit` are right, too.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import MissingExtraError
from esarm_env.face.exporters.clip import at_rate, check_motion
from esarm_env.face.exporters.meshes import shown_mesh
from esarm_env.face.exporters.registry import Exporter
from esarm_env.face.names import ARKIT_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from esarm_env.face.exporters.clip import Sound
    from esarm_env.face.exporters.meshes import ShownMesh
    from esarm_env.face.head import Head

_CM_PER_M = 100.0
_ROOT = "/Face"
_JOINT = "head"  # UsdSkel binds shapes through a skeleton, which has one joint at least
_PARTS = ("Gf", "Sdf", "Usd", "UsdGeom", "UsdSkel", "Vt")


def need_pxr() -> SimpleNamespace:
    """Return the modules of `pxr` that are used here, by name.

    Raises:
        MissingExtraError: If `usd-core` is not installed.
    """
    try:
        return SimpleNamespace(**{name: importlib.import_module(f"pxr.{name}") for name in _PARTS})
    except ImportError as error:
        raise MissingExtraError("usd-core", extra="usd", purpose="A USD file") from error


def _write(
    path: Path,
    motion: FloatArray,
    *,
    rate_hz: int,
    head: Head,
    speech: Sound | None = None,
    name: str = "",
) -> None:
    values = at_rate(check_motion(motion, rate_hz=rate_hz), rate_hz)
    pxr = need_pxr()
    suffix = path.suffix.lower() or ".usda"  # through a device there is none
    stage = pxr.Usd.Stage.CreateInMemory(suffix)
    pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.y)
    pxr.UsdGeom.SetStageMetersPerUnit(stage, 1 / _CM_PER_M)
    stage.SetTimeCodesPerSecond(rate_hz)
    stage.SetFramesPerSecond(rate_hz)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(len(values) - 1)
    stage.SetDefaultPrim(pxr.UsdSkel.Root.Define(stage, _ROOT).GetPrim())
    about: dict[str, Any] = {"clip": name, "fps": rate_hz}
    if speech is not None:
        # When its first sample is heard, in seconds of the animation; no path, which would dangle.
        about |= {"audioFile": speech.name, "audioOffsetSeconds": 0.0}
    stage.GetRootLayer().customLayerData = about
    _add_animation(pxr, stage, values)
    _add_mesh(pxr, stage, shown_mesh(head))
    whole = path.with_name(f"{path.name}{suffix}")  # USD goes by the suffix, in small letters
    try:
        stage.GetRootLayer().Export(str(whole))
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


def _add_animation(pxr: SimpleNamespace, stage: Any, motion: FloatArray) -> None:
    """Add a skeleton that stands still, and the weights over time."""
    still = pxr.Vt.Matrix4dArray([pxr.Gf.Matrix4d(1)])
    skeleton = pxr.UsdSkel.Skeleton.Define(stage, f"{_ROOT}/Skeleton")
    skeleton.CreateJointsAttr([_JOINT])
    skeleton.CreateBindTransformsAttr(still)
    skeleton.CreateRestTransformsAttr(still)
    animation = pxr.UsdSkel.Animation.Define(stage, f"{_ROOT}/Skeleton/Animation")
    animation.CreateJointsAttr([_JOINT])
    animation.SetTransforms(still)
    animation.CreateBlendShapesAttr(list(ARKIT_NAMES))
    weights = animation.CreateBlendShapeWeightsAttr()
    for frame, row in enumerate(motion):
        weights.Set(pxr.Vt.FloatArray.FromNumpy(np.ascontiguousarray(row)), frame)
    binding = pxr.UsdSkel.BindingAPI.Apply(skeleton.GetPrim())
    binding.CreateAnimationSourceRel().SetTargets([animation.GetPath()])


def _add_mesh(pxr: SimpleNamespace, stage: Any, mesh: ShownMesh) -> None:
    """Add the head, its 52 shapes, and what binds them to the skeleton's animation."""
    place = f"{_ROOT}/Head"
    usd = pxr.UsdGeom.Mesh.Define(stage, place)
    points = _vectors(pxr, mesh.vertices * _CM_PER_M)
    usd.CreatePointsAttr(points)
    usd.CreateExtentAttr(pxr.UsdGeom.PointBased.ComputeExtent(points))
    usd.CreateFaceVertexCountsAttr(_integers(pxr, np.full(len(mesh.faces), 3)))
    usd.CreateFaceVertexIndicesAttr(_integers(pxr, mesh.faces.reshape(-1)))
    usd.CreateSubdivisionSchemeAttr(pxr.UsdGeom.Tokens.none)
    usd.CreateNormalsAttr(_vectors(pxr, mesh.normals))
    usd.SetNormalsInterpolation(pxr.UsdGeom.Tokens.vertex)
    colour = usd.CreateDisplayColorPrimvar(pxr.UsdGeom.Tokens.vertex)
    colour.Set(_vectors(pxr, mesh.colours))
    targets = []
    for name, shape in zip(ARKIT_NAMES, mesh.shapes, strict=True):
        target = pxr.UsdSkel.BlendShape.Define(stage, f"{place}/{name}")
        target.CreateOffsetsAttr(_vectors(pxr, shape.offsets * _CM_PER_M))
        target.CreateNormalOffsetsAttr(_vectors(pxr, shape.turns))
        target.CreatePointIndicesAttr(_integers(pxr, shape.rows))
        targets.append(target.GetPath())
    binding = pxr.UsdSkel.BindingAPI.Apply(usd.GetPrim())
    binding.CreateSkeletonRel().SetTargets([f"{_ROOT}/Skeleton"])
    binding.CreateBlendShapesAttr(list(ARKIT_NAMES))
    binding.CreateBlendShapeTargetsRel().SetTargets(targets)
    binding.CreateJointIndicesPrimvar(constant=True, elementSize=1).Set(_integers(pxr, np.zeros(1)))
    weights = pxr.Vt.FloatArray([1.0])
    binding.CreateJointWeightsPrimvar(constant=True, elementSize=1).Set(weights)


def _vectors(pxr: SimpleNamespace, values: FloatArray) -> Any:
    return pxr.Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values, dtype=np.float32))


def _integers(pxr: SimpleNamespace, values: Any) -> Any:
    return pxr.Vt.IntArray.FromNumpy(np.ascontiguousarray(values, dtype=np.int32))


_SAYS = "OpenUSD, {}, with a head, 52 blend shapes and their animation (extra usd)."
USDA = Exporter(".usda", _write, _SAYS.format("text"), needs=need_pxr)
USDC = Exporter(".usdc", _write, _SAYS.format("binary"), needs=need_pxr)
USD = Exporter(".usd", _write, _SAYS.format("binary"), needs=need_pxr)
