"""Sizes of a tokenizer: what a weight file notes, and what its networks are built from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from esarm_env.core.deprecation import renamed_fields
from esarm_env.core.types import MOUTH, UPPER

QUANTISERS = ("rvq", "fsq")
# Earlier versions had one number of codebooks for both streams.
SHARED_CODEBOOKS = {"codebooks_per_stream": ("mouth_codebooks", "upper_codebooks")}
_MAY_BE_ZERO = ("blocks",)
_LEVELS = range(8, 1, -1)  # values of one dimension of a finite scalar quantiser


@renamed_fields(**SHARED_CODEBOOKS)
@dataclass(frozen=True)
class TokenizerShape:
    """Network sizes of a tokenizer.

    The defaults of what older versions did not know are what these did: their weight files are
    read with them.

    Attributes:
        n_tokens: Codes per codebook, the size of the action space.
        frames_per_chunk: Frames at 30 fps that one chunk covers.
        mouth_codebooks: Residual codebooks of the mouth; 2 are coarse and fine.
        upper_codebooks: Residual codebooks of the upper face.
        hidden: Width of the convolutions.
        code_dim: Width of a code vector.
        blocks: Residual blocks of dilated convolutions on each side of the quantiser.
        quantiser: `rvq`, residual vector quantisation, or `fsq`, residual finite scalar
            quantisation, whose codes are a grid and need no training.
        causal: Whether the decoder sees no chunk after the one it decodes.
        linear_path: Whether a linear map of each chunk lies beside the convolutions on both sides
            of the quantiser; it begins as the principal components of the training motion in
            millimetres, and the convolutions begin with nothing.
        search_width: Sums of codes that are followed while motion is encoded by `rvq`; 1 takes the
            nearest code of each codebook in turn.
    """

    n_tokens: int = 96
    frames_per_chunk: int = 4
    mouth_codebooks: int = 2
    upper_codebooks: int = 2
    hidden: int = 128
    code_dim: int = 32
    blocks: int = 0
    quantiser: str = "rvq"
    causal: bool = False
    linear_path: bool = False
    search_width: int = 1

    def __post_init__(self) -> None:
        """Check that every size is at least 1, and that the quantiser can have `n_tokens` codes."""
        for name, value in asdict(self).items():
            least = 0 if name in _MAY_BE_ZERO else 1
            if isinstance(value, int) and not isinstance(value, bool) and value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}")
        for name in ("causal", "linear_path"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"`{name}` must be true or false, got {getattr(self, name)!r}")
        if self.quantiser not in QUANTISERS:
            known = " or ".join(f"`{name}`" for name in QUANTISERS)
            raise ValueError(f"`quantiser` must be {known}, got {self.quantiser!r}")
        _ = self.levels  # which refuses what no grid has

    @property
    def codebooks(self) -> dict[str, int]:
        """Codebooks by stream, in the order of the slots of a chunk."""
        return {MOUTH: self.mouth_codebooks, UPPER: self.upper_codebooks}

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels of the grid of `fsq`; none for `rvq`."""
        return levels_of(self.n_tokens) if self.quantiser == "fsq" else ()

    def known_sizes(self) -> dict[str, Any]:
        """Return the sizes by name as a version that can build this network knows them.

        A network that older versions could build is noted in their words: its weight files can be
        exchanged with them, and its digest stays the same.
        """
        newer = ("blocks", "quantiser", "causal", "linear_path", "search_width")
        plain = TokenizerShape()
        if self.mouth_codebooks != self.upper_codebooks or any(
            getattr(self, name) != getattr(plain, name) for name in newer
        ):
            return asdict(self)
        sizes: dict[str, Any] = {}
        for field in fields(self):
            if field.name == "mouth_codebooks":
                sizes["codebooks_per_stream"] = self.mouth_codebooks
            elif field.name not in ("upper_codebooks", *newer):
                sizes[field.name] = getattr(self, field.name)
        return sizes


def levels_of(n_tokens: int) -> tuple[int, ...]:
    """Return the levels of a finite scalar quantiser of `n_tokens` codes, largest first.

    Their product is `n_tokens`, each is 2 to 8; the fewest dimensions, as even as they can be.

    Raises:
        ValueError: If there are none, naming the nearest numbers that have some.
    """
    found = _levels(n_tokens)
    if found is not None:
        return found
    numbers = _products(2 * max(n_tokens, 1) + 2)
    below = max((n for n in numbers if n < n_tokens), default=None)
    above = min(n for n in numbers if n > n_tokens)
    near = " or ".join(str(n) for n in (below, above) if n is not None)
    raise ValueError(
        f"`n_tokens` must be a product of numbers from 2 to 8 for `quantiser` fsq, got {n_tokens}; "
        f"take {near}"
    )


def _products(bound: int) -> list[int]:
    """Return the numbers from 2 to `bound` that are products of numbers from 2 to 8."""
    found = {1}
    for prime in (2, 3, 5, 7):
        for number in sorted(found):
            while number * prime <= bound:
                number *= prime
                found.add(number)
    return sorted(found - {1})


def _levels(n_tokens: int) -> tuple[int, ...] | None:
    if n_tokens < 2:
        return None
    for n_dims in range(1, math.ceil(math.log2(n_tokens)) + 1):
        choices = list(_factors(n_tokens, n_dims, 8))
        if choices:
            return min(choices, key=lambda levels: levels[0] - levels[-1])
    return None


def _factors(product: int, n_dims: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Yield the descending tuples of `n_dims` levels up to `largest` with this product."""
    if n_dims == 1:
        if 2 <= product <= largest:
            yield (product,)
        return
    for level in _LEVELS:
        if level <= largest and product % level == 0:
            for rest in _factors(product // level, n_dims - 1, level):
                yield (level, *rest)
