"""`esarm ablate`: what is trained and what is shared, and what one failing variant costs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import train.stages
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import STAGES
from train.cli import main
from train.rows import EXPECTED, GREEDY, SAMPLED
from train.run.config import PRESETS as CONFIGS
from train.run.run_folder import RunFolder
from train.tables.ablation.variants import (
    VARIANTS,
    changes,
    chosen_variants,
    config_of,
    first_changed,
    stage_of,
)

SOME = ("without-rl", "without-expected-distance", "terminal-credit", "reinforce", "best-of-n",
        "one-stream", "floor-2", "members-3", "kl-0.3")  # fmt: skip


def stamps(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def fail(run: RunFolder) -> dict[str, Any]:
    raise RuntimeError("loss is nan")


@pytest.fixture(scope="module")
def made(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Some variants of the miniature run, of which the training of a reward fails."""
    out = tmp_path_factory.mktemp("out") / "ablation"
    before = stamps(finished_run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(train.stages.STAGE_FUNCTIONS, "reward", fail)
        main(["ablate", "--run", str(finished_run), "--out", str(out), "--only", *SOME])
    assert stamps(finished_run) == before, "the run itself is only read"
    return out, (out / "ablation.md").read_text()


def test_a_variant_shares_the_stages_before_its_change(
    made: tuple[Path, str], finished_run: Path
) -> None:
    """Training anew what did not change costs hours, and compares two trainings."""
    out, _ = made
    figures = json.loads((out / "ablation.json").read_text())["variants"]
    trained = {name: each["trained"] for name, each in figures.items()}
    assert trained["terminal-credit"] == ["improve"]
    assert trained["floor-2"] == ["prior"]
    for name in ("unchanged", "without-rl", "reinforce", "best-of-n", "kl-0.3"):
        assert trained[name] == [], f"{name} is there already"
    folder = out / "terminal-credit" / "seed-0"
    for stage in STAGES[: STAGES.index("improve")]:
        for file in sorted((finished_run / stage).rglob("*")):
            if file.is_file():
                twin = folder / file.relative_to(finished_run)
                assert twin.read_bytes() == file.read_bytes(), twin
    assert RunFolder.open(folder).config.improve.algorithms == ("ppo",)
    assert RunFolder.open(folder).config.improve.chunk_credit == ()
    assert not (out / "reinforce" / "seed-0" / "clone").exists()
    assert all(each["hours"] is not None for name, each in figures.items() if each["seeds"])


def test_figures_are_those_of_the_evaluation(made: tuple[Path, str], finished_run: Path) -> None:
    """The same policy measured twice must be as good as itself."""
    figures = json.loads((made[0] / "ablation.json").read_text())["variants"]
    rows = json.loads((finished_run / "evaluate" / "summary.json").read_text())["rows"]
    evaluated = {row["label"]: row["figures"] for row in rows}
    for name, policy in (("unchanged", "ppo"), ("reinforce", "reinforce"), ("without-rl", "clone")):
        for each in figures[name]["figures"]:
            if each["key"] in ("lve", "eve") and each["decoding"] in (GREEDY, EXPECTED, SAMPLED):
                theirs = evaluated[f"{policy}, {each['decoding']}"][each["key"]]
                assert each["value"][0] == pytest.approx(theirs[0], rel=1e-4), (name, each)
    found = {(e["decoding"], e["key"]): e for e in figures["without-expected-distance"]["figures"]}
    base = {(e["decoding"], e["key"]): e["value"][0] for e in figures["unchanged"]["figures"]}
    greedy = found[GREEDY, "lve"]
    assert greedy["against"] == EXPECTED
    assert greedy["difference"][0] == pytest.approx(base[GREEDY, "lve"] - base[EXPECTED, "lve"])
    same = [e["difference"] for e in figures["kl-0.3"]["figures"] if e["key"] == "lve"]
    assert np.allclose(same, 0), "a variant that changes nothing is no better"
    best = {e["decoding"] for e in figures["best-of-n"]["figures"]}
    assert best == {SAMPLED, "tokenizer"}


def test_a_variant_that_fails_is_shown_and_the_rest_goes_on(
    made: tuple[Path, str], finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A night of trainings is not lost to the third of them; and it is tried again."""
    out, page = made
    assert "- members-3: failed: seed 0: RuntimeError('loss is nan')" in page
    assert "- one-stream: not available: tokenizer, advantages and rewards are built" in page
    assert "| kl-0.3 | divergence from the clone weighs 0.3 |" in page
    floors = page[page.index("## Floor of the prior") :]
    assert "| unchanged |" in floors and "| floor-2 |" in floors
    before = stamps(out / "terminal-credit")
    main(["ablate", "--run", str(finished_run), "--out", str(out), "--only", "terminal-credit"])
    assert stamps(out / "terminal-credit") == before
    assert "terminal-credit, seed 0: trained improve" in capsys.readouterr().out


def test_seeds_below_the_run_are_taken_and_a_failing_one_is_shown(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed that cannot be trained costs its own column, and no other seed's."""
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(finished_run, run)
    shutil.copytree(finished_run, run / "seeds" / "1")
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "seeds" / "1" / "config.yaml").write_text(yaml.safe_dump({**config, "seed": 1}))
    monkeypatch.setitem(train.stages.STAGE_FUNCTIONS, "prior", fail)
    command = ["ablate", "--run", str(run), "--out", str(out), "--only", "without-rl", "--seeds"]
    main([*command, "0", "1", "2"])
    figures = json.loads((out / "ablation.json").read_text())
    assert figures["runs"] == {"0": str(run), "1": str(run / "seeds" / "1")}
    assert figures["variants"]["without-rl"]["seeds"] == [0, 1]
    failures = figures["variants"]["unchanged"]["failures"]
    assert failures == {"2": "RuntimeError('loss is nan')"}
    assert (out / "without-rl" / "seed-1" / "figures.csv").is_file()
    assert "- unchanged: failed: seed 2: " in (out / "ablation.md").read_text()


def test_an_interruption_ends_it_and_is_no_failure(
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C on one variant must not begin the next."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.tables.ablation.ablate.measure_variant", interrupt)
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"^130$"):
        main(["ablate", "--run", str(finished_run), "--out", str(out), "--only", "without-rl"])
    assert "interrupted; the same command goes on from here" in capsys.readouterr().err
    assert not list(out.rglob("cell.json")) and not (out / "ablation.md").exists()


def test_another_run_or_other_utterances_need_another_folder(
    made: tuple[Path, str], finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Differences from a run that was never measured beside it mean nothing."""
    out = tmp_path / "out"
    shutil.copytree(made[0], out)
    command = ["ablate", "--out", str(out), "--only", "without-rl", "--run"]
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*command, str(finished_run), "--utterances", "1"])
    assert "must hold variants of one kind, got utterances 1 after 0" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(finished_run, other)
    with (other / "clone" / "policy.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*command, str(other)])
    assert "must hold variants of one kind, got clone" in capsys.readouterr().err


def test_runs_of_one_seed_or_unfinished_ones_are_refused(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is trained."""
    out = ["--out", str(tmp_path / "out"), "--only", "without-rl"]
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["ablate", "--run", str(finished_run), str(finished_run), *out])
    assert "`run` must be runs of different seeds, got 0 for" in capsys.readouterr().err
    half = tmp_path / "half"
    shutil.copytree(finished_run, half, ignore=shutil.ignore_patterns("improve"))
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["ablate", "--run", str(half), *out])
    assert f"run `esarm improve --run {half}` first" in capsys.readouterr().err


def test_names_are_checked_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An unknown variant is told the known ones, and leaves no folder."""
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["ablate", "--run", "none", "--out", str(out), "--only", "terminal-credits"])
    said = capsys.readouterr().err
    assert "`only` must be among without-rl, without-expected-distance, terminal-credit," in said
    assert "got 'terminal-credits'; did you mean 'terminal-credit'?" in said
    assert not out.exists()
    with pytest.raises(InputError, match=re.escape("`preset` must be left out beside `only`")):
        chosen_variants(["ppo"], "quick")


def test_quick_variants_work_the_stage_improve_alone() -> None:
    """Ten minutes are promised."""
    quick = chosen_variants([], "quick")
    assert {variant.stage() for variant in quick} == {"", "improve"}
    names = {variant.name for variant in quick}
    assert {"terminal-credit", "kl-1", "grpo", "best-of-n", "without-rl"} <= names
    assert not names & {"members-3", "floor-2", "one-stream", "without-disentangling"}
    assert len(chosen_variants([], "all")) == len(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_changes_what_it_says(name: str, tmp_path: Path) -> None:
    """A setting that was renamed would leave a variant that is the run itself."""
    variant, config = VARIANTS[name], CONFIGS["demo"]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"recipe": "consensus"}))
    made = config_of(variant, file, config)
    changed = changes(variant, file, config)
    keys = {setting.partition("=")[0] for setting in variant.settings}
    assert set(changed) <= keys
    as_it_is = {"chunk-credit", "kl-0.3", "recipe-consensus", "members-1", "floor-3"}
    assert bool(changed) == (bool(keys) and name not in as_it_is)
    if changed:
        assert first_changed(changed) == variant.stage()
    if name in ("ppo", "grpo", "reinforce", "distillation"):
        assert made.improve.algorithms == (name,)


def test_a_setting_belongs_to_the_stage_that_reads_it() -> None:
    """One stage too late, and a variant would be trained on what it was to change."""
    found = {key: stage_of(key) for key in ("recipe", "consensus.members", "naturalness.weight",
                                            "reward.width", "improve.kl_coef", "seed")}  # fmt: skip
    assert set(list(found.values())[:4]) == {"reward"}
    assert found["improve.kl_coef"] == "improve" and found["seed"] == "prior"
    assert first_changed(["improve.kl_coef", "encoder.cross_coef"]) == "encoder"
    assert first_changed([]) == ""
