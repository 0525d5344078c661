"""Folders of vertex recordings: VOCASET as published, or as FaceFormer and CodeTalker take it.

As published: `data_verts.npy`, `subj_seq_to_idx.pkl`, `raw_audio_fixed.pkl`, `templates.pkl`. As
taken by others: `vertices_npy/NAME.npy`, `wav/NAME.wav` and `templates.pkl`. Pickles are read
without running anything in them. Sounds of the first are unpacked to the cache once.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from esarm_env.audio.loading import measure_audio
from esarm_env.core.cache import cache_dir, new_file
from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts.pairing import Part, pair_files
from esarm_env.corpus.takes import Fault, Take
from esarm_env.corpus.vertices.recordings import (
    VertexTake,
    n_vertices_of,
    official_split,
    open_array,
    rate_of_takes,
    subject_of,
)
from esarm_env.face.loaders.plain_pickle import read_pickled_arrays, read_pickled_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esarm_env.core.types import DoubleArray
    from esarm_env.corpus.layouts.pairing import Describe
    from esarm_env.corpus.layouts.tree import File, Tree

VERTICES, NUMBERS, SOUNDS = "data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl"
TEMPLATES = "templates.pkl"
VERTEX_FOLDER, SOUND_FOLDER = "vertices_npy", "wav"
_SAMPLE_RATES_HZ = (4_000, 384_000)


@dataclass(frozen=True, eq=False)
class VertexFolder:
    """Recordings of a folder, their templates and what is wrong with others.

    Attributes:
        takes: Sorted by id.
        templates: Shape (V, 3) each, by subject, in the file's unit.
        n_vertices: V.
        rate_hz: Frames a second in the files.
        faults: What was left out.
    """

    takes: tuple[VertexTake, ...]
    templates: dict[str, DoubleArray]
    n_vertices: int
    rate_hz: float
    faults: tuple[Fault, ...]


def is_published(tree: Tree) -> bool:
    """Return whether a folder holds VOCASET as published."""
    return any(file.path == VERTICES for file in tree.files)


def has_vertex_files(tree: Tree) -> bool:
    """Return whether a folder holds a file of vertices for each recording."""
    return any(file.folders == (VERTEX_FOLDER,) and file.kind == ".npy" for file in tree.files)


def vertex_places(tree: Tree) -> list[tuple[str, ...]]:
    """Return the folders of a tree, at any depth, that hold recordings of vertices."""
    places = {
        file.folders[:-1] if file.folders[-1:] == (VERTEX_FOLDER,) else file.folders
        for file in tree.files
        if (file.folders[-1:] == (VERTEX_FOLDER,) and file.kind == ".npy")
        or file.stem + file.suffix == VERTICES
    }
    return sorted(places)


def innermost(tree: Tree) -> Tree:
    """Return the part of a tree that holds the recordings, as archives often add a folder.

    Raises:
        InputError: If there is not one such part.
    """
    places = vertex_places(tree)
    if len(places) != 1:
        got = ", ".join("/".join(place) or "." for place in places) or "none"
        raise InputError(f"{tree.folder}: must hold one corpus of vertices, got {got}; open one")
    depth = len(places[0])
    files = tuple(
        dataclasses.replace(file, folders=file.folders[depth:])
        for file in tree.files
        if file.folders[:depth] == places[0]
    )
    # Of other files only those beside the recordings could be called as one.
    others = tuple(file for file in tree.others if not depth and file.folders)
    return dataclasses.replace(
        tree, folder=tree.folder.joinpath(*places[0]), files=files, others=others
    )


def describe_files(tree: Tree) -> Describe:
    """Return the function that assigns files of `vertices_npy/` and `wav/` to takes."""
    del tree

    def describe(file: File) -> Part | Fault | None:
        take = Take(file.stem, audio=None, motion=None, speaker=subject_of(file.stem)[0])
        if file.folders == (VERTEX_FOLDER,) and file.kind == ".npy":
            return Part(take, "motion")
        return Part(take, "audio") if file.folders == (SOUND_FOLDER,) and file.is_media else None

    return describe


def read_folder(tree: Tree) -> VertexFolder:
    """Find the recordings of a folder; of vertices only headers are read.

    Raises:
        InputError: If a file that all recordings need is missing or damaged, or a pickle names a
            class that arrays do not need.
    """
    tree = innermost(tree)
    templates = _templates(tree.folder / TEMPLATES)
    # Others unpack the published files beside them: what they made of them counts.
    if has_vertex_files(tree):
        found, faults = _of_files(tree)
    else:
        found, faults = _published(tree)
    takes, lost = _usable(found, templates)
    if not takes:
        raise InputError(_none_usable(tree.folder, (*faults, *lost)))
    n_vertices = n_vertices_of(open_array(takes[0].path))
    rate_hz = _rate(takes, tree.folder)
    ordered = sorted((*faults, *lost), key=lambda fault: fault.source)
    return VertexFolder(tuple(takes), templates, n_vertices, rate_hz, tuple(ordered))


def _none_usable(folder: Path, faults: tuple[Fault, ...]) -> str:
    reasons = "; ".join(str(fault) for fault in faults[:3]) or "it has none"
    return (
        f"{folder}: must hold recordings of vertices with sound and template, got none ({reasons})"
    )


def _templates(path: Path) -> dict[str, DoubleArray]:
    """Return the resting faces by subject."""
    arrays = read_pickled_arrays(path)
    faces = {
        name: np.asarray(array, dtype=np.float64)
        for name, array in arrays.items()
        if array.ndim == 2 and array.shape[1] == 3 and array.dtype.kind == "f"
    }
    kept = {name: face for name, face in faces.items() if len(face) and np.isfinite(face).all()}
    if not kept:
        got = ", ".join(list(arrays)[:5]) or "nothing"
        raise InputError(f"{path}: must hold faces (V, 3) by subject, got none among {got}")
    return kept


def _of_files(tree: Tree) -> tuple[list[VertexTake], list[Fault]]:
    """Return the recordings of `vertices_npy/`, and what was left out."""
    files = tuple(file for file in tree.files if file.path != VERTICES)
    found = pair_files(
        dataclasses.replace(tree, files=files), describe_files(tree), layout="vocaset"
    )
    takes, faults = [], [*found.faults, *found.notes]
    if is_published(tree):
        faults.append(Fault(VERTICES, f"is not read, as {VERTEX_FOLDER}/ holds recordings"))
    for take in found.takes:
        assert take.audio is not None
        if take.motion is None:
            continue  # all of a folder of sound alone
        try:
            n_frames = len(open_array(take.motion))
        except InputError as error:
            faults.append(Fault(take.id, str(error)))
            continue
        subject, _ = subject_of(take.id)
        takes.append(VertexTake(take.id, subject, None, take.motion, None, take.audio, n_frames))
    return takes, faults


def _published(tree: Tree) -> tuple[list[VertexTake], list[Fault]]:
    """Return the recordings of `data_verts.npy`, and what was left out."""
    path = tree.folder / VERTICES
    n_rows = len(open_array(path))
    faults, numbered = [*tree.faults], {}
    for take_id, numbers in _numbers(tree.folder / NUMBERS):
        if not len(numbers) or numbers.min() < 0 or numbers.max() >= n_rows:
            faults.append(Fault(take_id, f"must number frames of the {n_rows} in {VERTICES}"))
        else:
            numbered[take_id] = numbers
    sounds = _unpacked(tree.folder / SOUNDS, set(numbered))
    faults += [Fault(name, reason) for name, reason in sounds.items() if isinstance(reason, str)]
    takes = []
    for take_id, rows in sorted(numbered.items()):
        audio = sounds[take_id]
        if not isinstance(audio, str):
            subject = subject_of(take_id)[0]
            takes.append(VertexTake(take_id, subject, None, path, rows, audio, len(rows)))
    return takes, faults


def _numbers(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the id of each recording and the rows of its frames, in their order."""
    for subject, sequences in read_pickled_tree(path).items():
        if not isinstance(sequences, dict):
            continue
        for sequence, frames in sequences.items():
            if isinstance(frames, dict):
                ordered = [frames[key] for key in sorted(frames, key=_as_number)]
            else:
                ordered = list(np.ravel(frames)) if isinstance(frames, np.ndarray) else []
            whole = [row for row in ordered if isinstance(row, (int, np.integer))]
            usable = len(whole) == len(ordered) and all(0 <= row < 2**48 for row in whole)
            rows = np.array(whole if usable else [], dtype=np.int64)
            yield f"{subject}_{sequence}", rows


def _as_number(key: object) -> tuple[int, str]:
    text = str(key)
    return (int(text) if text.isdecimal() and len(text) < 16 else 0), text


def _unpacked(path: Path, names: set[str]) -> dict[str, Path | str]:
    """Return a sound file in the cache for each of `names`, or what is wrong with its sound."""
    status = path.stat() if path.is_file() else None
    stamp = f"{path.resolve()}\n{status and (status.st_size, status.st_mtime_ns)}"
    folder = cache_dir() / "vertices" / hashlib.sha256(stamp.encode()).hexdigest()[:24]
    places: dict[str, Path | str] = {name: folder / f"{_file_name(name)}.wav" for name in names}
    if all(isinstance(place, str) or place.is_file() for place in places.values()):
        return places
    tree = read_pickled_tree(path)
    sounds = {
        f"{subject}_{sequence}": sound
        for subject, sequences in tree.items()
        if isinstance(sequences, dict)
        for sequence, sound in sequences.items()
    }
    for name in sorted(names):
        place = folder / f"{_file_name(name)}.wav"
        if not place.is_file():
            reason = _write_sound(sounds.get(name), place)
            places[name] = reason or place
    return places


def _file_name(name: str) -> str:
    """Return a name that no subject's letters lead out of the cache."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _write_sound(sound: Any, place: Path) -> str | None:
    """Write one sound; return what is wrong with it, None if nothing is."""
    if not isinstance(sound, dict) or not isinstance(sound.get("audio"), np.ndarray):
        return f"has no sound in {SOUNDS}"
    samples, rate_hz = sound["audio"], sound.get("sample_rate")
    least, most = _SAMPLE_RATES_HZ
    if not isinstance(rate_hz, (int, float)) or not least <= rate_hz <= most:
        return f"has a sound of the sample rate {rate_hz!r:.40} in {SOUNDS}"
    if samples.ndim != 1 or not len(samples) or samples.dtype.kind not in "if":
        return f"has a sound of {samples.dtype} {samples.shape} in {SOUNDS}"
    if samples.dtype.kind == "i" and samples.dtype.itemsize != 2:
        return f"has a sound of {samples.dtype} in {SOUNDS}, 16 bits are meant"
    kept = samples.astype(np.int16 if samples.dtype.kind == "i" else np.float32)
    subtype = "PCM_16" if samples.dtype.kind == "i" else "FLOAT"
    with new_file(place, keep_suffix=True) as draft:
        soundfile.write(draft, kept, round(rate_hz), subtype=subtype)
    return None


def _usable(
    found: list[VertexTake], templates: dict[str, DoubleArray]
) -> tuple[list[VertexTake], list[Fault]]:
    """Return the recordings with a template and the commonest number of vertices, split."""
    counts = Counter(n_vertices_of(open_array(take.path)) for take in found)
    n_vertices = counts.most_common(1)[0][0] if counts else 0
    takes, faults, unsplit = [], [], Counter[str]()
    for take in found:
        face = templates.get(take.subject)
        n_own = n_vertices_of(open_array(take.path))
        split, left_out = official_split(*subject_of(take.id))
        if left_out:
            unsplit[take.subject] += 1
        elif face is None:
            faults.append(Fault(take.id, f"has no template of {take.subject} in {TEMPLATES}"))
        elif len(face) != n_own or n_own != n_vertices:
            reason = f"has {n_own} vertices, its template {len(face)}, most others {n_vertices}"
            faults.append(Fault(take.id, reason))
        else:
            takes.append(dataclasses.replace(take, split=split))
    faults += [
        Fault(subject, f"{n} recordings are in no official split, and left out")
        for subject, n in unsplit.items()
    ]
    return takes, faults


def _rate(takes: list[VertexTake], folder: Path) -> float:
    """Return the frame rate of the recordings, by those whose sound can be measured."""
    durations: list[float] = []
    n_frames: list[int] = []
    for take in takes:
        try:
            durations.append(measure_audio(take.audio, on_note=lambda _: None))
        except InputError:
            continue  # reading the take says it
        n_frames.append(take.n_frames)
    if not durations:
        raise InputError(f"{folder}: must hold sounds that can be read, got none")
    return rate_of_takes(n_frames, durations, where=folder)
