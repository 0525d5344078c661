"""Settings out of range are refused under their full keys, before a run's first stage."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.shipped import shipped_run
from train.cli import main
from train.run.config import PRESETS, Config, make_config
from train.run.run_folder import RunFolder
from train.run.setting_ranges import check_settings

REFUSED = [
    (["seed=-1"], "`seed` must be at least 0, got -1"),
    (["seed=9999999999"], "`seed` must be at most 2147483647, got 9999999999"),
    (["clone.epochs=9999999999"], "`clone.epochs` must be at most 2147483647, got 9999999999"),
    (["corpus.size=-1"], "`corpus.size` must be at least 0, got -1"),
    (
        ["corpus.encoder=mfcc"],
        "`corpus.encoder` must be logmel, logmel-running, wavlm, wavlm:FOLDER, wavlm@LAYERS, "
        "phones or phones+logmel, got 'mfcc'",
    ),
    (["prior.n_tokens=0"], "`prior.n_tokens` must be at least 1, got 0"),
    (["prior.learning_rate=0"], "`prior.learning_rate` must be above 0 and finite, got 0.0"),
    (["prior.velocity_coef=.inf"], "`prior.velocity_coef` must be at least 0 and finite, got inf"),
    (["clone.patience=0"], "`clone.patience` must be at least 1, got 0"),
    (["clone.dropout=1"], "`clone.dropout` must be at least 0 and below 1, got 1.0"),
    (["clone.token_noise=1.5"], "`clone.token_noise` must be at least 0 and at most 1, got 1.5"),
    (
        ["encoder.voice_variety=2.0"],
        "`encoder.voice_variety` must be at least 0 and at most 1, got 2",
    ),
    (["clone.feature_noise=.nan"], "`clone.feature_noise` must be at least 0 and finite, got nan"),
    (
        ["clone.width=90"],
        "`clone.width` must be a multiple of 8 for 4 heads (`clone.n_heads`), got 90",
    ),
    (["demonstrate.rollouts=0"], "`demonstrate.rollouts` must be at least 1, got 0"),
    (["demonstrate.epsilons=[0.5, 2]"], "`demonstrate.epsilons` must be in [0, 1], got [0.5, 2.0]"),
    (["demonstrate.epsilons=[]"], "`demonstrate.epsilons` must be different noise levels, got []"),
    (["recipe=papers"], "`recipe` must be `consensus` or `paper`, got 'papers'"),
    (
        ["recipe=paper", "demonstrate.epsilons=[0.5]"],
        "`demonstrate.epsilons` must be at least two levels for the recipe `paper`, which ranks "
        "them, got [0.5]",
    ),
    (
        ["recipe=paper", "reward.width=98"],
        "`reward.width` must be a multiple of 4 for 4 heads (`reward.n_heads`), got 98",
    ),
    (
        ["recipe=paper", "reward.pooling=max"],
        "`reward.pooling` must be one of mean, last, got 'max'",
    ),
    (
        ["recipe=paper", "reward.chunk_credit=blame"],
        "`reward.chunk_credit` must be one of prefixes, attention, got 'blame'",
    ),
    (
        ["recipe=paper", "reward.shortest_crop=0"],
        "`reward.shortest_crop` must be above 0 and at most 1, got 0.0",
    ),
    (["consensus.samples=1"], "`consensus.samples` must be at least 2, got 1"),
    (
        ["consensus.strengths=[0.5, 0]"],
        "`consensus.strengths` must be above 0 and at most 1, got 0",
    ),
    (
        ["consensus.families=[smoothing]"],
        "`consensus.families`: a corruption family must be one of",
    ),
    (
        ["consensus.combination=median"],
        "`consensus.combination` must be one of mean, minimum, got 'median'",
    ),
    (["naturalness.weight=-1"], "`naturalness.weight` must be at least 0 and finite, got -1.0"),
    (["naturalness.graded=2"], "`naturalness.graded` must be at least 0 and at most 1, got 2"),
    (["consensus.width=50"], "`consensus.width` must be a multiple of 4 for 4 heads"),
    (
        ["improve.n_episodes=30"],
        "`improve.n_episodes` must be a positive multiple of `improve.samples_per_utterance` (4), "
        "got 30",
    ),
    (["improve.iterations=0"], "`improve.iterations` must be at least 1, got 0"),
    (["improve.temperature=0"], "`improve.temperature` must be at least 0.001 and finite, got 0.0"),
    (["improve.kl_coef=-1"], "`improve.kl_coef` must be at least 0 and finite, got -1.0"),
    (["improve.algorithms=[dqn]"], "`improve.algorithms` must be "),
    (["improve.algorithms=[]"], "`improve.algorithms` must be "),
    (["improve.alarm=loud"], "`improve.alarm` must be one of off, warn, stop, got 'loud'"),
    (["improve.reward=jerkk"], "`improve.reward` must be one of "),
    (["improve.reward=jerkk"], "got 'jerkk'; did you mean 'jerk'?"),
    (["improve.reward=ensemble"], "`improve.reward` must be given as 'ensemble:ARGUMENT', got "),
    (["improve.reward=jerk:x"], "`improve.reward` must be given as 'jerk', got 'jerk:x'"),
    (["evaluate.confidence=1"], "`evaluate.confidence` must be above 0 and below 1, got 1.0"),
    (["evaluate.samples=0"], "`evaluate.samples` must be at least 1, got 0"),
    (["evaluate.energy_samples=1"], "`evaluate.energy_samples` must be at least 2, got 1"),
    (["evaluate.extra_utterances=-1"], "`evaluate.extra_utterances` must be at least 0, got -1"),
    (["evaluate.head=nowhere.glb"], "`evaluate.head`: "),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED)
def test_a_setting_out_of_range_is_named_in_full(overrides: list[str], message: str) -> None:
    """`n_episodes` alone does not say whose it is, nor which option to mend."""
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(make_config(preset="demo", overrides=overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        ["demonstrate.train_utterances=0", "consensus.train_utterances=0", "corpus.size=0"],
        ["consensus.damages=0", "consensus.others_per_update=0", "consensus.strengths=[1]"],
        ["clone.dropout=0", "clone.label_smoothing=0", "clone.token_noise=1"],
        ["improve.kl_coef=0", "improve.reference_kl_target=0", "improve.value_warmup=0"],
        ["improve.n_episodes=4", "improve.samples_per_utterance=4"],
        ["improve.samples_per_utterance=1", "improve.n_episodes=1", "improve.reward=jerk"],
        [f"improve.reward=learned:{shipped_run()}", "improve.algorithms=[reinforce]"],
        ["demonstrate.epsilons=[0, 1]", "evaluate.resamples=1"],
        ["recipe=paper", "reward.shortest_crop=1", "reward.pooling=last"],
    ],
)
def test_settings_at_their_limits_are_allowed(overrides: list[str]) -> None:
    """A check that is too strict takes away what worked."""
    check_settings(make_config(preset="demo", overrides=overrides))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_within_all_ranges(name: str) -> None:
    """A preset that is refused would be the first thing that a new user sees."""
    check_settings(PRESETS[name])


def test_settings_of_other_stages_are_left_alone() -> None:
    """A finished stage's settings, say of a reward that is no longer installed, do not matter."""
    config = make_config(preset="demo", overrides=["improve.reward=gone"])
    check_settings(config, ["corpus", "prior", "evaluate"])


@pytest.mark.parametrize(
    ("command", "setting", "message"),
    [
        ("run", "improve.n_episodes=30", "`improve.n_episodes` must be a positive multiple of"),
        ("improve", "improve.n_episodes=30", "`improve.n_episodes` must be a positive multiple of"),
        ("run", "improve.reward=smlie", "`improve.reward` must be one of"),
        (
            "run",
            "improve.reward=learned:nowhere",
            "`improve.reward` must name runs or weights that",
        ),
        ("run", "evaluate.resamples=0", "`evaluate.resamples` must be at least 1, got 0"),
    ],
)
def test_a_command_refuses_before_it_does_anything(
    command: str,
    setting: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It ended in a traceback after the minutes of all stages before."""
    with pytest.raises(SystemExit) as stop:
        main([command, "--run", str(tmp_path / "run"), "--set", setting])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"esarm: {message}")
    assert not (tmp_path / "run").exists()


def test_a_stage_of_an_older_run_names_its_bad_setting(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run begun before settings were checked may hold one out of range."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for stage in ("improve", "evaluate"):
        shutil.rmtree(run / stage)
    file = run / "config.yaml"
    file.write_text(file.read_text().replace("n_episodes: 4", "n_episodes: 3"))
    message = "`improve.n_episodes` must be a positive multiple of"
    for command in ("run", "improve"):
        with pytest.raises(SystemExit):
            main([command, "--run", str(run)])
        assert message in capsys.readouterr().err
    with pytest.raises(InputError, match=re.escape(message)):
        RunFolder.open(run).perform("improve", lambda folder: {})
    assert not (run / ".improve.partial").exists()


def test_a_finished_stage_is_not_checked_again(tmp_path: Path) -> None:
    """A run that was finished stays readable whatever is uninstalled since."""
    run = RunFolder.create(tmp_path / "run", Config())
    run.perform("corpus", lambda folder: {"answer": 42})
    run.config = make_config(preset="demo", overrides=["corpus.encoder=mfcc"])
    assert run.perform("corpus", lambda folder: {})["answer"] == 42


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "`encoder.finetune_layers` must be 0 unless `corpus.encoder` is a WavLM, got 3 with"),
        (
            ["corpus.encoder=wavlm@2:{weights}"],
            "`encoder.finetune_layers` must be at most 2, the transformer layers of WavLM that are",
        ),
        (
            ["corpus.encoder=wavlm:{weights}", "encoder.finetune_after=12", "encoder.epochs=12"],
            "`encoder.finetune_after` must be below `encoder.epochs` (12) for WavLM to learn",
        ),
        (["corpus.encoder=wavlm:{weights}"], ""),
    ],
)
def test_what_cannot_be_fine_tuned_is_told_before_the_first_stage(
    tiny_wavlm: Path, overrides: list[str], message: str
) -> None:
    """With features that do not learn the setting would do nothing, after hours."""
    named = [setting.format(weights=tiny_wavlm) for setting in overrides]
    config = make_config(preset="demo", overrides=["encoder.finetune_layers=3", *named])
    if message:
        with pytest.raises(InputError, match=re.escape(message)):
            check_settings(config)
    else:
        check_settings(config)


def test_weights_of_an_encoder_are_looked_for_before_the_first_stage(tmp_path: Path) -> None:
    """It was told after the minutes in which the corpus was made."""
    config = make_config(preset="demo", overrides=[f"corpus.encoder=wavlm:{tmp_path / 'none'}"])
    message = "`corpus.encoder` must name a folder with a `config.json` of WavLM, or weights of a"
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(config)
