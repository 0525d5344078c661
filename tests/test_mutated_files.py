"""Mutated files: whatever a file holds, a reader succeeds or raises `InputError`.

Each reader gets a valid file of its own, mutated in one of three ways: its bytes, the bytes of one
of its parts (a member of an archive, the JSON of a header) with the container left sound, or the
numbers and words in its text. A mutated file may take 1 GiB of memory at most.
"""

from __future__ import annotations

import base64
import io
import json
import random
import resource
import shutil
import struct
import warnings
import wave
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st

import esarm_env
from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.weights import load_policy, save_policy
from esarm_env.audio.loading import read_audio
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.corpus import open_corpus
from esarm_env.corpus.compact.corpus import CompactCorpus
from esarm_env.corpus.motion.reader import measure_track, read_track
from esarm_env.corpus.vertices.recordings import VertexTake, open_array
from esarm_env.encoder.network import SpeechEncoder, load_speech_encoder
from esarm_env.encoder.shape import EncoderShape
from esarm_env.face import ARKIT_NAMES, write_livelink_csv
from esarm_env.face.loaders import open_head
from esarm_env.face.loaders.array_files import read_arrays
from esarm_env.face.loaders.flame import read_flame
from esarm_env.face.loaders.ict import load_ict_arrays
from esarm_env.face.loaders.plain_pickle import read_pickled_tree
from esarm_env.face.loaders.targets import read_regions
from esarm_env.task.emotion_curve import read_curve
from esarm_env.tokenizer import VQMotionTokenizer, load_tokenizer
from esarm_env.tokenizer.vq import TokenizerShape
from reward.consensus import ConsensusConfig, ConsensusModel
from reward.consensus.network import load_consensus
from reward.demonstrations import RankedDemonstrations, load_demonstrations
from reward.pairs.preference_file import Preference, RatedAnimation, read_preferences
from reward.ranking.network import RewardTransformer, load_reward
from reward.ranking.settings import RewardConfig
from train.overoptimise.curve import ERRORS, Curve, load_curve
from train.run.config import make_config

Parts = list[bytes]
GIB = 2**30
MINI = Path(esarm_env.__file__).parent / "assets" / "synthetic-mini"


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        make: Makes a valid file in a folder and returns it.
        read: Opens a file; called with a mutated one.
        split: Takes a file apart into what may be mutated alone.
        join: Puts the parts together again, the container sound.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    split: Callable[[bytes], Parts] = lambda content: [content]
    join: Callable[[bytes, Parts], bytes] = lambda content, parts: parts[0]


def _members(content: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def _archive(content: bytes, parts: Parts) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as archive:
        for name, part in zip(old.namelist(), parts, strict=True):
            archive.writestr(name, part)
    return made.getvalue()


def _safetensors_parts(content: bytes) -> Parts:
    size = struct.unpack("<Q", content[:8])[0]
    return [content[8 : 8 + size], content[8 + size :]]


def _safetensors(_: bytes, parts: Parts) -> bytes:
    return struct.pack("<Q", len(parts[0])) + parts[0] + parts[1]


def _glb_parts(content: bytes) -> Parts:
    size = struct.unpack("<I", content[12:16])[0]
    return [content[20 : 20 + size], content[28 + size :]]


def _glb(_: bytes, parts: Parts) -> bytes:
    text = parts[0] + b" " * (-len(parts[0]) % 4)
    blob = parts[1] + b"\0" * (-len(parts[1]) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(blob), b"BIN\0") + blob
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def _tone() -> np.ndarray:
    time_s = np.arange(4800) / 16_000
    return 0.3 * np.sin(2 * np.pi * 220 * time_s)


def _sound(name: str, **how: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        soundfile.write(folder / name, _tone(), 16_000, **how)
        return folder / name

    return make


def _curves() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (12, 52)).astype(np.float32).round(3)


def _npy(folder: Path) -> Path:
    np.save(folder / "take.npy", _curves())
    return folder / "take.npy"


def _npz(folder: Path) -> Path:
    path = folder / "take.npz"
    np.savez(path, values=_curves(), names=np.array(ARKIT_NAMES), fps=np.array(30.0))
    return path


def _csv(folder: Path) -> Path:
    rows = ["timestamp," + ",".join(ARKIT_NAMES)]
    rows += [f"{i / 30:.4f}," + ",".join(map(str, row)) for i, row in enumerate(_curves())]
    path = folder / "take.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _livelink(folder: Path) -> Path:
    path = folder / "take.csv"
    write_livelink_csv(path, _curves())
    return path


def _json(folder: Path) -> Path:
    frames = [{"time": i / 30, "weights": row.tolist()} for i, row in enumerate(_curves()[:4])]
    path = folder / "take.json"
    path.write_text(json.dumps({"names": list(ARKIT_NAMES), "frames": frames}))
    return path


def _matrix_json(folder: Path) -> Path:
    path = folder / "take.json"
    document = {
        "facsNames": list(ARKIT_NAMES),
        "weightMat": _curves()[:4].tolist(),
        "exportFps": 30,
    }
    path.write_text(json.dumps(document))
    return path


def _both(path: Path) -> None:
    measure_track(path)
    read_track(path)


def _regions(folder: Path) -> Path:
    np.savez(folder / "regions.npz", lips=[1, 0], eyes=[2], forehead=[3])
    return folder / "regions.npz"


def _flame(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    shapes = {"v_template": (4, 3), "shapedirs": (4, 3, 150), "posedirs": (4, 3, 36)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    arrays |= {"J_regressor": rng.normal(size=(5, 4)), "weights": np.full((4, 5), 0.2)}
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.uint32)
    np.savez(folder / "flame.npz", f=faces, **arrays)
    return folder / "flame.npz"


def _pickle(folder: Path) -> Path:
    import pickle

    path = folder / "regions.pkl"
    path.write_bytes(pickle.dumps({"lips": np.arange(3), "eyes": np.arange(2.0)}, protocol=2))
    return path


def _sounds(folder: Path) -> Path:
    """Sounds and frame numbers as VOCASET pickles them."""
    import pickle

    path = folder / "raw_audio_fixed.pkl"
    sound = {"audio": np.arange(9, dtype=np.int16), "sample_rate": np.int64(22_000)}
    content = {"FaceTalk": {"sentence01": sound, "sentence02": {0: 3, 1: 4}}}
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def _vertices(folder: Path) -> Path:
    np.save(folder / "data_verts.npy", np.zeros((3, 4, 3), np.float32))
    return folder / "data_verts.npy"


def _read_vertices(path: Path) -> None:
    array = open_array(path)
    VertexTake("a", "a", None, path, None, path, len(array)).read(2)


def _gltf(folder: Path) -> Path:
    """A tetrahedron with 52 named targets, all in one buffer."""
    rng = np.random.default_rng(0)
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
    faces = np.array([0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3], "<u4")
    blocks = [points, faces, *rng.normal(size=(52, 4, 3)).astype("<f4")]
    blob, views, accessors = b"", [], []
    for block in blocks:
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": block.nbytes})
        kind = {"type": "SCALAR", "componentType": 5125, "count": 12}
        if block.ndim == 2:
            kind = {"type": "VEC3", "componentType": 5126, "count": 4}
        accessors.append({"bufferView": len(views) - 1, **kind})
        blob += block.tobytes()
    targets = [{"POSITION": number} for number in range(2, 54)]
    mesh = {
        "primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "targets": targets}],
        "extras": {"targetNames": list(ARKIT_NAMES)},
    }
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [mesh],
        "buffers": [{"byteLength": len(blob)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    (folder / "face.glb").write_bytes(_glb(b"", [json.dumps(document).encode(), blob]))
    return folder / "face.glb"


def _open_gltf(path: Path) -> None:
    pytest.importorskip("pygltflib")
    open_head(path, regions=_regions(path.parent))


def _text_gltf(folder: Path) -> Path:
    """The same as text, its buffer a data URI."""
    text, blob = _glb_parts(_gltf(folder).read_bytes())
    document = json.loads(text)
    uri = "data:application/octet-stream;base64," + base64.b64encode(blob).decode()
    document["buffers"][0]["uri"] = uri
    (folder / "face.gltf").write_text(json.dumps(document))
    return folder / "face.gltf"


def _ict(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    deltas = rng.normal(size=(52, 4, 3)).astype(np.float32)
    path = folder / "ict.npz"
    np.savez(path, vertices=points, faces=faces, deltas=deltas, names=np.array(ARKIT_NAMES))
    return path


def _open_ict(path: Path) -> None:
    load_ict_arrays(path, regions=_regions(path.parent))


def _compact(folder: Path) -> Path:
    shutil.copytree(MINI, folder, dirs_exist_ok=True)
    return folder / "corpus.json"


def _read_compact(path: Path) -> None:
    corpus = CompactCorpus(path.parent)
    if len(corpus):
        corpus[0]


def _curve(folder: Path) -> Path:
    figures = np.zeros((2, 3))
    errors = {name: figures for name in ERRORS}
    curve = Curve(np.arange(2), np.full(3, 4), figures, figures, errors=errors)
    curve.save(folder / "curve.npz")
    return folder / "curve.npz"


def _emotion_curve(folder: Path) -> Path:
    path = folder / "smile.csv"
    path.write_text("time_s,neutral,happy,intensity\n0,1,0,1\n0.5,0.25,0.75,2.5\n2,0,1,3\n")
    return path


def _encoder(folder: Path) -> Path:
    shape = EncoderShape(
        feature_dim=35, condition_dim=13, content_dim=4, emotion_dim=2, width=8, n_heads=2,
        n_layers=1, prosody=True,
    )  # fmt: skip
    SpeechEncoder(shape).save(folder / "encoder.safetensors")
    return folder / "encoder.safetensors"


def _policy(folder: Path) -> Path:
    config = PolicyConfig(
        n_tokens=4, tokens_per_chunk=2, window_dim=3, condition_dim=2, width=8, n_layers=1
    )
    save_policy(MotionTransformer(config), folder / "policy.safetensors")
    return folder / "policy.safetensors"


def _tokenizer(folder: Path) -> Path:
    shape = TokenizerShape(n_tokens=4, hidden=4, code_dim=4)
    VQMotionTokenizer(shape).save(folder / "prior.safetensors")
    return folder / "prior.safetensors"


def _reward(folder: Path) -> Path:
    config = RewardConfig(width=8, n_layers=1)
    RewardTransformer(config, audio_dim=3, motion_dim=4).save(folder / "reward.safetensors")
    return folder / "reward.safetensors"


def _consensus(folder: Path) -> Path:
    config = ConsensusConfig(width=8, n_layers=1, hidden=8, rank=2)
    model = ConsensusModel(config, audio_dim=3, condition_dim=2, frames=4)
    model.save(folder / "reward.safetensors")
    return folder / "reward.safetensors"


def _demonstrations(folder: Path) -> Path:
    tokens = np.arange(12).reshape(3, 4)
    trajectories = Trajectories(
        np.zeros(3, np.int64), tokens, np.full(3, 4), np.zeros((3, 2), np.float32)
    )
    RankedDemonstrations(trajectories, np.linspace(0, 1, 3)).save(folder / "ranked.npz")
    return folder / "ranked.npz"


def _preferences(folder: Path) -> Path:
    a, b = RatedAnimation("one.csv", "0" * 64), RatedAnimation("two.csv", rate_hz=60)
    line = Preference("anna-00", a, b, "a", "rater", "2026-01-01T10:00:00Z").as_line()
    path = folder / "preferences.jsonl"
    path.write_text((line + "\n") * 3)
    return path


def _config(folder: Path) -> Path:
    values = {"seed": 0, "corpus": {"size": 20}, "clone": {"epochs": 2}, "recipe": "paper"}
    (folder / "run.yaml").write_text(yaml.safe_dump(values))
    return folder / "run.yaml"


def _set(path: Path) -> None:
    """Hand the lines of a file to `--set`."""
    lines = path.read_bytes().decode(errors="surrogateescape").split("\n")
    make_config(preset="demo", overrides=[line for line in lines if line])


def _overrides(folder: Path) -> Path:
    (folder / "set.txt").write_text("clone.epochs=3\ncorpus.size=20\nimprove.algorithms=[ppo]")
    return folder / "set.txt"


def _corpus(folder: Path) -> Path:
    """A folder with two takes; its table is what is mutated."""
    for name in ("one", "two"):
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes((2**15 * _tone()).astype("<i2").tobytes() * 4)
        np.save(folder / f"{name}.npy", np.tile(_curves(), (3, 1)))
    path = folder / "metadata.csv"
    path.write_text(
        "file,speaker,emotion,intensity,text\none,anna,happy,2,Hello.\ntwo,ben,sad,1,So.\n"
    )
    return path


FORMATS = {
    "wav": Format(_sound("a.wav"), read_audio),
    "float wav": Format(_sound("a.wav", subtype="FLOAT"), read_audio),
    "flac": Format(_sound("a.flac"), read_audio),
    "ogg": Format(_sound("a.ogg"), read_audio),
    "mp3": Format(_sound("a.mp3"), read_audio),
    "npy": Format(_npy, _both),
    "npz": Format(_npz, _both, _members, _archive),
    "csv": Format(_csv, _both),
    "livelink": Format(_livelink, _both),
    "json": Format(_json, _both),
    "matrix json": Format(_matrix_json, _both),
    "corpus table": Format(_corpus, lambda path: open_corpus(path.parent)),
    "regions": Format(_regions, lambda path: read_regions(path, 4), _members, _archive),
    "flame": Format(_flame, read_flame, _members, _archive),
    "pickle": Format(_pickle, read_arrays),
    "pickled sounds": Format(_sounds, read_pickled_tree),
    "vertices": Format(_vertices, _read_vertices),
    "glb": Format(_gltf, _open_gltf, _glb_parts, _glb),
    "gltf": Format(_text_gltf, _open_gltf),
    "ict": Format(_ict, _open_ict, _members, _archive),
    "compact corpus": Format(_compact, _read_compact),
    "curve": Format(_curve, load_curve, _members, _archive),
    "emotion curve": Format(_emotion_curve, read_curve),
    "encoder": Format(_encoder, load_speech_encoder, _safetensors_parts, _safetensors),
    "policy": Format(_policy, load_policy, _safetensors_parts, _safetensors),
    "tokenizer": Format(_tokenizer, load_tokenizer, _safetensors_parts, _safetensors),
    "reward": Format(_reward, load_reward, _safetensors_parts, _safetensors),
    "consensus": Format(_consensus, load_consensus, _safetensors_parts, _safetensors),
    "demonstrations": Format(_demonstrations, load_demonstrations, _members, _archive),
    "preferences": Format(_preferences, read_preferences),
    "config": Format(_config, lambda path: make_config(preset="demo", file=path)),
    "set": Format(_overrides, _set),
}

_WORDS = [b"", b"-1", b"0", b"1e999", b"nan", b"null", b"true", b'"x"', b"[]", b"{}", b"\xff\xfe"]
_WORDS += [str(2**63).encode(), b"9" * 400, b"[" * 2000, b"0.5", b",", b"\n", b"\0", b"&a [*a]"]
_NUMBERS = [
    struct.pack(form, value)
    for form, top in (("<H", 2**16), ("<I", 2**32), (">I", 2**32), ("<Q", 2**64))
    for value in (0, 1, top // 2, top // 2 - 1, top - 1)
]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return `content` after one to four edits: overwritten, removed, repeated, cut, inserted."""
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(("overwrite", "word", "remove", "repeat", "cut", "insert"))
        at = rng.randint(0, len(content))
        end = min(len(content), at + rng.randint(1, 64))
        chunk = rng.choice([*_NUMBERS, *_WORDS, rng.randbytes(rng.randint(1, 16))])
        if kind == "overwrite":
            content = content[:at] + chunk + content[at + len(chunk) :]
        elif kind == "word":
            content = _with_word(content, at, rng.choice(_WORDS))
        elif kind == "remove":
            content = content[:at] + content[end:]
        elif kind == "repeat":
            content = content[:end] + content[at:end] * rng.randint(1, 3) + content[end:]
        elif kind == "cut":
            content = content[:at]
        else:
            content = content[:at] + chunk + content[at:]
    return content


def _with_word(content: bytes, at: int, word: bytes) -> bytes:
    """Put `word` in place of the word or number that begins at or after `at`."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+_"
    while at < len(content) and content[at] not in plain:
        at += 1
    end = at
    while end < len(content) and content[end] in plain:
        end += 1
    return content[:at] + word + content[end:]


@pytest.fixture(scope="session")
def valid_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, bytes]]:
    """Return path and content of a valid file by format; the path is overwritten in between."""

    @cache
    def made(name: str) -> tuple[Path, bytes]:
        path = FORMATS[name].make(tmp_path_factory.mktemp("format"))
        return path, path.read_bytes()

    return made


@contextmanager
def at_most(extra: int) -> Iterator[None]:
    """Let the process take `extra` bytes of address space more; beyond it, `MemoryError`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", FORMATS)
def test_the_unmutated_file_is_read(name: str, tmp_path: Path) -> None:
    """A valid file that is refused would make the test below pass for nothing."""
    kind = FORMATS[name]
    path = kind.make(tmp_path)
    content = path.read_bytes()
    kind.read(path)
    path.write_bytes(kind.join(content, kind.split(content)))
    kind.read(path)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs the memory of /proc")
@pytest.mark.parametrize("name", FORMATS)
@given(seed=st.integers(0, 2**64 - 1))
def test_a_mutated_file_is_read_or_refused(
    name: str, valid_files: Callable[[str], tuple[Path, bytes]], seed: int
) -> None:
    """Any other exception is a traceback in a user's face, or worse."""
    kind, rng = FORMATS[name], random.Random(seed)
    path, content = valid_files(name)
    parts = kind.split(content)
    chosen = rng.randint(-1, len(parts) - 1) if len(parts) > 1 else -1
    if chosen < 0:
        content = mutated(content, rng)
    else:
        parts[chosen] = mutated(parts[chosen], rng)
        content = kind.join(content, parts)
    path.write_bytes(content)
    with warnings.catch_warnings(), at_most(GIB):
        warnings.simplefilter("ignore")
        try:
            kind.read(path)
        except InputError as error:
            assert str(error)
