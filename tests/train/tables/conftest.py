"""A tiny table: the hand-made task, methods that move the mouth a little wrong, and no training."""

import numpy as np
import pytest

from train.tables.table1 import making, picture
from train.tables.table1.benchmark import Benchmark
from train.tables.table1.methods import HEADLINE, METHODS, OUR, RIVAL, Method, Prepared


class FakeTable:
    """What the tests look at: how often each method was prepared and animated."""

    def __init__(self):
        self.prepared = []
        self.broken = set()
        self.draw_bars = picture.draw_bars

    def method(self, name, kind, error, *, samples=False):
        def prepare(benchmark, folder):
            self.prepared.append((name, benchmark.seed))
            (folder / "begun").write_text("kept over an interruption")
            if name in self.broken:
                raise RuntimeError("loss is\nnan")
            task = benchmark.task

            def animate(utterances, sample):
                off = error + 0.01 * benchmark.seed + 0.02 * sample
                return [np.clip(task.corpus[int(i)].motion + off, 0, 1) for i in utterances]

            return Prepared(animate, 7, samples=samples, notes=("a note",))

        return Method(name, kind, prepare, trains=True)


@pytest.fixture
def fake_table(monkeypatch, tiny_task):
    """Three methods on the hand-made task, under the names of any corpus."""
    table = FakeTable()
    for method in (
        table.method("faceformer", RIVAL, 0.2),
        table.method("faceformer (all conditions)", RIVAL, 0.15, samples=True),
        table.method(HEADLINE, OUR, 0.1),
    ):
        monkeypatch.setitem(METHODS, method.name, method)
    monkeypatch.setattr(Benchmark, "make", lambda self, stage: None)
    monkeypatch.setattr(Benchmark, "task", property(lambda self: tiny_task))
    monkeypatch.setattr(picture, "draw_bars", lambda tables, path: None)
    monkeypatch.setattr(making, "print", lambda *args, **kwargs: None, raising=False)
    return table
