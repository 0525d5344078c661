"""Notebooks as pages: text cells as they are, code cells as Python blocks; nothing is executed.

The tests execute the notebooks, so the pages need no kernel and no Jupyter.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from myst_parser.parsers.sphinx_ import MystParser

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


def markdown_of(notebook: dict[str, Any]) -> str:
    """Return the cells of a notebook as one Markdown text."""
    blocks = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).rstrip()
        blocks.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
    return "\n\n".join(blocks) + "\n"


class NotebookParser(MystParser):
    """A parser of `.ipynb` files, by way of Markdown."""

    supported = ("ipynb",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse the JSON text of a notebook into `document`."""
        super().parse(markdown_of(json.loads(inputstring)), document)


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx read `.ipynb` beside `.md`."""
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
