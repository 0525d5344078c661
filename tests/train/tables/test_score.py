"""`esarm score`: any system's predictions, by the code that measures the table's cells."""

import json
import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from train.cli import main
from train.rows import DECODINGS
from train.stages.baselines import mean_face_motions
from train.tables.predictions import save_predictions
from train.tables.table1 import score
from train.tables.table1.benchmark import Benchmark
from train.tables.table1.cells import cell_folder, read_cell
from train.tables.table1.making import make_table
from train.tables.table1.methods import HEADLINE
from train.tables.table1.score import benchmark_of
from train.tables.table1.settings import TableSettings

MEAD = "synthetic-mead"


@pytest.fixture
def made(tmp_path, fake_table):
    """A table of our row alone, one seed."""
    out = tmp_path / "table"
    make_table(TableSettings(out=out, corpora=(MEAD,), seeds=(0,), methods=(HEADLINE,)))
    return out


def test_the_motions_of_a_cell_score_as_the_cell_does(made, capsys):
    """Two codes for one figure would let systems be compared by their measure."""
    cell = read_cell(cell_folder(made / MEAD, HEADLINE, 0))
    folder = cell_folder(made / MEAD, HEADLINE, 0) / "predictions"
    main(["score", str(folder), "--corpus", MEAD, "--table", str(made), "--name", "Theirs (v2)"])
    scored = read_cell(made / MEAD / "theirs-v2" / "seed-0")
    assert scored.method == "Theirs (v2)" and scored.kind == "other"
    assert scored.utterances == cell.utterances and set(scored.figures) == set(cell.figures)
    for key, values in cell.figures.items():
        assert np.array_equal(values, scored.figures[key], equal_nan=True), key
    rows = {row["name"]: row for row in json.loads((made / "table1.json").read_text())[0]["rows"]}
    assert rows["Theirs (v2)"]["against"]["lve"]["difference"][0] == 0
    assert "| Theirs (v2) | 1 |" in (made / "table1.md").read_text()
    told = capsys.readouterr().out
    assert "LVE (mean over frames of max over lip vertices, L2, mm)" in told
    assert f"table: {made / 'table1.md'}" in told


def test_what_is_missing_or_bad_is_listed_and_left_out(made, tiny_task, tmp_path, capsys):
    """A mean over the easy half must say that it is one."""
    test = tiny_task.corpus.split("test")
    ids = tiny_task.ids_of(test)
    folder = tmp_path / "theirs"
    save_predictions(folder, ids[:1], [tiny_task.corpus[int(test[0])].motion])
    np.save(folder / f"{ids[1]}.npy", np.zeros((90, 52), np.float32))
    train = tiny_task.ids_of(tiny_task.corpus.split("train")[:1])
    save_predictions(folder, train, [np.zeros((33, 52), np.float32)])
    (folder / "notes.txt").write_text("mine")
    file = tmp_path / "score.json"
    main(["score", str(folder), "--corpus", MEAD, "--table", str(made), "--json", str(file)])
    told = capsys.readouterr().out
    n_frames = tiny_task.n_frames[test[1]]
    assert f"must have {n_frames} frames at 30 fps like the recording, got 90" in told
    assert f"test utterances whose file has a fault: 1 ({ids[1]})" in told
    assert "without a file" not in told
    assert f"files of no test utterance: 1 ({train[0]}.npy)" in told
    assert "files not read, whose suffix is none of .npy" in told and "1 (notes.txt)" in told
    assert "1 of 2 test utterances; brackets" in told
    known = json.loads(file.read_text())
    assert known["others"] == [f"{train[0]}.npy"] and known["not_read"] == ["notes.txt"]
    assert known["faulty"] == ids[1:]
    assert known["utterances"] == 1 and known["missing"] == ids[1:]
    assert known["figures"]["lve"][0] == 0
    assert "- theirs: 1 of 2 utterances predicted; scored from" in (made / "table1.md").read_text()


def test_a_score_takes_no_row_of_ours(made, tmp_path, tiny_task):
    """Predictions under the name of a method would stand there as our training."""
    folder = cell_folder(made / MEAD, HEADLINE, 0) / "predictions"
    options = ["score", str(folder), "--corpus", MEAD, "--table", str(made)]
    with pytest.raises(SystemExit) as ended:
        main([*options, "--name", "FaceFormer"])
    assert ended.value.code == 2
    main([*options, "--name", "a b"])
    with pytest.raises(SystemExit):
        main([*options, "--name", "a-b"])  # of the same folder
    assert read_cell(made / MEAD / "a-b" / "seed-0").method == "a b"


def test_a_folder_without_one_prediction_that_can_be_used_is_refused(made, tiny_task, tmp_path):
    """A table of n/a tells nobody why."""
    ids = tiny_task.ids_of(tiny_task.corpus.split("test"))
    save_predictions(tmp_path / "p", ids, [np.zeros((200, 52), np.float32)] * 2)
    benchmark = benchmark_of(run=None, corpus=MEAD, table=made, seed=0)
    with pytest.raises(InputError, match=re.escape("of the 2 test utterances, got none that can")):
        score.score_folder(tmp_path / "p", benchmark, name="x")


def test_where_the_utterances_come_from_must_be_told_once(made, tmp_path, monkeypatch):
    """A run and a corpus may be split otherwise."""
    with pytest.raises(InputError, match=r"`--corpus` or `--run` must be given, got neither$"):
        benchmark_of(run=None, corpus=None, table=None, seed=0)
    with pytest.raises(InputError, match="got neither; `--table` goes with `--corpus`"):
        benchmark_of(run=None, corpus=None, table=made, seed=0)
    with pytest.raises(InputError, match="`--corpus` must be left out beside `--run`, got x"):
        benchmark_of(run=made, corpus="x", table=None, seed=0)
    with pytest.raises(InputError, match=r"must be a run of the table, got none; `esarm table1"):
        benchmark_of(run=None, corpus=MEAD, table=made, seed=7)
    run = benchmark_of(run=made / MEAD / "runs" / "seed-0", corpus=None, table=None, seed=0)
    assert isinstance(run, Benchmark) and run.seed == 0


def test_a_score_stands_beside_the_mean_face_and_what_the_run_has_measured(
    made, tiny_task, tmp_path, capsys
):
    """2 mm says nothing to a newcomer; 2 mm where a still face has 1 mm says it all."""
    ids = tiny_task.ids_of(tiny_task.corpus.split("test"))
    run = made / MEAD / "runs" / "seed-0"
    folder, file = tmp_path / "still", tmp_path / "score.json"
    test = tiny_task.corpus.split("test")
    save_predictions(folder, ids[1:], mean_face_motions(tiny_task, test[1:]))
    options = ["score", str(folder), "--run", str(run), "--json", str(file)]
    options += ["--name", "regressor"]
    main(options)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"run {run} (corpus {MEAD}, seed 0): test split, 2 utterances"
    known = json.loads(file.read_text())
    assert list(known["references"]) == ["mean face"]
    assert known["references"]["mean face"] == known["figures"]
    (run / "evaluate").mkdir()
    lines = ["row,utterance,lve,eve", f"regressor,{ids[0]},9,9", f"regressor,{ids[1]},2,3"]
    lines += [f'"clone, {how}",{ids[i]},{i + 4},1' for how in DECODINGS for i in range(2)]
    (run / "evaluate" / "per_utterance.csv").write_text("\n".join(lines) + "\n")
    main(options)
    beside = json.loads(file.read_text())["references"]
    assert list(beside)[1:] == ["regressor", "clone, expected distance"]
    assert beside["regressor"]["lve"][0] == 2 and beside["regressor"]["eve"][0] == 3
    assert beside["clone, expected distance"]["lve"][0] == 5
    heading = capsys.readouterr().out.splitlines()[2]
    assert re.split("  +", heading.strip())[:3] == ["regressor (scored)", "mean face", "regressor"]
    (run / "evaluate" / "per_utterance.csv").write_text("row,utterance,lve\nregressor,x,1\n")
    main(options)
    assert "no figures of the run's own rows: " in capsys.readouterr().out
