"""Search spaces: what is declared may be tried, and a user's own file is read strictly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from esarm_env.core.errors import InputError
from train.run.config import make_config, to_dict
from train.run.setting_ranges import SEARCH_SPACE, Tunable
from train.tuning.space import STAGES, check_space, is_read, known_keys, plain, space_of

ROOT = Path(__file__).parents[3]
DECLARED = [(stage, key) for stage, space in SEARCH_SPACE.items() for key in space]
# With these, what is declared is read.
READ_WITH = {
    "reward": ["recipe=paper"],
    "consensus": [],
    "naturalness": [],
    "clone": [],
    "improve": ["improve.algorithms=[ppo]"],
    "distillation": ["improve.algorithms=[distillation]"],
}


def settings_for(key: str) -> list[str]:
    section, name = key.split(".")[:2]
    return READ_WITH[name if name == "distillation" else section]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the settings of the preset `demo` as a file."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(to_dict(make_config(preset="demo"))))
    return path


@pytest.mark.parametrize(("stage", "key"), DECLARED)
def test_what_is_declared_exists_and_may_be_tried_from_end_to_end(
    stage: str, key: str, file: Path
) -> None:
    """A trial at the end of a range would fail, hours after the sweep began."""
    settings = settings_for(key)
    config = make_config(preset="demo", overrides=settings)
    assert key in known_keys(stage, config)
    assert is_read(key, config)
    space = {key: SEARCH_SPACE[stage][key]}
    check_space(space, stage=stage, file=file, settings=settings, config=config)


@pytest.mark.parametrize("stage", STAGES)
def test_the_default_of_a_tunable_setting_lies_in_its_range(stage: str) -> None:
    """Who tunes would never see what everybody else uses."""
    values = to_dict(make_config(preset="demo"))
    for key, one in SEARCH_SPACE[stage].items():
        value = values
        for part in key.split("."):
            value = value[part]
        # Zero turns these off, and a range by factors has none.
        if one.values:
            assert value in one.values, key
        elif value != 0:
            assert one.least <= value <= one.most, key


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_a_few_usual_settings(stage: str) -> None:
    """Of twenty trials over twelve settings nothing can be read."""
    space = space_of(stage, make_config(preset="demo"), ())
    assert 2 <= len(space) <= 5
    assert all(one.usual for one in space.values())


@pytest.mark.parametrize(
    ("stage", "settings", "key"),
    [
        ("improve", ["improve.algorithms=[ppo]"], "improve.distillation.risk_coef"),
        ("improve", ["improve.algorithms=[distillation]"], "improve.kl_coef"),
        ("improve", ["improve.algorithms=[reinforce]"], "improve.chunk_discount"),
        ("reward", [], "reward.shortest_crop"),
        ("reward", ["recipe=paper"], "consensus.margin"),
        ("reward", ["naturalness.weight=0"], "naturalness.graded"),
    ],
)
def test_a_setting_that_nobody_reads_is_not_tried(
    stage: str, settings: list[str], key: str
) -> None:
    """Twenty trials of a setting without effect would be taken for a finding."""
    config = make_config(preset="demo", overrides=settings)
    assert not is_read(key, config)
    assert key not in space_of(stage, config, ())
    with pytest.raises(InputError, match=f"got '{re.escape(key)}', which the algorithm or recipe"):
        space_of(stage, config, (key,))


def test_a_space_is_narrowed_by_names() -> None:
    """With or without the section."""
    config = make_config(preset="demo")
    assert list(space_of("improve", config, ("kl_coef", "improve.temperature"))) == [
        "improve.kl_coef",
        "improve.temperature",
    ]
    with pytest.raises(InputError, match=r"got 'kl_coeff'; did you mean `improve\.kl_coef`"):
        space_of("improve", config, ("kl_coeff",))
    with pytest.raises(InputError, match=r"once, got improve\.kl_coef again"):
        space_of("improve", config, ("kl_coef", "improve.kl_coef"))


def test_a_space_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    """Whole numbers stay whole, and any setting of the stage may be named."""
    own = tmp_path / "own.yaml"
    own.write_text(
        "improve.kl_coef: {low: 1e-2, high: 1, scale: log}\n"
        "improve.iterations: {low: 4, high: 20}\n"
        "improve.stream_advantages: ['on', 'off']\n"
    )
    space = space_of("improve", make_config(preset="demo"), (str(own),))
    assert space == {
        "improve.kl_coef": Tunable(0.01, 1, log=True),
        "improve.iterations": Tunable(4, 20, whole=True),
        "improve.stream_advantages": Tunable(values=("on", "off")),
    }
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(plain(space)))
    assert space_of("improve", make_config(preset="demo"), (str(again),)) == space


@pytest.mark.parametrize("stage", SEARCH_SPACE)
def test_the_page_names_all_that_can_be_tuned(stage):
    """`--space` takes names that are to be found somewhere."""
    page = (ROOT / "docs/howto/tune.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{stage}` |"))
    _, _, usual, further, _ = row.split("|")
    for key, tunable in SEARCH_SPACE[stage].items():
        name = key if stage == "reward" else key.removeprefix(f"{stage}.")
        assert f"`{name}`" in (usual if tunable.usual else further), key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("improve.kl_coeff: [1, 2]", "got 'improve.kl_coeff'; did you mean `improve.kl_coef`"),
        ("clone.width: [64, 128]", "must name settings of the stage `improve`, got 'clone.width'"),
        ("improve.kl_coef: 3", "must be a list of values, or {low: A"),
        ("improve.kl_coef: [1]", "must be a list of at least two values, got [1]"),
        ("improve.kl_coef: {low: 2, high: 1}", "with A below B"),
        ("improve.kl_coef: {low: 0, high: 1, scale: log}", "must be above 0 to be searched by"),
        ("improve.kl_coef: {low: 1, high: 2, scale: wide}", "scale: log or linear"),
        ("improve.kl_coef: {low: 1, high: 2, step: 1}", "scale: log or linear"),
    ],
)
def test_a_file_that_is_no_space_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A range that is read as something else costs the whole sweep."""
    own = tmp_path / "own.yaml"
    own.write_text(text + "\n")
    with pytest.raises(InputError, match=re.escape(message)):
        space_of("improve", make_config(preset="demo"), (str(own),))


@pytest.mark.parametrize(
    ("space", "settings", "message"),
    [
        ({}, [], "`space` must name at least one setting"),
        (
            {"improve.kl_coef": Tunable(0.1, 1)},
            ["improve.kl_coef=1"],
            "`improve.kl_coef` must be fixed or tried",
        ),
        ({"improve.temperature": Tunable(-1, 1)}, [], "`space`: `improve.temperature` must be"),
        ({"improve.chunk_discount": Tunable(0, 1)}, ["improve.chunk_credit=[]"], "does not"),
    ],
)
def test_a_space_that_cannot_be_tried_is_refused(
    space: dict[str, Tunable], settings: list[str], message: str, file: Path
) -> None:
    """Before the first trial, and under the setting's name."""
    config = make_config(preset="demo", overrides=settings)
    with pytest.raises(InputError, match=re.escape(message)):
        check_space(space, stage="improve", file=file, settings=settings, config=config)
