"""What the examples of the pages take for granted: recordings, runs, a folder of predictions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from esarm_env import open_task
from esarm_env.face.exporters import write_motion
from tests.esarm_env.corpus.vertices.conftest import OFFICIAL, make_miniature
from tests.hub_stand_in import HubStandIn
from train.sharing.parts import push_run

RATE_HZ = 16_000
SMILE = "time_s,neutral,happy\n0,1,0\n60,0,1\n"
STILL = np.zeros((12, 52), np.float32)
OWN_ALGORITHM = """
from agents import SequenceReinforce

class AdvantageWeightedRegression(SequenceReinforce):
    \"\"\"Stands for that of the notebook.\"\"\"
"""


@dataclass
class Belongings:
    """Makes, in the working folder, the files that a text names.

    Attributes:
        run: A finished run on `recordings`, as small as can be.
        recordings: A folder of recordings.
        speak: Makes speech: seconds to samples (n,) at 16 kHz.
        streaming: A run that streams, finished up to its clone, where it is wanted.
        hub: The stand-in, where it is wanted; a run is pushed to it under the name that is read.
    """

    run: Path
    recordings: Path
    speak: Callable[..., Any]
    streaming: Path = Path()
    hub: HubStandIn | None = None

    def place(self, text: str) -> None:
        """Make whatever `text` names and an example does not make itself."""
        makers: dict[str, Callable[[Path], object]] = {
            "speech.wav": self._sound,
            "my_voice.wav": self._sound,
            "new.wav": self._sound,
            "smile.csv": lambda path: path.write_text(SMILE, encoding="utf-8"),
            "awr.py": lambda path: path.write_text(OWN_ALGORITHM, encoding="utf-8"),
            "recordings/ann": self._voices,
            "voices": self._voices,
            "accents/en-029/learn": self._voices,
            "accents/en-029/measure": self._voices,
            "my_speech": lambda path: self._voices(path / "audio"),
            "my/recordings": self._recordings,
            "new/place": self._recordings,
            "recordings/": self._recordings,
            "runs/demo": self._run,
            "runs/mine": self._run,
            "runs/demo/tune/improve/best.yaml": self._best,
            "runs/mine/judged/preferences.jsonl": lambda path: self._judged(path.parent),
            "runs/demo/judged": self._judged,
            "runs/demo/seeds/1": lambda path: as_seed(self.run, 1, path),
            "runs/demo/seeds/2": lambda path: as_seed(self.run, 2, path),
            "--table tables/one": self._table,
            '"runs/streaming"': lambda path: shutil.copytree(self.streaming, "runs/streaming"),
            '"my-face"': self._export,
            "--run my-face": self._export,
            "VOCASET/": self._vertices,
            "captured.csv": lambda path: write_motion(path, STILL),
            "prediction.npy": lambda path: write_motion(path, STILL),
            "predictions": self._predictions,
            "my/predictions": self._predictions,
        }
        reads = "hf://ann/my-face" in text or "esarm pull ann/my-face" in text
        if self.hub is not None and reads and "ann/my-face" not in self.hub.repositories:
            push_run(self.run, "ann/my-face", part="task", policy="auto")
        for name, make in makers.items():
            path = Path(name)
            if name in text and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                make(path)

    def _sound(self, path: Path) -> None:
        soundfile.write(path, self.speak(1.2), RATE_HZ)

    def _voices(self, path: Path) -> None:
        path.mkdir(parents=True)
        for number in range(3):
            seed = 10 * len(path.name) + number  # no two folders hold the same
            soundfile.write(path / f"{number}.wav", self.speak(1.2, seed=seed), RATE_HZ)

    def _recordings(self, path: Path) -> None:
        shutil.copytree(self.recordings, path)

    def _run(self, path: Path) -> None:
        shutil.copytree(self.run, path)

    def _best(self, path: Path) -> None:
        """Let a sweep have found the settings that the run has."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.run / "config.yaml", path)

    def _judged(self, path: Path) -> None:
        """Let two raters judge animations of the run that the folder is in."""
        from train.bench.raters.simulated import TASTES, SimulatedRaters
        from train.preferences.pool import make_pool

        pool = make_pool(path.parent, path, samples=2, decodings=("greedy", "sampled"))
        SimulatedRaters(pool, TASTES["raised-brows"], n_raters=2, noise=0.1, seed=0).answer(12)

    def _export(self, path: Path) -> None:
        from train.cli import main

        del path  # an option stands before it, or quotes around it
        main(["export", str(self.run), "-o", "my-face"])

    def _predictions(self, path: Path) -> None:
        path.mkdir(parents=True)
        task = open_task(self.run)
        for index in task.corpus.split("test"):
            utterance = task.corpus[int(index)]
            np.save(path / f"{utterance.record.id}.npy", utterance.motion)

    def _table(self, path: Path) -> None:
        from train.cli import main

        del path  # an option stands before it
        main(["table1", "--out", "tables/one", "--corpora", "synthetic-mead", "--seeds", "0"])

    def _vertices(self, path: Path) -> None:
        make_miniature(*OFFICIAL, n_frames=72).write_published(path)
        Path("predictions").mkdir()
        np.save(Path("predictions", f"{OFFICIAL[-1]}.npy"), np.zeros((36, 52), np.float32))


def as_seed(run: Path, seed: int, to: Path) -> None:
    """Copy a run as if it had been trained under another seed."""
    shutil.copytree(run, to)
    file = to / "config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "seed": seed}))
