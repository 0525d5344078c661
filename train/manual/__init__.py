"""The manual of the command line: help pages, the list of settings, completions for shells.

- `docstrings`: what a docstring says, in parts: summary, paragraphs, and a text for each name.
- `options`: options of a command, as its signature and docstrings tell them.
- `checks`: checks of a command line before it is parsed: a line for what is mistyped.
- `pages`: help pages of 80 columns: of a command, and of all commands.
- `settings`: `esarm settings`: every key of `--set` with type, default and meaning.
- `completion`: `esarm completion`: scripts that complete commands and options in a shell.
"""
