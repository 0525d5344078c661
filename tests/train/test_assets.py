"""Making the shipped files: which utterances, which bytes, and figures to measure again."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.shipped import check_files, read_manifest, shipped_run
from esarm_env.task.opening import open_task
from esarm_env.task.recording import AnimationCondition
from esarm_env.tokenizer import load_tokenizer
from reward.plugins.learned import open_learned
from train.animate import SpeechAnimator
from train.assets import builder
from train.assets.builder import halve, make_assets
from train.assets.selection import choose_utterances
from train.commands.installation import command_assets
from train.commands.options import RunOptions
from train.rows import TOKENIZER, Row, rows_from_json
from train.run.run_folder import RunFolder
from train.stages.measures import error_without_lids

FEW = {"train": 8, "validation": 2, "test": 2}


def chosen_ids(corpus, wanted):
    return [corpus.records[index].id for index in choose_utterances(corpus, wanted).tolist()]


def test_speakers_take_turns_and_larger_groups_come_first(tiny_corpus):
    """All of one speaker would leave the others' columns of the condition untrained."""
    ids = chosen_ids(tiny_corpus, {"train": 6})
    assert ids == ["anna-00", "anna-01", "ben-04", "ben-05", "cleo-06", "cleo-07"]


def test_a_group_is_cut_where_the_number_is_reached(tiny_corpus):
    """The number of utterances is a promise."""
    ids = chosen_ids(tiny_corpus, {"train": 3, "validation": 1})
    assert ids == ["anna-00", "anna-01", "cleo-06", "anna-08"]


def test_all_of_a_split_may_be_asked_for(tiny_corpus):
    """And no more than all."""
    everything = {"train": 8, "validation": 2, "test": 2}
    assert choose_utterances(tiny_corpus, everything).tolist() == list(range(12))
    message = "`test` must hold at least 3 utterances to choose from, got 2"
    with pytest.raises(InputError, match=re.escape(message)):
        choose_utterances(tiny_corpus, {"test": 3})


def test_half_of_a_split_is_spoken_by_strangers_where_there_are_some(tiny_corpus, make_corpus):
    """Otherwise the first speakers by name would fill the test split."""
    utterances = [tiny_corpus[index] for index in range(12)]
    mixed = make_corpus(utterances, {"train": range(4), "validation": [], "test": range(4, 12)})
    for number, expected in (
        (4, {"ben": 2, "cleo": 2}),
        (7, {"anna": 1, "ben": 2, "cleo": 2, "dora": 2}),  # three known ones are all there are
        (8, {"anna": 1, "ben": 2, "cleo": 3, "dora": 2}),
    ):
        ids = chosen_ids(mixed, {"test": number})
        assert Counter(name.split("-")[0] for name in ids) == expected


def test_matrices_are_halved_and_the_rest_is_kept(tmp_path, tiny_tokenizer):
    """A score's offset in half precision moves every score the same way."""
    source, target = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    tiny_tokenizer.save(source)
    halve(source, target)
    before, after = load_file(source), load_file(target)
    assert before.keys() == after.keys()
    for name, value in after.items():
        matrix = value.ndim > 1 and before[name].is_floating_point()
        assert value.dtype == (torch.float16 if matrix else before[name].dtype), name
    assert target.stat().st_size < 0.65 * source.stat().st_size
    loaded = load_tokenizer(target)
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=1e-3, atol=1e-6)


def test_halving_twice_gives_the_same_bytes(tmp_path, tiny_tokenizer):
    """Committed files must not change when nothing did."""
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    tiny_tokenizer.save(files[0])
    halve(files[0], files[1])
    halve(files[1], files[2])
    assert files[1].read_bytes() == files[2].read_bytes()


@pytest.fixture(scope="module")
def shipped_here(finished_run, tmp_path_factory):
    """Return the assets of a run in miniature.

    Half precision may change its figures: a policy of two epochs is never sure of its tokens.
    """
    out = tmp_path_factory.mktemp("package") / "assets"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "LARGEST_CHANGE", 10.0)
        make_assets(RunFolder.open(finished_run), out, wanted=FEW)
    return out


@pytest.fixture
def made(shipped_here, tmp_path, monkeypatch):
    """Return a copy of them in a folder of its own, where more can be made."""
    monkeypatch.setattr(builder, "LARGEST_CHANGE", 10.0)
    return Path(shutil.copytree(shipped_here, tmp_path / "package" / "assets"))


def test_a_run_becomes_a_checked_run_folder(made, shipped_here, finished_run):
    """What takes a run folder takes this one."""
    assert [path.name for path in shipped_here.parent.iterdir()] == ["assets"], "a draft stayed"
    manifest = read_manifest(made)
    assert check_files(made) == 10
    assert manifest["corpus"]["utterances"] == FEW
    assert manifest["corpus"]["synthetic"] is False
    assert manifest["made_from"]["corpus"].endswith("recordings0")
    assert manifest["versions"].keys() >= {"torch", "esarm", "libsndfile"}
    assert manifest["stages"]["clone"]["epochs"] == 2
    assert RunFolder.open(made).config == RunFolder.open(finished_run).config
    for figures in manifest["figures"]["corpora"].values():
        assert figures["rows"]["clone, greedy"].keys() == {
            "lve",
            "eve",
            "eve_without_lids",
            "score",
        }
        assert 0 <= figures["pair_accuracy"]["0.23"][0] <= 1


def test_the_same_run_gives_the_same_bytes_in_the_same_place(made, shipped_here, finished_run):
    """Otherwise each making is a change of five megabytes to commit, or leaves old files behind."""
    (made / "stray.txt").touch()
    make_assets(RunFolder.open(finished_run), made, wanted=FEW)
    files = [path.relative_to(made) for path in made.rglob("*.*")]
    assert len(files) == 11
    for file in files:
        assert (made / file).read_bytes() == (shipped_here / file).read_bytes(), file


def test_a_folder_of_something_else_is_left_alone(finished_run, tmp_path):
    """`--out .` must not cost anyone his work."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    message = f"`out` must be a folder of assets or empty, got {other}"
    with pytest.raises(InputError, match=re.escape(message)):
        make_assets(RunFolder.open(finished_run), other, wanted=FEW)
    assert (other / "thesis.tex").exists()


def test_figures_that_half_precision_changes_stop_it(finished_run, tmp_path, monkeypatch):
    """The report and the shipped weights would tell two stories."""
    monkeypatch.setattr(builder, "LARGEST_CHANGE", 0.0)
    with pytest.raises(RuntimeError, match="half precision must leave lve of 'ground truth"):
        make_assets(RunFolder.open(finished_run), tmp_path / "assets", wanted=FEW)
    assert not list(tmp_path.iterdir()), "a failure must leave nothing"


def test_the_command_says_what_it_made(finished_run, shipped_here, tmp_path, monkeypatch, capsys):
    """Eight megabytes are the limit; whoever makes the files must see how many they are."""
    asked = []
    manifest = read_manifest(shipped_here)
    monkeypatch.setattr(builder, "make_assets", lambda run, out: asked.append(out) or manifest)
    figures = tmp_path / "manifest.json"
    command_assets(options=RunOptions(run=finished_run, json=figures), out=tmp_path / "assets")
    assert asked == [tmp_path / "assets"]
    lines = capsys.readouterr().out.splitlines()
    total = sum(file["bytes"] for file in manifest["files"].values())
    assert len(lines) == 11
    assert lines[-1].strip() == f"{total:,} bytes in {tmp_path / 'assets'}"
    assert json.loads(figures.read_text()) == manifest


def test_every_training_speaker_must_be_chosen(finished_run, tmp_path):
    """The policy's condition has a column for each."""
    wanted = FEW | {"train": 1}
    message = "`train` must hold all training speakers (ann, bob), got ann; choose more than 1"
    with pytest.raises(InputError, match=re.escape(message)):
        make_assets(RunFolder.open(finished_run), tmp_path / "assets", wanted=wanted)


def test_the_shipped_figures_can_be_measured_again():
    """The manifest is a claim about these files, this corpus and this code."""
    run = shipped_run()
    task = open_task()
    test = task.corpus.split("test")
    clone = load_policy(run / "clone" / "policy.safetensors")
    assert {weight.dtype for weight in clone.parameters()} == {torch.float32}
    figures = read_manifest(run)["figures"]["corpora"]["synthetic-mini"]
    assert figures["utterances"] == len(test) == 48
    ways = {
        "clone, greedy": Decoding(),
        "clone, expected distance": Decoding(expected_distance=True),
    }
    for row, decoding in ways.items():
        written = animate_utterances(clone, task, test, decoding=decoding, seed=0)
        found = task.errors(written) | {"score": open_learned(task, run).score(written)}
        found |= error_without_lids(task, task.decode(written), test)
        for name, (mean, low, high) in figures["rows"][row].items():
            assert low < mean < high
            # Another processor rounds otherwise, and a token that was nearly another becomes it.
            np.testing.assert_allclose(found[name].mean(), mean, atol=0.05, err_msg=name)


def test_the_shipped_figures_are_those_of_something_that_works():
    """A clone no better than the mean face, or a reward that cannot rank, must not ship."""
    for figures in read_manifest(shipped_run())["figures"]["corpora"].values():
        rows = figures["rows"]
        greedy, still = rows["clone, greedy"], rows["mean face of the condition"]
        assert greedy["lve"][2] < 0.7 * still["lve"][1]
        assert greedy["eve"][0] < still["eve"][0]
        floor = rows_from_json(rows)[Row(TOKENIZER)]
        assert floor["lve"][2] < greedy["lve"][1]
        assert figures["pair_accuracy"]["0.23"][1] > 0.9


def test_the_shipped_run_animates_a_recording(make_speech):
    """`esarm animate` takes it like any other run."""
    animator = SpeechAnimator(shipped_run())
    motion = animator.animate(
        make_speech(2.0), AnimationCondition(emotion="happy", intensity=3, speaker="S03")
    )
    assert animator.policy_name == "clone"
    assert motion.shape == (60, 52)
    assert motion.std(axis=0).max() > 0.02


def test_a_damaged_weight_is_noticed_before_it_is_used(made):
    """The reward would be a little off, for ever, without an error."""
    path = made / "reward" / "reward.safetensors"
    weights = load_file(path)
    save_file({name: value + 0 for name, value in weights.items()}, path)
    with pytest.raises(InputError, match=re.escape(f"{path}: must be the file that was shipped")):
        check_files(made)
    shutil.rmtree(made / "clone")
    manifest = read_manifest(made)
    del manifest["files"]["reward/reward.safetensors"]
    (made / "assets.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=re.escape("bytes), got none; install the package again")):
        check_files(made)
