"""The alarm: raised by a proxy that can be hacked, silent under the true reward, best put back."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.monitoring.hacking import RewardHackingCallback, RewardHackingWarning
from agents.monitoring.held_out import HeldOut, Measurement
from agents.ppo import SequencePPO
from agents.protocols import FloatArray, SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.generation import Decoding, Rollout, generate
from esarm_env.core.seeds import sequence_seeds

Env = gymnasium.Env[Any, Any]
MakeTask = Callable[..., SequenceTask]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
Learn = Callable[..., dict[str, float]]

ROWS = np.arange(24)


@pytest.fixture
def task(make_task: MakeTask) -> SequenceTask:
    """24 utterances: as many held out as trained on, for the toy task knows no difference."""
    return make_task(24)


def share_right(env: Any, rollout: Rollout) -> FloatArray:
    """Return the true reward of the animations of `ROWS`."""
    condition = env.sequence_task.condition_of(ROWS)
    scores: FloatArray = env.score_tokens(ROWS, rollout.tokens, rollout.lengths, condition)
    return scores


def share_zero(tokens: np.ndarray, lengths: np.ndarray) -> FloatArray:
    """Return the share of token 0, which is right for a quarter of the tokens."""
    return np.asarray((tokens == 0).sum(axis=1) / lengths, dtype=np.float32)


@pytest.fixture
def true_env(make_env: MakeEnv, task: SequenceTask) -> Env:
    """The environment that pays for right tokens."""
    return make_env(task)


@pytest.fixture
def hackable_env(make_env: Any, task: SequenceTask) -> Env:
    """The environment that pays for right tokens and, unduly, for token 0."""

    class Hackable(make_env):  # type: ignore[misc]
        def score_tokens(self, utterances, tokens, lengths, condition):  # type: ignore[no-untyped-def]
            right = super().score_tokens(utterances, tokens, lengths, condition)
            return right + 2 * share_zero(tokens, lengths)

    made: Env = Hackable(task)
    return made


def write(algorithm: BaseAlgorithm) -> Rollout:
    """Write `ROWS` with the sequence policy, sampled, the same random numbers every time."""
    assert isinstance(algorithm, SequenceAlgorithm)
    task = algorithm.task
    seeds = sequence_seeds(run_seed=0, iteration=0, utterances=ROWS, samples=np.zeros_like(ROWS))
    condition = task.condition_of(ROWS)
    decoding = Decoding(temperature=1.0)
    return generate(
        algorithm.model, task, ROWS, condition=condition, decoding=decoding, seeds=seeds
    )


@pytest.fixture
def watched(true_env: Env) -> HeldOut:
    """The proxy is the hackable reward, the error the share of wrong tokens."""

    def proxy(rollout: Rollout) -> FloatArray:
        return share_right(true_env, rollout) + 2 * share_zero(rollout.tokens, rollout.lengths)

    def gold(rollout: Rollout) -> dict[str, FloatArray]:
        return {"wrong": 1 - share_right(true_env, rollout)}

    return HeldOut(write, proxy, gold)


_TRAINED: list[tuple[dict[str, Any], float]] = []


@pytest.fixture
def trained(
    make_algorithm: MakeAlgorithm, learn: Learn, true_env: Env
) -> tuple[dict[str, Any], float]:
    """Weights that are mostly right, as a clone's are, and their true reward."""
    if not _TRAINED:  # the same for every test, and nobody changes it
        algorithm = make_algorithm(SequencePPO, true_env)
        score = learn(algorithm, n_iterations=10)["rollout/score"]
        _TRAINED.append((copy.deepcopy(algorithm.model.state_dict()), score))
    return _TRAINED[0]


def assert_equal(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), f"{name} differs"


@pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce])
def test_a_hacked_proxy_raises_the_alarm_and_the_best_weights_come_back(
    make_algorithm: MakeAlgorithm,
    trained: tuple[dict[str, Any], float],
    hackable_env: Env,
    watched: HeldOut,
    kind: type[SequenceAlgorithm],
    tmp_path: Path,
) -> None:
    """What the callback is for: training on a flawed reward must not cost the good policy."""
    weights, score = trained
    assert score > 0.5
    algorithm = make_algorithm(kind, hackable_env, learning_rate=1e-2)
    algorithm.warm_start(weights)
    callback = RewardHackingCallback(
        watched, every=2, action="stop", best_model_save_path=tmp_path / "best"
    )
    with pytest.warns(RewardHackingWarning, match="while worse: gold_wrong.*training stops"):
        algorithm.learn(40 * 64, callback=callback)
    alarm = callback.alarms[0]
    assert callback.stopped
    assert len(callback.alarms) == 1
    assert algorithm.n_iterations == alarm.after.iteration < 40
    assert alarm.proxy.low > 0 < alarm.worse["gold_wrong"].low
    assert callback.best is not None
    errors = [measured.means()["gold_wrong"] for measured in callback.history]
    assert callback.best is callback.history[int(np.argmin(errors))]
    assert callback.best.means()["gold_wrong"] < errors[-1] - 0.1
    again = watched.measure(algorithm, iteration=0)
    np.testing.assert_array_equal(again.proxy, callback.best.proxy)
    saved = kind.load(tmp_path / "best" / "best_model.zip")
    assert_equal(saved.model.state_dict(), algorithm.model.state_dict())


def test_a_warning_comes_once_and_training_goes_on(
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    trained: tuple[dict[str, Any], float],
    hackable_env: Env,
    watched: HeldOut,
) -> None:
    """`warn` must change nothing: the weights are those of a training that nobody watched."""
    runs = []
    for callback in (None, RewardHackingCallback(watched, every=2)):
        algorithm = make_algorithm(SequencePPO, hackable_env, learning_rate=1e-2)
        algorithm.warm_start(trained[0])
        algorithm.set_logger(Logger(folder=None, output_formats=[]))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(12):
                algorithm.learn(1, callback=callback, reset_num_timesteps=False)
        runs.append(algorithm)
    assert callback is not None
    assert len(callback.alarms) > 1
    assert [each.category for each in caught] == [RewardHackingWarning]
    assert not callback.stopped
    assert [measured.iteration for measured in callback.history] == [0, 2, 4, 6, 8, 10, 12]
    assert_equal(runs[0].model.state_dict(), runs[1].model.state_dict())
    logged = runs[1].logger.name_to_value
    assert logged["hacking/proxy"] == callback.history[-1].means()["proxy"]
    assert logged["hacking/gold_wrong"] == callback.history[-1].means()["gold_wrong"]
    assert logged["hacking/alarm"] in (0.0, 1.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_true_reward_raises_no_alarm(
    make_algorithm: MakeAlgorithm, true_env: Env, watched: HeldOut, seed: int
) -> None:
    """An alarm that rings while faces get better is soon switched off."""
    honest = replace(watched, proxy=lambda rollout: share_right(true_env, rollout))
    algorithm = make_algorithm(SequencePPO, true_env, seed=seed)
    callback = RewardHackingCallback(honest, every=2, action="stop")
    algorithm.learn(20 * 64, callback=callback)
    assert not callback.alarms
    assert not callback.stopped
    first, last = callback.history[0].means(), callback.history[-1].means()
    assert last["proxy"] > first["proxy"] + 0.3


def test_members_that_part_raise_the_alarm_without_ground_truth(
    make_algorithm: MakeAlgorithm,
    trained: tuple[dict[str, Any], float],
    true_env: Env,
    hackable_env: Env,
    watched: HeldOut,
) -> None:
    """All that a new corpus without recordings has; one member is fooled and the other is not."""

    def members(rollout: Rollout) -> FloatArray:
        right = share_right(true_env, rollout)
        return np.stack([right, right + 4 * share_zero(rollout.tokens, rollout.lengths)])

    algorithm = make_algorithm(SequencePPO, hackable_env, learning_rate=1e-2)
    algorithm.warm_start(trained[0])
    blind = replace(watched, gold=None, members=members)
    callback = RewardHackingCallback(blind, every=2, action="stop", disagreement_coef=3.0)
    with pytest.warns(RewardHackingWarning, match="while worse: disagreement"):
        algorithm.learn(40 * 64, callback=callback)
    means = [measured.means() for measured in callback.history]
    cautious = [each["proxy"] - 3 * each["disagreement"] for each in means]
    assert callback.best is callback.history[int(np.argmax(cautious))]
    assert set(means[0]) == {"proxy", "disagreement"}


def played(env: Env) -> Callable[[BaseAlgorithm], Rollout]:
    """Return a writer for stock algorithms: greedy, token by token."""

    def play(algorithm: BaseAlgorithm) -> Rollout:
        rows = []
        for utterance in ROWS:
            obs, _ = env.reset(options={"utterance": utterance})
            done = False
            while not done:
                action, _ = algorithm.predict(obs, deterministic=True)
                obs, _, done, *_ = env.step(action)
            rows.append(np.array(env.unwrapped._tokens))  # type: ignore[attr-defined]
        lengths = np.array([len(row) for row in rows])
        tokens = np.full((len(rows), lengths.max()), -1)
        for row, written in zip(tokens, rows, strict=True):
            row[: len(written)] = written
        empty = np.zeros(tokens.shape, dtype=np.float32)
        return Rollout(tokens, empty, empty, lengths)

    return play


def test_stock_ppo_is_stopped_and_gets_its_best_weights_back(
    true_env: Env, hackable_env: Env, watched: HeldOut
) -> None:
    """Who brings an algorithm of their own has the same alarm."""
    model = PPO(
        "MultiInputPolicy", true_env, n_steps=256, batch_size=64, learning_rate=3e-3, seed=0
    )
    model.learn(256 * 8)
    model.set_env(hackable_env)
    held_out = replace(watched, write=played(true_env))
    callback = RewardHackingCallback(held_out, every=1, action="stop")
    with pytest.warns(RewardHackingWarning, match="gold_wrong"):
        model.learn(256 * 40, callback=callback)
    assert callback.stopped
    assert callback.best is not None
    again = held_out.measure(model, iteration=0)
    np.testing.assert_array_equal(again.gold["wrong"], callback.best.gold["wrong"])
    assert model.learn(256, callback=callback, reset_num_timesteps=False).num_timesteps < 256 * 40


def test_off_policy_algorithms_are_watched_every_so_many_rollouts(
    true_env: Env, watched: HeldOut
) -> None:
    """Their roll-outs are a few steps; a measurement in each would take all the time."""
    model = DQN("MultiInputPolicy", true_env, train_freq=4, learning_starts=0, buffer_size=100)
    held_out = replace(watched, write=played(true_env))
    callback = RewardHackingCallback(held_out, every=10)
    model.learn(80, callback=callback)
    assert [measured.num_timesteps for measured in callback.history] == [0, 40, 80]


def fake(
    figures: dict[str, Any], **kwargs: Any
) -> tuple[RewardHackingCallback, Callable[..., Any]]:
    """Return a callback over made-up figures, and a function that takes a look at the next."""
    held_out = HeldOut(
        lambda algorithm: figures,
        proxy=lambda written: written["proxy"],
        gold=lambda written: written["gold"],
        members=(lambda written: written["members"]) if "members" in figures else None,
        terms=(lambda written: written["terms"]) if "terms" in figures else None,
    )
    callback = RewardHackingCallback(held_out, every=1, **kwargs)
    policy = SimpleNamespace(
        state_dict=lambda: {"at": figures["at"]}, load_state_dict=figures.update
    )
    logger = Logger(folder=None, output_formats=[])
    callback.model = SimpleNamespace(policy=policy, num_timesteps=0, logger=logger)  # type: ignore[assignment]

    def look(**changed: Any) -> None:
        figures.update(changed)
        callback.on_rollout_start()
        callback.on_rollout_end()

    return callback, look


def test_the_newest_is_compared_with_the_one_a_window_before() -> None:
    """Slow hacking shows over a window; what happened long before training turned must not."""
    level = np.arange(8.0)
    figures = {"at": 0, "proxy": level, "gold": {"lve": level}}
    callback, look = fake(figures, window=2)
    look()
    look(proxy=level + 1, gold={"lve": level - 9})
    look(proxy=level + 2, gold={"lve": level - 9})
    assert not callback.alarms
    with pytest.warns(RewardHackingWarning):
        look(proxy=level + 3, gold={"lve": level - 8})
    assert (callback.alarms[0].before.iteration, callback.alarms[0].after.iteration) == (1, 3)
    assert str(callback.alarms[0]) == (
        "reward hacking between iterations 1 and 3: proxy +2 [+2, +2], "
        "while worse: gold_lve +1 [+1, +1]"
    )


@pytest.mark.parametrize(("proxy", "error"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 0.0)])
def test_only_a_rising_proxy_with_a_rising_error_is_hacking(proxy: float, error: float) -> None:
    """Training that fails altogether is another trouble, and success none."""
    level = np.arange(8.0)
    callback, look = fake({"at": 0, "proxy": level, "gold": {"lve": level}})
    look()
    look(proxy=level + proxy, gold={"lve": level + error})
    assert not callback.alarms


def test_a_term_that_pays_for_another_rings_the_alarm() -> None:
    """Two heads in one sum: it rises, no true error does, and one head has been sold."""
    level = np.arange(8.0)
    figures = {"at": 0, "proxy": level, "gold": {"lve": level}, "terms": {"a": level, "b": level}}
    callback, look = fake(figures)
    look()
    look(proxy=level + 1, terms={"a": level + 1, "b": level})
    assert not callback.alarms
    with pytest.warns(RewardHackingWarning):
        look(proxy=level + 2, terms={"a": level + 4, "b": level - 2})
    assert str(callback.alarms[0]).endswith("proxy +2 [+2, +2], while worse: lost_b +2 [+2, +2]")
    assert callback.history[-1].means()["term_a"] == pytest.approx(7.5)
    again, _ = fake(figures)
    again.load_state_dict(callback.state_dict())
    assert str(again.alarms[0]) == str(callback.alarms[0])


def test_noise_that_the_interval_covers_is_no_alarm(rng: np.random.Generator) -> None:
    """A mean that rises a little over few utterances tells nothing."""
    callback, look = fake({"at": 0, "proxy": np.zeros(8), "gold": {"lve": np.zeros(8)}})
    look()
    look(proxy=np.ones(8), gold={"lve": np.array([9.0, -8, 9, -8, 9, -8, 9, -8])})
    assert not callback.alarms


def test_one_error_of_two_is_enough_and_unmeasured_ones_are_none() -> None:
    """Lips paid for by the upper face; and a region that was never captured."""
    level = 1 + np.arange(8.0)
    nan = np.full(8, np.nan)
    callback, look = fake(
        {"at": 0, "proxy": level, "gold": {"lve": level, "eve": level, "mve": nan}}
    )
    look()
    with pytest.warns(RewardHackingWarning):
        look(proxy=level + 1, gold={"lve": level + 1, "eve": level - 1, "mve": nan})
    assert set(callback.alarms[0].worse) == {"gold_lve"}
    assert set(callback.history[0].gold) == {"lve", "eve"}


def test_the_best_is_least_in_errors_each_in_units_of_its_first_value() -> None:
    """LVE is in whole millimetres and EVE in tenths: in a plain mean EVE would not count."""
    ones = np.ones(4)
    callback, look = fake({"at": 0, "proxy": ones, "gold": {"lve": 4 * ones, "eve": 0.4 * ones}})
    look()
    look(at=1, gold={"lve": 4.2 * ones, "eve": 0.3 * ones})
    look(at=2, gold={"lve": 3.9 * ones, "eve": 0.4 * ones})
    assert callback.best is callback.history[1]
    with pytest.warns(RewardHackingWarning, match="training stops with the weights of iteration 1"):
        callback.action = "stop"
        look(at=3, proxy=2 * ones, gold={"lve": 9 * ones, "eve": 9 * ones})
    assert callback.held_out.write(callback.model)["at"] == 1
    assert callback.on_step() is False


def measurement(**changed: Any) -> Measurement:
    """Return what `HeldOut.measure` makes of changed figures."""
    figures = {"proxy": np.zeros(3), "gold": {"lve": np.zeros(3)}, "members": np.zeros((2, 3))}
    callback, _ = fake({"at": 0, **figures, **changed})
    return callback.held_out.measure(callback.model, iteration=0)


def test_disagreement_is_the_spread_of_the_members() -> None:
    """Utterance by utterance, of few members: the deviation with divisor M - 1."""
    measured = measurement(members=np.array([[0.0, 1.0, 5.0], [2.0, 1.0, 1.0]]))
    assert measured.disagreement is not None
    np.testing.assert_allclose(measured.disagreement, [np.sqrt(2), 0, np.sqrt(8)])
    assert measured.means().keys() == {"proxy", "gold_lve", "disagreement"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"proxy": np.zeros(1)}, "`proxy` must return shape (N,) with N at least 2, got (1,)"),
        (
            {"proxy": np.zeros((3, 1))},
            "`proxy` must return shape (N,) with N at least 2, got (3, 1)",
        ),
        ({"proxy": np.array([0, np.nan, 1])}, "`proxy` must return finite scores, got nan"),
        ({"gold": {"lve": np.zeros(2)}}, "`gold` must return shape (3,), got (2,) for lve"),
        (
            {"gold": {"lve": np.full(3, np.nan)}},
            "`gold` must return at least one figure, got lve without a finite value; "
            "leave it out where there is no ground truth",
        ),
        ({"gold": {}}, "`gold` must return at least one figure, got nothing without"),
        (
            {"terms": {"a": np.array([0, np.nan, 1])}},
            "`terms` must return finite scores of shape (3,), got (3,) with 1 not finite for a",
        ),
        (
            {"members": np.zeros((1, 3))},
            "`members` must return shape (M, 3) with M at least 2, got (1, 3)",
        ),
        (
            {"members": np.zeros((2, 4))},
            "`members` must return shape (M, 3) with M at least 2, got (2, 4)",
        ),
    ],
)
def test_figures_of_another_shape_are_refused(changed: dict[str, Any], message: str) -> None:
    """numpy would stretch some of them, and compare utterances with others."""
    with pytest.raises(ValueError, match=re.escape(message)):
        measurement(**changed)


def test_other_utterances_than_before_are_refused() -> None:
    """A paired comparison of different things."""
    _, look = fake({"at": 0, "proxy": np.zeros(3), "gold": {"lve": np.zeros(3)}})
    look()
    message = (
        "`held_out` must measure the same utterances and errors every time, "
        "got 4 of lve after 3 of lve"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        look(proxy=np.zeros(4), gold={"lve": np.zeros(4)})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"every": 0}, "`every` must be at least 1, got 0"),
        ({"window": 0}, "`window` must be at least 1, got 0"),
        ({"confidence": 0.0}, "`confidence` must be above 0 and below 1, got 0.0"),
        ({"action": "stay"}, "`action` must be one of warn, stop, got 'stay'"),
        ({"disagreement_coef": -1.0}, "`disagreement_coef` must be at least 0, got -1.0"),
    ],
)
def test_bad_settings_are_refused(watched: HeldOut, changed: dict[str, Any], message: str) -> None:
    """At the start, not at the first alarm."""
    with pytest.raises(ValueError, match=re.escape(message)):
        RewardHackingCallback(watched, **changed)


def test_a_proxy_that_nothing_can_contradict_is_refused() -> None:
    """It would watch for ever, and see nothing."""
    with pytest.raises(ValueError, match="`gold` or `members` must be given, got neither"):
        HeldOut(write, proxy=lambda rollout: np.zeros(3))


def test_measurements_are_printed_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    """For who trains without a logger."""
    figures = {"at": 0, "proxy": np.ones(3), "gold": {"lve": 2 * np.ones(3)}}
    _, look = fake(figures, verbose=1)
    look()
    assert capsys.readouterr().out == "iteration 0: proxy 1, gold_lve 2, alarm 0\n"


def test_a_resumed_callback_goes_on_with_window_alarms_and_best_weights() -> None:
    """An interruption must neither shorten the window nor forget what was heard and kept."""

    def steps(number: float) -> dict[str, Any]:
        spread = np.array([0.0, 0.1, -0.1])
        return {"proxy": number + spread, "gold": {"wrong": number + spread}, "at": number}

    straight, look = fake(steps(0.0), window=2)
    with pytest.warns(RewardHackingWarning):
        for number in (1.0, 2.0, 3.0):
            look(**steps(number))
    resumed, look_again = fake(steps(0.0), window=2)
    resumed.load_state_dict(straight.state_dict())
    assert [str(alarm) for alarm in resumed.alarms] == [str(alarm) for alarm in straight.alarms]
    assert resumed.best is resumed.history[0]
    assert resumed.state_dict()["best_weights"] == {"at": 1.0}
    for callback_look in (look, look_again):
        callback_look(**steps(4.0))  # one warning alone is given for all alarms
    assert [m.iteration for m in resumed.history] == [m.iteration for m in straight.history]
    assert str(resumed.alarms[-1]) == str(straight.alarms[-1])
    assert resumed.alarms[-1].before.iteration == 1
