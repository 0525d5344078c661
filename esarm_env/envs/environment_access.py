"""Access to single environments of a vector environment by name: attributes and methods by row.

`SyncVectorEnv` asks each of its environments. The native one has none, so an attribute is shared by
all rows unless it was set for some; what would change one row of what all share is refused.
"""

from __future__ import annotations

from typing import Any, Protocol

from esarm_env.core.errors import InputError

# Of a method's result: a row per environment, or one answer that is right for every environment.
METHODS_BY_ROW = frozenset({"action_masks", "render"})
SHARED_METHODS = frozenset({"score_tokens", "score_terms", "score_streams", "score_chunks"})
_OF_ONE = {"observation_space": "single_observation_space", "action_space": "single_action_space"}
_REFUSED = {
    "reset": "`reset(options={'reset_mask': ...})` resets some of them",
    "step": "environments step together",
    "close": "environments close together",
}


class _Rows(Protocol):
    num_envs: int


class EnvironmentAccess:
    """`call`, `get_attr` and `set_attr` of a vector environment whose rows share one object."""

    _notes: dict[str, dict[int, Any]]

    def call(self: _Rows, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method of every environment, or get an attribute, as `SyncVectorEnv.call`.

        Raises:
            InputError: If environments cannot do it alone (`reset`, `step`, `close`).
        """
        rows = range(self.num_envs)
        return tuple(answers(self, name, rows, n_rows=self.num_envs, args=args, kwargs=kwargs))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Return an attribute of every environment, as `SyncVectorEnv.get_attr`."""
        return self.call(name)  # type: ignore[misc]  # of a vector environment, which has rows

    def set_attr(self: _Rows, name: str, values: Any) -> None:
        """Set an attribute: a list or tuple holds one value per environment.

        Raises:
            InputError: If there is another number of values, or they differ and the attribute is
                one that all environments share.
        """
        if not isinstance(values, list | tuple):
            values = [values] * self.num_envs
        if len(values) != self.num_envs:
            raise InputError(f"`values` must be one value or {self.num_envs}, got {len(values)}")
        set_by_row(self, name, dict(enumerate(values)), n_rows=self.num_envs)


def attribute_of(owner: Any, name: str, row: int) -> Any:
    """Return the attribute that environment `row` of `owner` has.

    Raises:
        AttributeError: If it has none.
    """
    notes = owner.__dict__.get("_notes", {}).get(name)
    if notes is not None:
        if row in notes:
            return notes[row]
        raise AttributeError(f"environment {row} has no attribute {name!r}, other ones have")
    return getattr(owner, _OF_ONE.get(name, name))


def set_by_row(owner: Any, name: str, values: dict[int, Any], *, n_rows: int) -> None:
    """Set attribute `name` of some environments of `owner` and of no other.

    What `owner` has itself, all environments share; any other name is kept by row.

    Args:
        owner: A vector environment without environments of its own.
        name: Of the attribute.
        values: By row.
        n_rows: How many environments there are.

    Raises:
        InputError: If the attribute is shared and not all environments are to get one value.
    """
    notes: dict[str, dict[int, Any]] = owner.__dict__.setdefault("_notes", {})
    is_set_elsewhere = hasattr(type(owner), name)  # also what `hasattr` of the object denies
    if name not in notes and (is_set_elsewhere or hasattr(owner, name)):
        first, *others = values.values()
        if len(values) < n_rows or any(value is not first for value in others):
            raise InputError(
                f"`{name}` must be set for all environments at once, which share it, got "
                f"{len(values)} of {n_rows} or several values; leave `indices` out, or use "
                "`DummyVecEnv` (`SyncVectorEnv`), whose environments are objects of their own"
            )
        setattr(owner, name, first)
        return
    notes.setdefault(name, {}).update(values)


def answers(
    owner: Any,
    name: str,
    rows: Any,
    *,
    n_rows: int,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> list[Any]:
    """Return what method (or attribute) `name` of `owner` says of each of `rows`.

    Raises:
        InputError: If the method would act on other environments than those.
    """
    found = [attribute_of(owner, name, row) for row in rows]
    if not found or not callable(found[0]):
        return found
    if name in _REFUSED:
        raise InputError(
            f"`{name}` must not be called for single environments of {type(owner).__name__}; "
            f"{_REFUSED[name]}"
        )
    if name not in METHODS_BY_ROW | SHARED_METHODS and len(found) < n_rows:
        raise InputError(
            f"`{name}` must be called for all environments at once, got {len(found)} of {n_rows}: "
            f"a method of {type(owner).__name__} acts on all of them; leave `indices` out, or use "
            "`DummyVecEnv`, whose environments are objects of their own"
        )
    result = found[0](*args, **kwargs)
    if name not in METHODS_BY_ROW:
        return [result for _ in rows]
    return [None if result is None else result[row] for row in rows]
