"""Old spellings: they work for one version, and say the new one."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings

import pytest

import esarm_env
from esarm_env.core.deprecation import moved, renamed_keys
from esarm_env.core.errors import InputError

NAMES = {"batch_size": "batch_tokens"}


def test_an_old_name_is_replaced_in_its_place_and_warned_of() -> None:
    """The order of settings is that of the file they came from."""
    rule = (
        "`clone.batch_size` is deprecated and goes with the next version; use `clone.batch_tokens`"
    )
    with pytest.warns(DeprecationWarning, match=re.escape(rule)) as caught:
        made = renamed_keys({"a": 1, "batch_size": 2, "b": 3}, NAMES, prefix="clone.")
    assert list(made.items()) == [("a", 1), ("batch_tokens", 2), ("b", 3)]
    assert caught[0].filename == __file__, "the caller is to blame, not us"


def test_new_names_and_what_an_older_version_saved_pass_without_a_word() -> None:
    """Nobody can change what a file of last year says."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert renamed_keys({"batch_tokens": 2}, NAMES) == {"batch_tokens": 2}
        assert renamed_keys({"batch_size": 2}, NAMES, silent=True) == {"batch_tokens": 2}


def test_both_names_at_once_are_refused() -> None:
    """One of them would be ignored without a word."""
    rule = "`batch_size` must be left out beside `batch_tokens`, its new name, got 1 and 2"
    with pytest.raises(InputError, match=re.escape(rule)):
        renamed_keys({"batch_size": 1, "batch_tokens": 2}, NAMES)


def test_a_name_that_has_moved_is_found_in_its_new_place() -> None:
    """`InputError` was in `esarm_env.errors`, and `except` must still catch the same class."""
    find = moved("esarm_env.errors", {"InputError": "esarm_env:InputError"})
    rule = "`esarm_env.errors.InputError` is deprecated and goes with the next version; use "
    with pytest.warns(DeprecationWarning, match=re.escape(rule + "`esarm_env.InputError`")):
        assert find("InputError") is InputError
    with pytest.raises(AttributeError, match=re.escape("'esarm_env.errors' has no attribute 'x'")):
        find("x")


@pytest.mark.parametrize(
    ("statement", "new"),
    [
        ("from esarm_env.env import SpeechAnimationEnv", "esarm_env.SpeechAnimationEnv"),
        ("from esarm_env.errors import InputError", "esarm_env.InputError"),
        ("from train.config import make_config", "train.run.config.make_config"),
        ("from train.policies import load_policy", "agents.load_policy"),
        ("from train.policies import animate_utterances", "agents.animate_utterances"),
        ("from train.policies import roll_out_with", "agents.roll_out_with"),
        ("from reward import Demonstrations", "reward.RankedDemonstrations"),
    ],
)
def test_old_places_still_give_their_names_and_warn(statement: str, new: str) -> None:
    """Scripts of the last version run, and say how to mend them."""
    with pytest.warns(DeprecationWarning, match=re.escape(f"use `{new}`")) as caught:
        exec(compile(statement, "a_script.py", "exec"), {})
    assert caught[0].filename == "a_script.py", "Python hides warnings that blame a library"


def test_the_old_order_of_save_policy_still_works(tmp_path) -> None:
    """Its third argument was the path."""
    from agents import load_policy
    from train.policies import save_policy

    model = load_policy()
    with pytest.warns(DeprecationWarning, match=re.escape("use `agents.save_policy`")):
        save_policy(model, model.state_dict(), tmp_path / "p.safetensors")
    assert load_policy(tmp_path / "p.safetensors").config == model.config


def test_the_package_lists_what_it_loads_late() -> None:
    """Completion in a notebook asks `dir`, and nothing is loaded for it."""
    late = {"SpeechAnimationEnv", "make_sb3_vec_env", "open_corpus", "evaluate"}
    assert late <= set(dir(esarm_env)) and late <= set(esarm_env.__all__)
    code = (
        "import sys, esarm_env; dir(esarm_env); assert 'torch' not in sys.modules;"
        "from esarm_env import SpeechAnimationEnv, make_sb3_vec_env, open_corpus;"
        "print(SpeechAnimationEnv.__module__, make_sb3_vec_env.__module__, open_corpus.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wanted = "esarm_env.envs.scalar esarm_env.sb3 esarm_env.corpus.opening"
    assert done.stdout.strip() == wanted


def test_a_name_that_the_package_has_not_is_an_attribute_error() -> None:
    """`hasattr` and `from esarm_env import typo` rely on it."""
    with pytest.raises(AttributeError, match=re.escape("'esarm_env' has no attribute 'typo'")):
        esarm_env.typo  # noqa: B018


def test_the_old_name_of_recorded_tokens_still_works(tiny_task) -> None:
    """One letter less than `demonstrations`, which is another method."""
    with pytest.warns(DeprecationWarning, match=re.escape("AnimationTask.recorded_tokens")) as seen:
        tokens = tiny_task.demonstration(3)
    assert seen[0].filename == __file__
    assert tokens.tolist() == tiny_task.recorded_tokens(3).tolist()


@pytest.mark.parametrize(
    ("statement", "new"),
    [
        ("from train.loop import drive", "train.run.loop.drive"),
        ("from train.run_folder import RunFolder", "train.run.run_folder.RunFolder"),
        ("from esarm_env.weights import save_weights", "esarm_env.core.weights.save_weights"),
        ("from esarm_env.opening import open_task", "esarm_env.task.opening.open_task"),
    ],
)
def test_modules_of_a_run_are_found_in_their_old_places(statement: str, new: str) -> None:
    """Scripts that open runs were written before the rooms were."""
    with pytest.warns(DeprecationWarning, match=re.escape(f"use `{new}`")):
        exec(statement, {})
