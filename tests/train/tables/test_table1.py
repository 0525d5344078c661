"""`esarm table1`: cells that are kept, resumed and refused, and what is said of them."""

import csv
import json
import os
import re

import numpy as np
import pytest

from agents.baselines.rivals.training import RivalSettings
from esarm_env.core.errors import InputError, MissingExtraError
from train.cli import main
from train.tables.table1 import picture
from train.tables.table1.benchmark import open_shared_run
from train.tables.table1.cells import FAILED, Cell, cell_folder, read_cell
from train.tables.table1.making import make_table
from train.tables.table1.methods import HEADLINE, METHODS, Method, method_named
from train.tables.table1.settings import PRESETS, TableSettings, slug

NAMES = ("faceformer", "faceformer (all conditions)", HEADLINE)
MEAD = "synthetic-mead"


def settings(out, *, seeds=(0, 1), methods=NAMES, corpora=(MEAD,), **more):
    return TableSettings(out=out, corpora=corpora, seeds=seeds, methods=methods, **more)


def rows_of(out, corpus=0):
    table = json.loads((out / "table1.json").read_text())[corpus]
    return {row["name"]: row for row in table["rows"]}, table


def test_a_cell_that_is_kept_is_not_made_again(tmp_path, fake_table):
    """A second call that trains again costs hours, and mixes two trainings in one table."""
    make_table(settings(tmp_path, seeds=(0,)))
    assert len(fake_table.prepared) == 3
    before = (tmp_path / MEAD / "faceformer" / "seed-0" / "cell.json").stat().st_mtime_ns
    make_table(settings(tmp_path, seeds=(0, 1)))
    assert fake_table.prepared[3:] == [(name, 1) for name in NAMES]
    assert (tmp_path / MEAD / "faceformer" / "seed-0" / "cell.json").stat().st_mtime_ns == before
    rows, table = rows_of(tmp_path)
    assert table["headline"] == HEADLINE and rows["faceformer"]["seeds"] == [0, 1]
    assert rows["faceformer"]["parameters"] == 7 and "lve_energy" not in rows["faceformer"]["means"]
    assert rows["faceformer (all conditions)"]["means"]["lve_energy"][0] > 0
    mean, low, high = rows["faceformer"]["means"]["lve"]
    assert low <= mean <= high


def test_an_interrupted_cell_goes_on_with_what_it_trained(tmp_path, fake_table, monkeypatch):
    """Ctrl-C in the third hour must not cost the second."""

    def interrupt(benchmark, folder):
        (folder / "begun").write_text("1")
        raise KeyboardInterrupt

    whole = METHODS["faceformer"]
    monkeypatch.setitem(
        METHODS, "faceformer", Method("faceformer", "rival", interrupt, trains=True)
    )
    with pytest.raises(KeyboardInterrupt):
        make_table(settings(tmp_path, seeds=(0,)))
    partial = tmp_path / MEAD / "faceformer" / ".seed-0.partial"
    assert (partial / "training" / "begun").is_file() and read_cell(tmp_path) is None

    def go_on(benchmark, folder):
        assert (folder / "begun").read_text() == "1"
        return whole.prepare(benchmark, folder)

    monkeypatch.setitem(METHODS, "faceformer", Method("faceformer", "rival", go_on, trains=True))
    make_table(settings(tmp_path, seeds=(0,)))
    assert not partial.exists()
    assert read_cell(tmp_path / MEAD / "faceformer" / "seed-0").status == "done"


def test_a_cell_that_failed_is_shown_and_the_rest_goes_on(tmp_path, fake_table):
    """One diverging rival must not cost the table; nor may it be missing without a word."""
    fake_table.broken = {"faceformer"}
    page = make_table(settings(tmp_path)).read_text()
    assert "- faceformer, seed 0: failed, RuntimeError: loss is nan" in page
    rows, table = rows_of(tmp_path)
    assert list(rows) == list(NAMES[1:])
    assert [cell["status"] for cell in table["not_done"]] == [FAILED] * 2
    fake_table.broken = set()
    assert "failed" not in make_table(settings(tmp_path)).read_text()
    assert fake_table.prepared.count(("faceformer", 0)) == 2


def test_a_method_whose_extra_is_missing_is_skipped_with_the_line_to_install_it(
    tmp_path, fake_table, monkeypatch
):
    """An optional peer is no reason to fail."""

    def missing(benchmark, folder):
        raise MissingExtraError("openfacefx", extra="peers", purpose="the peer")

    monkeypatch.setitem(METHODS, "openfacefx", Method("openfacefx", "plain", missing))
    page = make_table(settings(tmp_path, methods=("openfacefx", HEADLINE))).read_text()
    assert "- openfacefx, seed 1: skipped, the peer needs `openfacefx`: run `pip install" in page


def test_one_seed_has_no_interval_and_no_star(tmp_path, fake_table):
    """Its utterances alone say nothing of how another training would have ended."""
    page = make_table(settings(tmp_path, seeds=(3,))).read_text()
    assert "One seed: no spread, no star." in page and "[" not in page.split("## ")[1]
    rows, _ = rows_of(tmp_path)
    assert rows["faceformer"]["means"]["lve"][1:] == [None, None]
    found = rows["faceformer"]["against"]["lve"]
    assert found["apart"] is False and found["improvement"] == [1.0, None, None]


def test_ours_is_compared_beside_the_papers_margins(tmp_path, fake_table):
    """The figures of the paper are of other data: margins alone compare, and are marked."""
    page = make_table(settings(tmp_path, corpora=(MEAD, "synthetic-ravdess"))).read_text()
    rows, _ = rows_of(tmp_path)
    assert rows["faceformer"]["paper"] == {"lve": 3.951, "eve": 3.256}
    assert rows["faceformer"]["paper_margin"]["lve"] == pytest.approx(1 - 2.982 / 3.951)
    assert rows["faceformer (all conditions)"]["paper"] is None
    found = rows["faceformer"]["against"]["lve"]
    assert found["difference"][2] < 0 and found["apart"] and 0.4 < found["margin"] < 0.55
    assert "printed figures of another data set, head and metric" in page
    assert "| *the paper's own row* |" in page
    assert "(the paper's over its best rival: 11.4 %)" in page
    assert "(the paper's over its best rival: 29.3 %)" in page
    assert rows[HEADLINE]["against"] == {}
    lines = list(csv.DictReader((tmp_path / "table1.csv").read_text().splitlines()))
    assert {line["corpus"] for line in lines} == {MEAD, "synthetic-ravdess"}
    one = next(x for x in lines if x["method"] == "faceformer" and x["figure"] == "lve")
    assert float(one["mean"]) == pytest.approx(rows["faceformer"]["means"]["lve"][0], rel=1e-5)


def test_cells_of_other_settings_are_refused_by_name(tmp_path, fake_table):
    """Half a table of 320 utterances and half of 2000 would look like one."""
    make_table(settings(tmp_path, seeds=(0,)))
    with pytest.raises(InputError, match=re.escape("got corpus.size 2000 instead of 300")):
        make_table(settings(tmp_path, seeds=(0,), size=300))
    with pytest.raises(InputError, match=r"got corpus\.size 300 after 2000"):
        make_table(settings(tmp_path, seeds=(1,), size=300))
    with pytest.raises(InputError, match=re.escape("got corpus.size 2000 instead of 320")):
        make_table(settings(tmp_path, seeds=(0,), preset="quick"))


def test_the_presets_begin_runs_that_can_be(tmp_path):
    """A setting that is none any more would be told at the first quick table of a user."""
    for preset, size in (("quick", 320), ("full", 2000)):
        run = open_shared_run(settings(tmp_path / preset, preset=preset), MEAD, 1)
        assert (run.config.corpus.size, run.config.seed) == (size, 1)
        RivalSettings(**PRESETS[preset].rivals).check()


def test_a_run_that_is_put_there_must_fit(tmp_path, fake_table):
    """A link to the run of another seed would be the same training twice."""
    make_table(settings(tmp_path, seeds=(0,)))
    runs = tmp_path / MEAD / "runs"
    os.symlink(runs / "seed-0", runs / "seed-5")
    with pytest.raises(InputError, match=re.escape("got seed 0 instead of 5")):
        make_table(settings(tmp_path, seeds=(5,)))


def test_a_cell_of_another_run_is_refused(tmp_path, fake_table, monkeypatch):
    """A policy trained anew would leave its old figures in the table."""
    weights = tmp_path / MEAD / "runs" / "seed-0" / "policy"
    weights.parent.mkdir(parents=True)
    weights.write_text("one")
    fake = METHODS[HEADLINE]
    method = Method(HEADLINE, "ours", fake.prepare, files=("policy",), trains=True)
    monkeypatch.setitem(METHODS, HEADLINE, method)
    make_table(settings(tmp_path, seeds=(0,), methods=(HEADLINE,)))
    weights.write_text("another")
    with pytest.raises(InputError, match="must be of the shared run as it is, got another policy"):
        make_table(settings(tmp_path, seeds=(0,), methods=(HEADLINE,)))


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("mean-face", "mean face"),
        ("clone:expected-distance", "clone (expected distance)"),
        ("ppo, sampled", "ppo (sampled)"),
        ("tokenizer", "recordings through the tokenizer"),
        ("faceformer-all-conditions", "faceformer (all conditions)"),
    ],
)
def test_a_method_may_be_spelled_as_in_the_figure(spelled, name):
    """`mean-face` of `esarm figure5` was unknown to `esarm table1`, and the other way round."""
    assert method_named(spelled).name == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("faceforma",)}, "got 'faceforma'; did you mean faceformer?"),
        ({"seeds": (1, 1)}, "`seeds` must be different numbers of at least 0, got [1, 1]"),
        ({"corpora": ("a/x", "b/x")}, "`corpora` must have different names, got a/x and b/x"),
        ({"corpora": ("a/runs",)}, "`corpora` must not be called 'runs'"),
        ({"size": 0}, "`size` must be at least 1, got 0"),
        ({"preset": "huge"}, "`preset` must be one of quick, full, got 'huge'"),
    ],
)
def test_what_no_table_can_be_made_of_is_refused(tmp_path, fake_table, change, message):
    """Before the first hour of work, not after it."""
    with pytest.raises(InputError, match=re.escape(message)):
        make_table(settings(tmp_path, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpora": ("synthetic-med",)}, "got 'synthetic-med'; did you mean synthetic-mead?"),
        ({"corpora": ("/nowhere",)}, "or folders of recordings, got '/nowhere'"),
        ({"corpora": ("synthetic-mead",), "size": 3}, "`size` must be in 8.."),
    ],
)
def test_a_corpus_that_is_not_there_leaves_nothing_behind(tmp_path, change, message):
    """Cells of it, all failed, would stand in every later page of the table."""
    settings = TableSettings(
        **{"out": tmp_path / "out", "seeds": (0,), "methods": ("mean face",), **change}
    )
    with pytest.raises(InputError, match=re.escape(message)):
        make_table(settings)
    assert not (tmp_path / "out").exists()


def test_a_damaged_cell_is_told_by_its_folder(tmp_path, fake_table):
    """A half-copied folder must not become a row of zeros."""
    make_table(settings(tmp_path, seeds=(0,)))
    folder = cell_folder(tmp_path / MEAD, "faceformer", 0)
    (folder / "figures.csv").write_text("utterance\n")
    with pytest.raises(InputError, match=re.escape(f"{folder}: must be a whole cell")):
        make_table(settings(tmp_path, seeds=(0,)))
    (folder / "cell.json").write_text("{}")
    with pytest.raises(InputError, match=re.escape(f"delete {folder}")):
        read_cell(folder)


def test_a_corpus_without_emotions_has_no_column_of_them(tmp_path, fake_table, monkeypatch):
    """An accuracy that nobody could measure must not stand there as 0."""
    from train.tables.table1.benchmark import Benchmark

    monkeypatch.setattr(Benchmark, "judge", None)
    page = make_table(settings(tmp_path, seeds=(0,))).read_text()
    assert "Left out, as this corpus cannot tell it: emotion" in page
    assert "emotion accuracy" not in page.split("## What is measured")[0]


def test_the_command_makes_a_table_and_names_it(tmp_path, fake_table, monkeypatch, capsys):
    """The options must come to the settings, and the picture to its place."""
    monkeypatch.setattr(picture, "draw_bars", fake_table.draw_bars)
    out = tmp_path / "t"
    main(["table1", "--out", str(out), "--corpora", MEAD, "--seeds", "0", "--methods", HEADLINE])
    assert f"table: {out / 'table1.md'}" in capsys.readouterr().out
    assert list(rows_of(out)[0]) == [HEADLINE]
    assert (out / "table1.png").stat().st_size > 1000 or "No picture" in (
        out / "table1.md"
    ).read_text()


def test_a_quick_table_is_of_one_corpus_and_seed(tmp_path, fake_table, monkeypatch):
    """With both corpora it took twice the ten minutes that a first look may take."""
    monkeypatch.setattr(picture, "draw_bars", fake_table.draw_bars)
    main(["table1", "--out", str(tmp_path / "t"), "--preset", "quick", "--methods", "faceformer"])
    assert fake_table.prepared == [("faceformer", 0)]


def test_the_registry_has_every_row_of_the_paper_and_ours_beforehand():
    """The row that others are compared with stands in the code, not in the figures."""
    for name in ("meshtalk", "faceformer", "emotalk", "codetalker"):
        assert METHODS[name].kind == METHODS[f"{name} (all conditions)"].kind == "rival"
    assert HEADLINE == "distillation (median)" and METHODS[HEADLINE].kind == "ours"
    assert next(iter(METHODS)) == "recordings through the tokenizer"
    assert len({slug(name) for name in METHODS}) == len(METHODS)
    assert Cell("a", "b", 0).figures is not Cell("a", "b", 0).figures


def test_predictions_are_kept_with_the_cell(tmp_path, fake_table, tiny_task):
    """What was measured can be measured again by others."""
    make_table(settings(tmp_path, seeds=(0,), methods=(HEADLINE,)))
    folder = cell_folder(tmp_path / MEAD, HEADLINE, 0)
    files = sorted((folder / "predictions").iterdir())
    assert len(files) == len(tiny_task.corpus.split("test"))
    assert np.load(files[0]).dtype == np.float16
