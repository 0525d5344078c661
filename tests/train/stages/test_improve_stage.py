"""The improve stage's settings, its alarm, and what it keeps over an interruption."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import torch

from agents import SequencePPO
from agents.distillation import DistillationConfig
from agents.monitoring.hacking import RewardHackingWarning
from agents.registry import ALGORITHM_GROUP
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.envs.scalar import SpeechAnimationEnv
from train.run.config import PRESETS, make_config
from train.run.run_folder import RunFolder
from train.run.setting_ranges import check_settings
from train.run.settings.sections import ImproveConfig
from train.stages.improve import ImproveTrainer, make_algorithm, rate_share, run_improve


@pytest.fixture
def run_with(finished_run, tmp_path):
    """A function that returns a copy of the run, without its last stages, with other settings."""

    def copy(**improve):
        path = tmp_path / "run"
        shutil.copytree(finished_run, path)
        for stage in ("improve", "evaluate"):
            shutil.rmtree(path / stage)
        run = RunFolder.open(path)
        config = dataclasses.replace(run.config.improve, **improve)
        run.config = dataclasses.replace(run.config, improve=config)
        return run

    return copy


def make_trainer(run, name="ppo"):
    """Return a fresh trainer of the run."""
    clone = load_policy(run.stage("clone") / "policy.safetensors")
    env = SpeechAnimationEnv(run.path, reward=run.config.improve.reward, metrics=False)
    algorithm = make_algorithm(name, env, clone, run.config.improve, seed=run.config.seed)
    return ImproveTrainer(algorithm, clone, run)


def test_advantages_are_by_stream_just_where_the_reward_tells(run_with):
    """`auto` must neither fail on one score nor leave two scores mixed."""
    run = run_with(reward="accuracy")
    assert make_trainer(run).algorithm.stream_advantages
    for reward, choice in (("jerk", "auto"), ("accuracy", "off")):
        config = dataclasses.replace(run.config.improve, reward=reward, stream_advantages=choice)
        run.config = dataclasses.replace(run.config, improve=config)
        assert not make_trainer(run).algorithm.stream_advantages


def test_settings_reach_the_algorithm(run_with):
    """A setting that goes nowhere would be tuned for hours."""
    run = run_with(temperature=0.7, value_warmup=3, reference_kl_target=0.02)
    algorithm = make_trainer(run).algorithm
    assert (algorithm.temperature, algorithm.value_warmup, algorithm.reference_kl_target) == (
        0.7,
        3,
        0.02,
    )
    assert make_trainer(run).callback is None
    off = dataclasses.replace(run.config.improve, reference_kl_target=0.0)
    run.config = dataclasses.replace(run.config, improve=off)
    assert make_trainer(run).algorithm.reference_kl_target is None


THEIRS = '''
from agents import SequencePPO
from agents.distillation import DistillationConfig


class Mild(SequencePPO):
    """PPO of others."""
'''


def test_every_registered_algorithm_gets_the_settings_that_it_takes(run_with, make_package):
    """A setting that one does not know ends in a TypeError; one not passed on is lost silently."""
    make_package("theirs", THEIRS, group=ALGORITHM_GROUP, mild="Mild")
    run = run_with(reward="accuracy", batch_tokens=128, value_warmup=1)
    clone = load_policy(run.stage("clone") / "policy.safetensors")
    env = SpeechAnimationEnv(run.path, reward="accuracy", metrics=False)
    sizes = {}
    for name in ("ppo", "reinforce", "grpo", "mild"):
        made = make_algorithm(name, env, clone, run.config.improve, seed=0)
        sizes[name] = (made.batch_tokens, getattr(made, "value_warmup", None))
        assert made.temperature == run.config.improve.temperature
    assert sizes == {
        "ppo": (128, 1),
        "reinforce": (None, None),
        "grpo": (128, None),
        "mild": (128, 1),
    }
    assert isinstance(made, SequencePPO)


def test_a_run_improves_with_grpo_and_with_an_algorithm_of_another_package(run_with, make_package):
    """Neither could be asked for while the stage kept a list of its own."""
    make_package("theirs", THEIRS, group=ALGORITHM_GROUP, mild="Mild")
    run = run_with(algorithms=("grpo", "mild"), iterations=1)
    summary = run_improve(run)
    assert set(summary) >= {"grpo", "mild", "best_on_validation"}
    for name in ("grpo", "mild"):
        assert (run.stage("improve") / name / "policy.safetensors").is_file()


@pytest.mark.parametrize(
    ("algorithms", "message"),
    [
        (
            ("ppo", "grop"),
            "`improve.algorithms` must be one of diff-reward, distillation, grpo, ppo, reinforce, "
            "theirs, got 'grop'; did you mean 'grpo'?",
        ),
        (
            ("ppo", "theirs"),
            "algorithm 'theirs' must be importable, got OSError: no licence; "
            "mend or uninstall theirs 1.2",
        ),
    ],
)
def test_unknown_and_broken_algorithms_are_refused_before_any_is_trained(
    run_with, make_package, algorithms, message
):
    """Hours of the first algorithm would pass before the name of the second is read."""
    make_package("theirs", "raise OSError('no licence')", group=ALGORITHM_GROUP, theirs="Theirs")
    run = run_with(algorithms=algorithms)
    with pytest.raises(InputError, match=re.escape(message)):
        run_improve(run)
    assert not (run.path / "improve").exists()


@pytest.mark.filterwarnings("ignore:reward hacking")  # of two utterances every drift is sure
def test_an_interruption_keeps_the_adapted_coefficient_and_the_alarms_window(run_with):
    """Starting from the configured coefficient again would change what comes after."""
    run = run_with(reference_kl_target=1e-9, iterations=4, alarm="warn", reward="accuracy")
    straight = make_trainer(run)
    for _ in range(4):
        straight.advance()
    first = make_trainer(run)
    for _ in range(2):
        first.advance()
    assert first.algorithm.kl_coef != run.config.improve.kl_coef
    second = make_trainer(run)
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.advance()
    assert second.algorithm.kl_coef == straight.algorithm.kl_coef
    for name, weight in straight.algorithm.model.state_dict().items():
        assert torch.equal(weight, second.algorithm.model.state_dict()[name]), name
    seen = [[m.iteration for m in t.callback.history] for t in (straight, second)]
    assert seen[0] == seen[1] == [0, 1, 2, 3, 4]
    pairs = zip(straight.callback.history, second.callback.history, strict=True)
    for one, two in pairs:
        np.testing.assert_array_equal(one.proxy, two.proxy)


def test_an_alarm_stops_training_and_is_in_the_summary(run_with, monkeypatch):
    """Who asks for `stop` wants the policy of before the hacking, and to be told."""
    run = run_with(alarm="stop", iterations=6)
    trainer = make_trainer(run)
    callback = trainer.callback
    figures = iter(range(100))

    def hack(_):
        number = float(next(figures))
        return np.array([number, number + 1]), {"lve": np.array([number, number + 2])}

    assert callback.held_out.signals is not None and callback.held_out.sharp is not None
    held_out = dataclasses.replace(
        callback.held_out,
        write=hack,
        proxy=lambda w: w[0],
        gold=lambda w: w[1],
        **dict.fromkeys(("terms", "signals", "sharp")),
    )
    monkeypatch.setattr(callback, "held_out", held_out)
    with pytest.warns(RewardHackingWarning, match="training stops with the weights of iteration 0"):
        while trainer.n_done < trainer.n_total:
            row = trainer.advance()
    assert trainer.n_done == trainer.n_total == 1
    assert "validation_lve_mm" in row
    assert row["alarm"] == 1.0, "whoever watches the rows sees it at once"
    heard = trainer.heard()
    assert heard["stopped"]
    assert "while worse: gold_lve" in heard["alarms"][0]
    clone = load_policy(run.stage("clone") / "policy.safetensors").state_dict()
    for name, weight in trainer.algorithm.model.state_dict().items():
        assert torch.equal(weight, clone[name]), name


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("improve.alarm=loud", "`improve.alarm` must be one of off, warn, stop, got 'loud'"),
        (
            "improve.stream_advantages=perhaps",
            "`improve.stream_advantages` must be one of auto, on, off, got 'perhaps'",
        ),
    ],
)
def test_unknown_choices_are_refused(run_with, setting, message):
    """A misspelt alarm would never ring."""
    name, value = setting.removeprefix("improve.").split("=")
    run = run_with(**{name: value})
    with pytest.raises(InputError, match=re.escape(message)):
        run_improve(run)


def test_on_and_off_are_words_though_yaml_reads_them_as_truth():
    """`--set improve.alarm=off` must mean what it says."""
    settings = ["improve.alarm=off", "improve.stream_advantages=on"]
    improve = make_config(preset="demo", overrides=settings).improve
    assert (improve.alarm, improve.stream_advantages) == ("off", "on")
    assert ImproveConfig() == PRESETS["demo"].improve


def test_an_interrupted_stage_reports_the_algorithms_before(run_with, monkeypatch):
    """Killed in REINFORCE, `improve` went on, but PPO's figures were gone from its summary."""
    run = run_with()
    whole = run_improve(run)
    shutil.rmtree(run.path / "improve" / "reinforce")
    (run.path / "improve" / "summary.json").unlink()
    (run.path / "improve").rename(run.path / ".improve.partial")
    advance = ImproveTrainer.advance
    advanced = []

    def counted(trainer):
        advanced.append(trainer.algorithm)
        return advance(trainer)

    monkeypatch.setattr(ImproveTrainer, "advance", counted)
    again = run_improve(run)
    assert {type(algorithm).__name__ for algorithm in advanced} == {"SequenceReinforce"}
    for summary in (whole, again):
        for timed in (summary, summary["ppo"], summary["reinforce"]):
            assert timed.pop("wall_s") >= 0
    assert again == whole


def test_distillation_takes_its_own_settings_and_leaves_those_it_has_no_use_for(run_with):
    """Its learning rate is another one; and `stream_advantages: auto` must not stop it."""
    mine = DistillationConfig(
        iterations=3, learning_rate=7e-4, samples_coef=0.5, fit_temperature=0.3, n_epochs=3,
        batch_tokens=77, n_episodes=6,
    )  # fmt: skip
    run = run_with(reward="accuracy", distillation=mine, learning_rate=1e-5, batch_tokens=99)
    trainer = make_trainer(run, "distillation")
    algorithm = trainer.algorithm
    assert trainer.n_total == 3
    names = ("learning_rate", "samples_coef", "fit_temperature", "n_epochs", "kl_coef")
    for name in (*names, "batch_tokens", "n_episodes"):
        assert getattr(algorithm, name) == getattr(mine, name), name
    assert algorithm.stream_advantages is False
    assert make_trainer(run).n_total == run.config.improve.iterations


def test_distillation_learns_fast_twice_and_slows_down_twice():
    """A rate that had fallen with the answers would leave the teacher untaught."""
    config = DistillationConfig(answers_iterations=6, iterations=16)
    shares = [rate_share(iteration, config) for iteration in range(16)]
    assert shares[0] == shares[6] == pytest.approx(1 / 3)
    assert shares[3] == pytest.approx(0.5)
    assert shares[11] == pytest.approx(0.5)
    assert max(shares[5], shares[15]) < 0.1
    assert rate_share(0, DistillationConfig(iterations=4)) == pytest.approx(1 / 3)


def test_credit_is_given_by_chunk_to_those_that_are_named(run_with):
    """Given to the paper's plain recipe too, there would be nothing to compare with."""
    run = run_with(reward="accuracy", chunk_credit=("reinforce",), chunk_discount=0.5)
    found = {name: make_trainer(run, name).algorithm for name in ("ppo", "reinforce")}
    assert {name: each.credit for name, each in found.items()} == {
        "ppo": "terminal",
        "reinforce": "chunk",
    }
    assert found["reinforce"].chunk_discount == 0.5


def test_a_reward_that_cannot_tell_chunks_apart_is_credited_as_a_whole(run_with):
    """As with `stream_advantages: auto`; a default must not forbid a reward."""
    run = run_with(reward="closure_f1", chunk_credit=("reinforce",))
    assert make_trainer(run, "reinforce").algorithm.credit == "terminal"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["improve.distillation.teacher=best"],
            "`improve.distillation.teacher` must be one of expected-distance, best-of-n, "
            "chunk-best, got 'best'",
        ),
        (
            ["improve.distillation.entropy_floor=2.0"],
            "`improve.distillation.entropy_floor` must be at least 0 and at most 1, got 2.0",
        ),
        (
            ["improve.stream_advantages=on"],
            "`improve.stream_advantages` must be `auto` or `off` with the algorithm `distillation`",
        ),
        (
            ["improve.distillation.samples_per_utterance=7"],
            "`improve.distillation.n_episodes` must be a positive multiple of "
            "`improve.distillation.samples_per_utterance` (7)",
        ),
        (
            ["improve.distillation.answers_iterations=34"],
            "`improve.distillation.answers_iterations` must be below `iterations` (34), got 34",
        ),
        (
            ["improve.chunk_credit=[distillation]"],
            "`improve.chunk_credit` must be algorithms that take `credit`, got 'distillation'",
        ),
        (
            ["improve.chunk_credit=[ppo]", "improve.chunk_discount=1.5"],
            "`improve.chunk_discount` must be in [0, 1], got 1.5",
        ),
        (
            ["improve.interpolation=best"],
            "`improve.interpolation` must be one of off, report, true-error, no-recordings",
        ),
        (
            ["improve.reference_averaging=1.5"],
            "`improve.reference_averaging` must be in [0, 1], got 1.5",
        ),
    ],
)
def test_settings_of_distillation_and_of_the_way_back_are_checked_first(settings, message):
    """Under their full keys, before the hours of the stages before."""
    chosen = ["improve.algorithms=[distillation]", *settings]
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(make_config(preset="demo", overrides=chosen), ["improve"])


def test_the_policy_of_a_run_is_the_point_that_was_chosen_on_the_way_back(run_with):
    """Its file holds the weights at the share that the report names; the curve is beside it."""
    mine = DistillationConfig(iterations=1)
    run = run_with(
        algorithms=("distillation",),
        reward="accuracy",
        distillation=mine,
        interpolation="true-error",
        evaluate_utterances=3,
    )
    summary = run_improve(run)["distillation"]
    folder = run.stage("improve") / "distillation"
    report = json.loads((folder / "interpolation.json").read_text())
    assert [point["share"] for point in report["curve"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    taken = summary["interpolation"]["taken"]
    assert taken == report["chosen"]["true-error"]
    assert set(report["chosen"]) == {"true-error", "no-recordings", "root"}
    assert set(summary["stopping"]) == {"true-error", "no-recordings"}
    clone, policy = load_policy(run.stage("clone")), load_policy(folder)
    assert torch.equal(policy.to_logits, clone.to_logits) == (taken == 0)


def test_an_interruption_keeps_the_averaged_reference(run_with):
    """Measured from the clone again, the divergence would be another one."""
    run = run_with(reward="accuracy", reference_averaging=0.5, iterations=2)
    straight, first, second = (make_trainer(run) for _ in range(3))
    first.advance()
    second.load_state_dict(first.state_dict())
    straight.advance()
    expected, found = straight.advance(), second.advance()
    assert expected["kl"] == found["kl"]
    one, two = (each.algorithm.reference.to_logits for each in (straight, second))
    assert torch.equal(one, two)
