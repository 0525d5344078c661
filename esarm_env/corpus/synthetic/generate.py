"""Make a corpus folder: worker processes write shards, this side joins them and counts along."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import esarm_env
from esarm_env.corpus.synthetic.design import SyntheticDesign
from esarm_env.corpus.synthetic.plan import plan
from esarm_env.corpus.synthetic.worker import AUDIO_FILE, LENGTHS_FILE, MOTION_FILE
from esarm_env.processors import n_processors

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
    """Advance a bar by one for every byte, until the last worker closes its end of the pipe."""
    with Progress(console=Console(stderr=True), disable=not show, transient=True) as bar:
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
