"""The README's pictures: one moves, all are small, and a command makes them anew."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "_ext" / "talking_head.py"
PICTURE = ROOT / "docs" / "pictures" / "two_emotions.webp"
MOST_BYTES = 400_000


def _script(name: str = "talking_head") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPT.with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None, "it is a Python file"
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_picture_moves_and_is_small() -> None:
    """Everybody who opens the page waits for it."""
    image = pytest.importorskip("PIL.Image", reason="the extra `render` is not installed")
    with image.open(PICTURE) as picture:
        assert picture.n_frames > 30 and picture.size == (512, 316)
    assert PICTURE.stat().st_size < MOST_BYTES
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"!\[[^\]]+\]\(docs/pictures/two_emotions\.webp\)", readme)
    assert f"_ext/{SCRIPT.name}" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_script_draws_each_emotion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that has stopped working shows when the picture must be made anew."""
    image = pytest.importorskip("PIL.Image", reason="the extra `render` is not installed")
    script = _script()
    monkeypatch.setattr(script, "SIDE", 64)
    n_bytes = script.make_picture(tmp_path / "new" / "picture.webp", most_frames=3)
    assert n_bytes == (tmp_path / "new" / "picture.webp").stat().st_size
    with image.open(tmp_path / "new" / "picture.webp") as picture:
        assert picture.n_frames == 2 and picture.size == (128, 124)
        happy, angry = (picture.convert("RGB").crop((x, 30, x + 64, 94)) for x in (0, 64))
    assert happy.tobytes() != angry.tobytes()


def test_the_strip_has_a_row_for_each_emotion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows alike would show that the emotion went unheard."""
    image = pytest.importorskip("PIL.Image", reason="the extra `render` is not installed")
    script = _script()
    for name, value in (("SIDE", 64), ("STILL", 32), ("NAME", 64)):
        monkeypatch.setattr(script, name, value)
    script.make_strip(tmp_path / "strip.webp", emotions=("happy", "angry"), moments=3)
    with image.open(tmp_path / "strip.webp") as picture:
        assert picture.size == (32 * 4, 64)
        rows = [picture.convert("RGB").crop((32, y, 128, y + 32)) for y in (0, 32)]
    assert rows[0].tobytes() != rows[1].tobytes()


def test_all_pictures_together_are_small() -> None:
    """Everybody who clones the repository waits for them."""
    pictures = list(PICTURE.parent.glob("*.webp"))
    assert len(pictures) >= 4
    assert sum(picture.stat().st_size for picture in pictures) < 3_000_000


def test_a_small_copy_is_two_thirds_of_the_size(tmp_path: Path) -> None:
    """Curves at the size of a report would be the largest of all pictures."""
    image = pytest.importorskip("PIL.Image", reason="the extra `render` is not installed")
    image.new("RGBA", (90, 60)).save(tmp_path / "curves.png")
    script = _script("small_picture")
    script.make_small(tmp_path / "curves.png", tmp_path / "curves.webp")
    with image.open(tmp_path / "curves.webp") as picture:
        assert picture.size == (60, 40)
