"""Settings of the documentation: Sphinx, MyST Markdown, the theme Furo; nothing is fetched."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import agents
import esarm_env
import reward

project = "ESARM"
author = "the ESARM authors"
version = release = esarm_env.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "module_map",
    "notebooks",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = "ESARM"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]

# Of a module with `__all__` these are the names in it, wherever they are defined; of any other
# module, what is defined there and has a docstring.
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "groupwise"
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# Docstrings are written with single backticks around code.
default_role = "code"
# A name in an annotation may be found where it is defined and where it is exported.
suppress_warnings = ["ref.python"]
# Names that a package imports on first use are unknown to autodoc until somebody has used them.
for package in (esarm_env, agents, reward):
    vars(package).update({name: getattr(package, name) for name in package.__all__})
