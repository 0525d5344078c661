"""The setting `improve.reward`: names, and names with weights as the environment takes them."""

import re

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus import open_corpus
from train.run.config import from_dict, make_config, to_dict
from train.run.setting_ranges import check_settings
from train.run.settings.reward_setting import check_reward, reward_text


def with_reward(*overrides):
    return make_config(preset="demo", overrides=[f"improve.reward={each}" for each in overrides])


def test_weights_are_read_kept_and_replaced_as_a_whole():
    """Merged with the weights before, a sum would have terms that nobody asked for."""
    config = with_reward("{learned: 1, jerk: -0.1}", "{lve: 2}")
    assert config.improve.reward == {"lve": 2.0}
    assert from_dict(to_dict(config)) == config
    assert with_reward("{lve: 2}", "eve").improve.reward == "eve"
    assert with_reward("{'learned:runs/x': 1}").improve.reward == {"learned:runs/x": 1.0}


def test_a_sum_is_told_as_a_formula():
    """Tables name the reward that was climbed."""
    assert (
        reward_text({"learned": 1.0, "jerk": -0.1, "lve": 2.0}) == "learned - 0.1 * jerk + 2 * lve"
    )
    assert reward_text("learned") == "learned"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", "`improve.reward` must be a reward, or rewards with weights such as {learned: 1, "),
        ("{}", "`improve.reward` must be a reward, or rewards with weights"),
        ("{lve: .nan}", "must give each reward a finite weight, got nan for 'lve'"),
        ("{lve: true}", "must give each reward a finite weight, got True for 'lve'"),
    ],
)
def test_what_is_neither_is_refused(value, message):
    """By its key, and before the first stage."""
    with pytest.raises(InputError, match=re.escape(message)):
        with_reward(value)


def test_every_term_is_looked_up():
    """The second name of a sum would else be read after hours."""
    with pytest.raises(InputError, match=re.escape("got 'lvee'; did you mean 'lve'?")):
        check_reward({"learned": 1.0, "lvee": 1.0})
    with pytest.raises(InputError, match=re.escape("must name runs or weights that are there")):
        check_reward({"learned:nowhere": 1.0})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("corpus.encoder=logmle", "got 'logmle'; did you mean 'logmel'?"),
        ("corpus.layout=medd", "`corpus.layout` must be one of auto, "),
        ("corpus.layout=medd", "got 'medd'; did you mean 'mead'?"),
    ],
)
def test_names_of_the_corpus_are_told_with_the_nearest(override, message):
    """Both are read before all else, and the layout of a generated corpus was not read at all."""
    with pytest.raises(InputError, match=re.escape(message)):
        check_settings(make_config(preset="demo", overrides=[override]))


def test_a_mistyped_corpus_is_told_with_the_nearest():
    """A folder of that name is not what was meant."""
    with pytest.raises(InputError, match=re.escape("did you mean 'synthetic-mead'?")):
        open_corpus("synthetic-maed")
