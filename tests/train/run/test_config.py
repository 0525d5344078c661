"""Configurations: strict, complete, reusable."""

import dataclasses
import re

import pytest
import yaml

from esarm_env.core.errors import InputError
from train.run.config import PRESETS, Config, from_dict, make_config, read_yaml, to_dict


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_its_yaml_file(name, tmp_path):
    """`config.yaml` is what a published run is repeated from."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(to_dict(PRESETS[name])))
    assert from_dict(read_yaml(path)) == PRESETS[name]
    assert make_config(preset="demo", file=path) == PRESETS[name]


def test_overrides_change_one_value_and_keep_the_rest():
    """An override that fell back to defaults elsewhere would undo the preset."""
    config = make_config(preset="small", overrides=["clone.epochs=3", "improve.algorithms=[ppo]"])
    expected = dataclasses.replace(
        PRESETS["small"],
        clone=dataclasses.replace(PRESETS["small"].clone, epochs=3),
        improve=dataclasses.replace(PRESETS["small"].improve, algorithms=("ppo",)),
    )
    assert config == expected


def test_a_preset_takes_all_of_a_design_that_is_smaller():
    """2000 utterances of 1440: the first command that swaps the corpus would end in an error."""
    name = "corpus.name=synthetic-ravdess"
    assert make_config(preset="demo", overrides=[name]).corpus.size == 1440
    assert make_config(preset="demo", overrides=[name, "corpus.size=64"]).corpus.size == 64
    assert make_config(preset="demo").corpus.size == 2000


def test_an_integer_is_accepted_where_a_float_is_wanted():
    """`--set improve.kl_coef=1` must not need the dot."""
    assert make_config(preset="demo", overrides=["improve.kl_coef=1"]).improve.kl_coef == 1.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("clone.epoch=3", "got clone.epoch"),
        ("clones.epochs=3", "got clones"),
        ("clone.epochs=many", "`clone.epochs` must be of type int, got 'many'"),
        ("clone.epochs=true", "`clone.epochs` must be of type int, got True"),
        ("clone.epochs=1.5", "`clone.epochs` must be of type int, got 1.5"),
        ("demonstrate.epsilons=[a]", "`demonstrate.epsilons` must be of type float, got 'a'"),
        ("demonstrate.epsilons=0.5", "`demonstrate.epsilons` must be of type tuple, got 0.5"),
        ("clone=3", "`clone` must be a section, got 3"),
        ("seed.x=3", "`seed.x` must name a setting, but seed is one already"),
        ("clone.epochs", "`--set` must be KEY=VALUE, got 'clone.epochs'"),
    ],
)
def test_a_setting_that_nobody_reads_is_an_error(override, message):
    """A typo that is ignored costs a night of training."""
    with pytest.raises(InputError, match=re.escape(message)):
        make_config(preset="demo", overrides=[override])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["reward.epochs=40"],
            "`reward.epochs` is a setting of the recipe `paper`, and the recipe in use is "
            "`consensus`: set `consensus.epochs`, or choose `recipe=paper`",
        ),
        (
            ["reward.pooling=last"],
            "`reward.pooling` is a setting of the recipe `paper`, and the recipe in use is "
            "`consensus`: set `consensus.*`, or choose `recipe=paper`",
        ),
        (["reward={epochs: 40}"], "`reward` is a setting of the recipe `paper`, and the recipe in"),
        (
            ["naturalness.weight=1", "recipe=paper"],
            "`naturalness.weight` is a setting of the recipe `consensus`, and the recipe in use is "
            "`paper`: choose `recipe=consensus`",
        ),
        (
            ["consensus.epochs=3", "recipe=paper"],
            "`consensus.epochs` is a setting of the recipe `consensus`, and the recipe in use is "
            "`paper`: set `reward.epochs`, or choose `recipe=consensus`",
        ),
    ],
)
def test_a_setting_of_the_other_recipe_is_refused(overrides, message):
    """It did nothing, and a night of training went by before anybody saw."""
    with pytest.raises(InputError, match=re.escape(message)):
        make_config(preset="demo", overrides=overrides)


def test_settings_of_the_recipe_in_use_are_taken():
    """Whichever comes first on the command line."""
    assert make_config(preset="demo", overrides=["consensus.epochs=3"]).consensus.epochs == 3
    for overrides in (["reward.epochs=3", "recipe=paper"], ["recipe=paper", "reward.epochs=3"]):
        assert make_config(preset="demo", overrides=overrides).reward.epochs == 3
    assert make_config(preset="paper", overrides=["reward.epochs=3"]).reward.epochs == 3


def test_a_saved_configuration_holds_both_recipes(tmp_path):
    """Also one that was saved when settings of the other recipe could still be given."""
    values = to_dict(PRESETS["small"])
    values["reward"]["epochs"] = 77
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    assert make_config(preset="demo", file=path).reward.epochs == 77
    assert make_config(preset="demo", file=path, overrides=["seed=3"]).seed == 3


def test_an_unknown_preset_lists_the_valid_ones():
    """The reader of the message should not have to open the source."""
    with pytest.raises(InputError, match=re.escape("one of demo, quick, small, paper, got 'huge'")):
        make_config(preset="huge")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_that_is_no_configuration_is_refused(text, tmp_path):
    """The message names the file."""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(str(path))):
        make_config(preset="demo", file=path)
    with pytest.raises(InputError, match="must be a YAML file"):
        read_yaml(tmp_path / "missing.yaml")


def test_every_field_has_a_line_of_text():
    """The docstrings are the reference of the configuration."""
    for field in dataclasses.fields(Config):
        section = type(getattr(Config(), field.name))
        if dataclasses.is_dataclass(section):
            missing = [f.name for f in dataclasses.fields(section) if f"{f.name}:" not in
                       (section.__doc__ or "")]  # fmt: skip
            assert not missing, f"{section.__name__} says nothing of {missing}"


RENAMED = [
    ("prior.batch_size", "prior.batch_crops", 7),
    ("clone.batch_size", "clone.batch_sequences", 7),
    ("reward.batch_size", "reward.batch_utterances", 7),
    ("consensus.batch_size", "consensus.batch_utterances", 7),
    ("improve.batch_size", "improve.batch_tokens", 7),
    ("improve.kl_target", "improve.reference_kl_target", 0.5),
]


@pytest.mark.parametrize("new", ["prior.mouth_codebooks", "prior.upper_codebooks"])
def test_one_number_of_codebooks_sets_both_streams_and_warns(new, tmp_path):
    """From the command line, from a file, and without a word from a finished run."""
    old = "prior.codebooks_per_stream"
    rule = (
        f"`{old}` is deprecated and goes with the next version; use `prior.mouth_codebooks` and "
        "`prior.upper_codebooks`"
    )
    with pytest.warns(DeprecationWarning, match=re.escape(rule)):
        config = make_config(preset="demo", overrides=[f"{old}=7"])
    assert value_of(config, new) == 7
    (tmp_path / "own.yaml").write_text("prior:\n  codebooks_per_stream: 7\n")
    with pytest.warns(DeprecationWarning, match=re.escape(rule)):
        config = make_config(preset="demo", file=tmp_path / "own.yaml", overrides=[f"{new}=3"])
    assert value_of(config, new) == 3
    assert {config.prior.mouth_codebooks, config.prior.upper_codebooks} == {3, 7}
    assert value_of(from_dict({"prior": {"codebooks_per_stream": 7}}), new) == 7
    rule = f"`{old}` must be left out beside `{new}`, its new name, got 7 and 3"
    with pytest.raises(InputError, match=re.escape(rule)):
        from_dict({"prior": {"codebooks_per_stream": 7, new.partition(".")[2]: 3}})


def value_of(config, key):
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize(("old", "new", "value"), RENAMED)
def test_an_old_key_works_and_warns(old, new, value, tmp_path):
    """From the command line and from a file that somebody wrote, also both together."""
    rule = f"`{old}` is deprecated and goes with the next version; use `{new}`"
    recipe = ["recipe=paper"] if old.startswith("reward.") else []
    with pytest.warns(DeprecationWarning, match=re.escape(rule)):
        config = make_config(preset="demo", overrides=[*recipe, f"{old}={value}"])
    assert value_of(config, new) == value
    section, name = old.split(".")
    (tmp_path / "own.yaml").write_text(f"{section}:\n  {name}: {value}\n")
    with pytest.warns(DeprecationWarning, match=re.escape(rule)):
        config = make_config(preset="demo", file=tmp_path / "own.yaml")
    assert value_of(config, new) == value
    with pytest.warns(DeprecationWarning, match=re.escape(rule)):
        config = make_config(
            preset="demo",
            file=tmp_path / "own.yaml",
            overrides=[*recipe, f"{new}={2 * value}"],
        )
    assert value_of(config, new) == 2 * value


@pytest.mark.parametrize(("old", "new", "value"), RENAMED)
def test_the_configuration_of_an_old_run_loads_without_a_word(old, new, value):
    """Its folder can be opened for years; nobody is to edit what a finished run has noted."""
    section, name = old.split(".")
    assert value_of(from_dict({section: {name: value}}), new) == value


def test_both_names_of_a_setting_are_refused():
    """The message says the full keys."""
    values = {"clone": {"batch_size": 4, "batch_sequences": 8}}
    rule = (
        "`clone.batch_size` must be left out beside `clone.batch_sequences`, its new name, "
        "got 4 and 8"
    )
    with pytest.raises(InputError, match=re.escape(rule)):
        from_dict(values)


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("clone.epoch=3", "did you mean `clone.epochs`?"),
        (
            "improve.rewrd=lve",
            "got improve.rewrd; did you mean `improve.reward`? `esarm settings improve` li",
        ),
        ("clon.epochs=3", "did you mean `clone"),
        ("epsilons=[0.1]", "did you mean `demonstrate.epsilons`?"),
        ("corpus.encodr=logmel", "did you mean `corpus.encoder`?"),
    ],
)
def test_a_misspelt_setting_is_answered_with_the_nearest(override: str, meant: str) -> None:
    """The list of all is long, and the slip mostly a letter or a section left out."""
    with pytest.raises(InputError, match=re.escape(meant)):
        make_config(preset="demo", overrides=[override])
    with pytest.raises(InputError, match=r"got zzz; `esarm settings` lists them$"):
        make_config(preset="demo", overrides=["zzz=1"])
