"""VOCASET layout: vertices over time, to which 52 coefficients are fitted on the user's head.

There is no emotion in these corpora, so every take is neutral. Opening a folder for the first time
fits all its takes; afterwards they lie in the cache, and vertices are not read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.core.progress import track
from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.metadata import FILE
from esarm_env.corpus.layouts.pairing import Found
from esarm_env.corpus.takes import Fault, Take
from esarm_env.corpus.vertices.folders import describe_files, vertex_places
from esarm_env.corpus.vertices.recordings import subject_of

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import Tree
    from esarm_env.corpus.vertices.fitting import Fit

_BAR_FROM = 20  # takes to fit


def recognises_vertices(tree: Tree) -> bool:
    """Return whether a folder holds recordings of vertices."""
    return bool(vertex_places(tree))


@dataclass(frozen=True)
class VertexLayout(Layout):
    """Layout whose motion is made: fitted to vertices, on a head."""

    fits_vertices: bool = True

    def find(self, tree: Tree, head: str | None = None) -> Found:
        """Return the takes of `tree`, their motion being fits in the cache.

        Raises:
            InputError: If `head` is none, or not the recordings', or the folder cannot be used.
        """
        # Here, as every folder that is opened asks each layout whether it is its.
        from esarm_env.corpus.vertices.fitting import Fitter
        from esarm_env.corpus.vertices.meshes import open_meshes

        meshes = open_meshes(tree, head)
        fitter = Fitter(meshes)
        faults = [*meshes.faults]
        if any(entry.lower() == FILE for entry in tree.entries):
            faults.append(Fault(FILE, f"is not read in the layout {self.name!r}"))
        takes: list[Take] = []
        fits: dict[str, Fit] = {}
        for take in track(meshes.takes, "Fitting takes", show=len(meshes.takes) >= _BAR_FROM):
            try:
                motion, fits[take.id] = fitter.fitted(take)
            except InputError as error:
                faults.append(Fault(take.id, str(error)))
                continue
            subject, _ = subject_of(take.id)
            takes.append(
                Take(take.id, audio=take.audio, motion=motion, speaker=subject, split=take.split)
            )
        ordered = tuple(sorted(faults, key=lambda fault: fault.source))
        return Found(self.name, tuple(takes), ordered, fits=fits)


LAYOUT = VertexLayout(
    "vocaset",
    "data_verts.npy, subj_seq_to_idx.pkl, raw_audio_fixed.pkl and templates.pkl, or "
    "vertices_npy/NAME.npy, wav/NAME.wav and templates.pkl; with a head of as many vertices",
    recognises_vertices,
    describe_files,
)
