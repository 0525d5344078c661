"""What a corpus layout is: how to recognise a folder, and which take each of its files belongs to.

A module of its own, since every layout defines one and the registry imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esarm_env.corpus.layouts.metadata import apply_metadata
from esarm_env.corpus.layouts.pairing import Describe, Found, pair_files

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import Tree


@dataclass(frozen=True)
class Layout:
    """How a corpus lies in its folder.

    Attributes:
        name: What a user calls it.
        expects: One line for errors: what the folder must look like.
        recognises: Tells whether a folder is laid out like this.
        describe: Gives what tells of each file of a folder which take it belongs to.
        has_metadata: Whether `metadata.csv` in the folder changes the labels. Not so where labels
            are part of the corpus: a table there is somebody else's.
        fits_vertices: Whether its motion is fitted to vertices on a head that the user names; its
            `find` takes the head's name as `head` then.
    """

    name: str
    expects: str
    recognises: Callable[[Tree], bool]
    describe: Callable[[Tree], Describe]
    has_metadata: bool = False
    fits_vertices: bool = False

    @property
    def description(self) -> str:
        """What the folder must look like, for lists of plug-ins."""
        return self.expects

    def find(self, tree: Tree) -> Found:
        """Return the takes of `tree` and what was left out.

        Raises:
            InputError: If `metadata.csv` is wrong.
        """
        found = pair_files(tree, self.describe(tree), layout=self.name)
        return apply_metadata(tree, found) if self.has_metadata else found
