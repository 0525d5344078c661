"""Small copy of a picture, for the docs: two thirds of its size, as WebP.

`make media` runs it on the curves that `esarm overoptimise` draws.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image


def make_small(source: Path, target: Path) -> int:
    """Write the small copy and return its size in bytes."""
    with Image.open(source) as picture:
        size = (picture.width * 2 // 3, picture.height * 2 // 3)
        small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    small.save(target, quality=80, method=6)
    return target.stat().st_size


if __name__ == "__main__":
    print(f"{sys.argv[2]}: {make_small(Path(sys.argv[1]), Path(sys.argv[2])):,} bytes")
