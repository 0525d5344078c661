"""What all pages share: the run, the folder, sounds, heads, policies and jobs."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.run_layout import CONFIG_FILE, STAGES, partial_folder
from train.studio.access import Shelf
from train.studio.heads import OWN, Heads
from train.studio.jobs import Jobs
from train.studio.judging.study import Study
from train.studio.policies import Policies
from train.studio.sounds import Sounds
from train.studio.takes import formats


class Studio:
    """One studio, as long as its server runs.

    Attributes:
        run: The run folder, None where there is none.
        shelf: The chosen folder of speech, None where there is none.
        sounds: Speech that was dropped or chosen.
        heads: Heads that can be drawn.
        policies: Policies that animate.
        jobs: What is being animated.
        study: What raters judge.
        temporary: Folder of uploads; it goes with the studio.
        kept: What a page keeps for itself, by its name.
        formats: In which takes can be written, as `formats` tells them.
    """

    def __init__(
        self,
        run: Path | None = None,
        *,
        folder: Path | None = None,
        preferences: Path | None = None,
    ) -> None:
        """Open a studio; no policy is loaded.

        Args:
            run: A run folder, finished or still in training.
            folder: Of speech, and of heads, to choose from.
            preferences: File of the answers of raters; by default in the run folder.

        Raises:
            InputError: If there is no such folder.
        """
        if run is not None and not run.is_dir():
            raise InputError(
                f"{run}: must be a run folder, got none of that name; leave it out to animate with "
                "the policy that ships with the package"
            )
        if run is not None and not _may_be_run(run):
            raise InputError(
                f"{run}: must be a run folder (with {CONFIG_FILE}), got another folder; one of "
                f"speech goes with --folder {run}"
            )
        self.run = run
        self.shelf = None if folder is None else Shelf(folder)
        self.sounds, self.heads = Sounds(), Heads(self.shelf)
        self.policies, self.jobs = Policies(run), Jobs()
        self.study = Study(run, preferences)
        self._folder = tempfile.TemporaryDirectory(prefix="esarm-studio-")
        self.temporary = Path(self._folder.name)
        self.kept: dict[str, Any] = {}
        # Here, before there are threads: USD's library lets other threads run while it is loaded,
        # and one of them that needs the loader's lock, as numpy's sums do, waits for good.
        self.formats = formats()
        self.ready = threading.Event()
        self.fault: str | None = None

    def start(self) -> None:
        """Start the thread that animates; it first loads what the first animation needs."""
        self.jobs.start(self._warm_up)

    def close(self) -> None:
        """Cancel what waits, and delete uploads."""
        self.jobs.stop()
        self.study.close()
        self._folder.cleanup()

    def to_dict(self) -> dict[str, Any]:
        """Return what the page is told when it is opened."""
        return {
            "run": None if self.run is None else self.run.resolve().name,
            "folder": None if self.shelf is None else self.shelf.folder.name,
            "policies": [vars(choice) for choice in self.policies.choices()],
            "conditions": self.policies.conditions(),
            "lack": self.policies.lack(),
            "heads": self.heads.names(),
            "sounds": [] if self.shelf is None else self.shelf.sounds(),
            "formats": self.formats,
            "ready": self.ready.is_set(),
            "fault": self.fault,
        }

    def _warm_up(self) -> None:
        """Load head and policy; what fails here fails again, with its message, in the first job."""
        try:
            self.heads.packed(OWN)
            self.policies.warm_up()
        except (InputError, MissingExtraError, OSError) as error:
            self.fault = one_line(error)
        finally:
            self.ready.set()


def _may_be_run(folder: Path) -> bool:
    """Return whether a folder holds a part of a run, or nothing yet."""
    parts = (CONFIG_FILE, *STAGES, *(partial_folder(folder, stage).name for stage in STAGES))
    names = {path.name for path in folder.iterdir()}
    return not names or not names.isdisjoint(parts)
