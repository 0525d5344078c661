"""The one error that means "what you gave us cannot be used".

The command line turns it into a single line and exit code 2; a library caller catches it as the
`ValueError` it is.
"""


class InputError(ValueError):
    """An input of the user breaks a rule; the message names it, the rule, the value, the remedy."""


class MissingExtraError(ImportError):
    """An optional dependency is absent; the message holds the exact pip line."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        """Say which `package` is missing, what for, and how to install the `extra` with it."""
        super().__init__(f"{purpose} needs `{package}`: run `pip install 'esarm[{extra}]'`")
