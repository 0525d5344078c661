"""Errors of earlier tables: they add up with what a table makes itself, and nothing is mixed."""

import json
import shutil

import pytest

from esarm_env.core.errors import InputError
from train.tables.table1.making import make_table
from train.tables.table1.methods import HEADLINE
from train.tables.table1.settings import TableSettings

NAMES = ("faceformer", "faceformer (all conditions)", HEADLINE)
MEAD = "synthetic-mead"


def settings(out, *, seeds, **more):
    return TableSettings(out=out, corpora=(MEAD,), seeds=seeds, methods=NAMES, **more)


def tables_of(out):
    return json.loads((out / "table1.json").read_text())


@pytest.fixture
def joined(tmp_path, fake_table):
    """Return a table of seeds 0 and 1, and one of seed 1 that knows the errors of the first's."""
    whole, other = tmp_path / "whole", tmp_path / "other"
    make_table(settings(whole, seeds=(0, 1)))
    (other / MEAD / "earlier").mkdir(parents=True)
    shutil.copy(whole / MEAD / "errors" / "seed-0.json", other / MEAD / "earlier")
    fake_table.prepared.clear()
    make_table(settings(other, seeds=(0, 1)))
    return whole, other


def test_seeds_of_two_tables_add_up(joined, fake_table):
    """Five trainings take longer than a machine is free: what was trained must not be lost."""
    whole, other = joined
    assert fake_table.prepared == [(name, 1) for name in NAMES], "seed 0 is not trained again"
    assert not (other / MEAD / "runs" / "seed-0").exists()
    (expected,), (found,) = tables_of(whole), tables_of(other)
    for row, same in zip(expected["rows"], found["rows"], strict=True):
        assert same["seeds"] == row["seeds"] == [0, 1]
        for key in ("lve", "eve"):
            assert same["means"][key] == pytest.approx(row["means"][key], abs=2e-4)
        assert same["means"]["fdd"][0] == pytest.approx(row["means"]["fdd"][0], rel=1e-3)
        assert same["means"]["fdd"][1:] == [None, None], "of one seed the mean alone is known"
        if row["name"] != HEADLINE:
            mine, theirs = same["against"]["lve"], row["against"]["lve"]
            assert mine["difference"] == pytest.approx(theirs["difference"], abs=2e-4)
            assert mine["improvement"] == pytest.approx(theirs["improvement"])
    file = f"{MEAD}/errors/seed-0.json"
    assert (other / file).read_bytes() == (whole / file).read_bytes()


def test_what_the_table_made_itself_goes_before(joined, fake_table):
    """A cell that is measured anew must not be hidden by an older one."""
    whole, other = joined
    shutil.copy(whole / MEAD / "errors" / "seed-1.json", other / MEAD / "earlier")
    file = other / MEAD / "earlier" / "seed-1.json"
    file.write_text(file.read_text().replace('"parameters": 7', '"parameters": 8'))
    make_table(settings(other, seeds=(1,)))
    assert {row["parameters"] for row in tables_of(other)[0]["rows"]} == {7}
    shutil.rmtree(other / MEAD / "faceformer" / "seed-1")
    fake_table.prepared.clear()
    make_table(settings(other, seeds=(1,)))
    assert not fake_table.prepared


def test_errors_of_other_settings_are_refused(joined):
    """Seeds of a larger corpus beside those of a smaller one would be taken for chance."""
    whole, other = joined
    third = other.parent / "third"
    make_table(settings(third, seeds=(1,), size=400))
    shutil.copytree(whole / MEAD / "errors", third / MEAD / "earlier")
    with pytest.raises(InputError, match=r"seed-0.json: must have the settings of the table, got"):
        make_table(settings(third, seeds=(1,), size=400))


@pytest.mark.parametrize("text", ["{", "{}", '{"settings": {}, "utterances": 3, "cells": []}'])
def test_damaged_errors_are_refused_by_name(joined, text):
    """Half a file must not become half a table."""
    _, other = joined
    file = other / MEAD / "earlier" / "seed-0.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"seed-0\.json"):
        make_table(settings(other, seeds=(0, 1)))


def test_as_many_errors_as_utterances(joined):
    """Errors of one utterance must not be taken for those of another."""
    _, other = joined
    file = other / MEAD / "earlier" / "seed-0.json"
    known = json.loads(file.read_text())
    known["cells"][0]["figures"]["lve"].pop()
    file.write_text(json.dumps(known))
    with pytest.raises(InputError, match="as many errors as utterances"):
        make_table(settings(other, seeds=(0, 1)))
