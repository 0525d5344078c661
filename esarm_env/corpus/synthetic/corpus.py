"""`SyntheticCorpus`: generated once by worker processes, then read from memory-mapped files.

Workers write shards; this side joins them and counts along.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import esarm_env
from esarm_env.core.cache import drop_folder, file_digest, new_folder
from esarm_env.core.errors import InputError, one_line
from esarm_env.core.processors import n_processors
from esarm_env.core.progress import open_progress
from esarm_env.core.types import N_CHANNELS, BoolArray, IntArray, Record, Utterance
from esarm_env.corpus.splits import check_split, parallel_groups
from esarm_env.corpus.synthetic.design import SyntheticDesign, plan, synthetic_design
from esarm_env.corpus.synthetic.espeak import espeak_version
from esarm_env.corpus.synthetic.rules import RULES_VERSION
from esarm_env.corpus.synthetic.worker import (
    AUDIO_FILE,
    AUDIO_SCALE,
    AUDIO_TYPE,
    LENGTHS_FILE,
    MOTION_FILE,
    MOTION_TYPE,
)

INDEX_FILE = "index.json"
_FEWEST_PER_WORKER = 16  # starting a worker costs about as much as a dozen utterances
_WORKER_MODULE = "esarm_env.corpus.synthetic.worker"
# Sums split over threads would make the last bit depend on the machine, and the workers already
# use every processor.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def generate(
    design: SyntheticDesign, folder: Path, *, n_workers: int | None, progress: bool
) -> None:
    """Write the audio, motion and index of `design` into `folder`, which exists and is empty.

    Args:
        design: What to make.
        folder: Where to.
        n_workers: Processes; None takes one per processor this process may use, fewer for a small
            corpus. The bytes written do not depend on it.
        progress: Whether to show a bar (on standard error).

    Raises:
        RuntimeError: If a worker fails; the message ends with what it said.
    """
    if n_workers is None:
        n_workers = min(n_processors(), max(1, design.size // _FEWEST_PER_WORKER))
    shards = [folder / f"shard-{number}" for number in range(n_workers)]
    for shard in shards:
        shard.mkdir()
    _run_workers(design, shards, progress=progress)
    lengths = [pair for shard in shards for pair in json.loads((shard / LENGTHS_FILE).read_text())]
    digest = hashlib.sha256()
    for name in (AUDIO_FILE, MOTION_FILE):
        _join([shard / name for shard in shards], folder / name, digest)
    utterances = [
        {"id": line.id, "n_samples": n_samples, "n_frames": n_frames, **asdict(line)}
        for line, (n_samples, n_frames) in zip(plan(design), lengths, strict=True)
    ]
    digest.update(json.dumps([utterances, design.sentences]).encode())
    index = {
        "name": design.name,
        "sentences": design.sentences,
        "content_hash": digest.hexdigest(),
        "digests": _digests(folder, utterances, design.sentences),
        "utterances": utterances,
    }
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=1))
    for shard in shards:
        shutil.rmtree(shard)


def _run_workers(design: SyntheticDesign, shards: list[Path], *, progress: bool) -> None:
    """Run one worker per shard to the end; an exception here ends them all."""
    read_end, write_end = os.pipe()
    workers = []
    try:
        for number, shard in enumerate(shards):
            arguments = [design.name, design.size, design.seed, number, len(shards), shard]
            with open(shard / "errors.txt", "wb") as errors:
                workers.append(
                    subprocess.Popen(
                        [sys.executable, "-m", _WORKER_MODULE, *map(str, arguments)],
                        cwd=Path(esarm_env.__file__).parents[1],
                        env={**os.environ, **_ONE_THREAD},
                        stdin=subprocess.DEVNULL,
                        stdout=write_end,
                        stderr=errors,
                    )
                )
        os.close(write_end)
        write_end = -1
        _count_along(read_end, design, show=progress)
        for worker, shard in zip(workers, shards, strict=True):
            if worker.wait() != 0:
                said = (shard / "errors.txt").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"a worker must exit with 0, got {worker.returncode}:\n{said}")
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for end in (read_end, write_end):
            if end >= 0:
                os.close(end)


def _count_along(read_end: int, design: SyntheticDesign, *, show: bool) -> None:
    """Advance a progress bar by one per byte, until the last worker closes the pipe."""
    with open_progress(show=show) as bar:
        task = bar.add_task(f"Making {design.name}", total=design.size)
        while finished := os.read(read_end, 4096):
            bar.advance(task, len(finished))


def _join(parts: list[Path], target: Path, digest: hashlib._Hash) -> None:
    """Append `parts` to `target` and feed them to `digest`."""
    with open(target, "wb") as output:
        for part in parts:
            with open(part, "rb") as source:
                while chunk := source.read(1 << 20):
                    digest.update(chunk)
                    output.write(chunk)


class SyntheticCorpus:
    """A generated corpus in a folder; see `open_synthetic`.

    Pickles as its folder, so that it can be handed to other processes.

    Attributes:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = json.loads((folder / INDEX_FILE).read_text())
        rows: list[dict[str, Any]] = index["utterances"]
        self._name: str = index["name"]
        self._content_hash: str = index["content_hash"]
        self._records = tuple(
            Record(
                id=row["id"],
                speaker=f"S{row['speaker'] + 1:02d}",
                emotion=row["emotion"],
                intensity=row["intensity"],
                text=index["sentences"][row["sentence"]],
                n_frames=row["n_frames"],
            )
            for row in rows
        )
        self._split_names = np.array([row["split"] for row in rows])
        self._sample_offsets = np.cumsum([0] + [row["n_samples"] for row in rows])
        self._frame_offsets = np.cumsum([0] + [row["n_frames"] for row in rows])
        self._audio = np.memmap(folder / AUDIO_FILE, AUDIO_TYPE, mode="r")
        motion = np.memmap(folder / MOTION_FILE, MOTION_TYPE, mode="r")
        self._motion = motion.reshape(-1, N_CHANNELS)

    @property
    def name(self) -> str:
        """Name the corpus was opened by."""
        return self._name

    @property
    def records(self) -> tuple[Record, ...]:
        """One record per utterance, in the order of the indices."""
        return self._records

    @property
    def captured(self) -> BoolArray:
        """Shape (52,), all True: the rules set every channel."""
        return np.ones(N_CHANNELS, dtype=np.bool_)

    @property
    def content_hash(self) -> str:
        """SHA-256 over audio, motion and labels."""
        return self._content_hash

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Utterance:
        if not -len(self) <= index < len(self):
            raise IndexError(f"`index` must be in 0..{len(self) - 1}, got {index}")
        index = int(index) % len(self)
        samples = self._audio[self._sample_offsets[index] : self._sample_offsets[index + 1]]
        frames = self._motion[self._frame_offsets[index] : self._frame_offsets[index + 1]]
        return Utterance(
            record=self._records[index],
            audio=samples.astype(np.float32) / np.float32(AUDIO_SCALE),
            motion=frames.astype(np.float32),
            captured=self.captured,
        )

    def split(self, name: str) -> IntArray:
        """Return the utterance indices of `train`, `validation` or `test`, ascending."""
        return np.flatnonzero(self._split_names == check_split(name)).astype(np.int64)

    def parallel_groups(self) -> list[IntArray]:
        """Return the utterances that share speaker and sentence, two emotions or more each.

        Indices ascend in a group; a group never crosses splits.
        """
        return parallel_groups(self._records, [record.text for record in self._records])

    def __reduce__(self) -> tuple[type[SyntheticCorpus], tuple[Path]]:
        return SyntheticCorpus, (self.folder,)


def open_synthetic(
    name: str,
    *,
    size: int | None = None,
    seed: int = 0,
    cache_dir: Path,
    n_workers: int | None = None,
    progress: bool = True,
) -> SyntheticCorpus:
    """Open a synthetic corpus, generated on first use and kept in `cache_dir`.

    Args:
        name: `synthetic-mead` or `synthetic-ravdess`.
        size: Number of utterances; None for the design's own, see `synthetic_design`.
        seed: Draws other speakers, timing and noise.
        cache_dir: Holds the generated corpora; made if absent.
        n_workers: Worker processes; None for one per processor. The result does not depend on it.
        progress: Whether to show a bar while it is made.

    Raises:
        InputError: If an argument is out of its range.
        MissingExtraError: If `espeakng-loader` is not installed.
    """
    if n_workers is not None and n_workers < 1:
        raise InputError(f"`n_workers` must be at least 1, got {n_workers}")
    design = synthetic_design(name, size=size, seed=seed)
    folder = cache_dir.resolve() / "synthetic" / f"{name}-{design.size}-{_key(design)}"
    if folder.is_dir():
        try:
            return _checked(SyntheticCorpus(folder))
        except (OSError, ValueError, LookupError, TypeError) as error:
            warnings.warn(
                f"{folder}: must hold the corpus that was made, got {one_line(error)}; it is made "
                "anew",
                stacklevel=2,
            )
            drop_folder(folder)
    with new_folder(folder) as draft:
        generate(design, draft, n_workers=n_workers, progress=progress)
    return SyntheticCorpus(folder)


def _checked(corpus: SyntheticCorpus) -> SyntheticCorpus:
    """Return `corpus`, of which every file is as it was made.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If one has changed.
    """
    index = json.loads((corpus.folder / INDEX_FILE).read_text(encoding="utf-8"))
    found = _digests(corpus.folder, index["utterances"], index["sentences"])
    if index.get("digests") != found:
        raise ValueError("other content")
    return corpus


def _digests(folder: Path, utterances: Any, sentences: Any) -> dict[str, str]:
    """Return the SHA-256 of every part of a corpus by name."""
    labels = hashlib.sha256(json.dumps([utterances, sentences]).encode()).hexdigest()
    arrays = {name: file_digest(folder / name) for name in (AUDIO_FILE, MOTION_FILE)}
    return arrays | {"labels": labels}


def _key(design: SyntheticDesign) -> str:
    """Return the cache key: a hash of all that decides the corpus's content."""
    parts = [asdict(design), RULES_VERSION, espeak_version()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
