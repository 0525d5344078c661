"""What a bare installation needs, and what it says where an optional package is absent."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from esarm_env.doctor.requirements import Requirement, is_within

ROOT = Path(__file__).parents[1]
# Of the extras that a bare installation lacks; the tests run with all of them.
OPTIONAL = (
    *("transformers", "matplotlib", "rich", "PIL", "pygame", "av", "moviepy", "hama"),
    *("starlette", "uvicorn"),
)
BLOCK = "import sys\nfor name in {names!r}: sys.modules[name] = None\n"


def bare(code: str, *, without: tuple[str, ...] = OPTIONAL, check: bool = True) -> Any:
    """Run `code` in a Python that cannot import `without`."""
    ran = subprocess.run(
        [sys.executable, "-c", BLOCK.format(names=without) + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert not check or ran.returncode == 0, ran.stderr
    return ran


@pytest.fixture(scope="module")
def options() -> configparser.ConfigParser:
    """Return `setup.cfg`."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_few_packages_are_required(options: configparser.ConfigParser) -> None:
    """Each is one more that can be broken, or in the way of another project's."""
    required = options["options"]["install_requires"].split()
    names = {re.match(r"[\w-]+", line).group() for line in required}  # type: ignore[union-attr]
    ours = names - {"threadpoolctl", "lazy-loader"}  # these come with librosa anyway
    assert len(ours) <= 11, required


def test_every_requirement_is_one_that_the_doctor_can_read(
    options: configparser.ConfigParser,
) -> None:
    """A range that it cannot read is one that it cannot check."""
    lines = options["options"]["install_requires"].splitlines()
    for extra in options["options.extras_require"].values():
        lines += extra.splitlines()
    for line in filter(None, lines):
        is_within("1.0", Requirement.parse(line).range)


def test_make_installs_every_extra_that_the_commands_use(
    options: configparser.ConfigParser,
) -> None:
    """`make demo` and `make test` must still do all."""
    (installed,) = re.findall(r"--editable '\.\[([\w,]+)\]'", _stamp_rule())
    assert set(options["options.extras_require"]) - set(installed.split(",")) == {
        "capture",
        "minari",
    }


def _stamp_rule() -> str:
    return (ROOT / "Makefile").read_text().split("$(STAMP): setup.cfg")[1]


def test_a_bare_installation_makes_and_steps_the_environment() -> None:
    """The first thing that anybody does."""
    ran = bare(
        "import gymnasium, esarm_env\n"
        "env = gymnasium.make('ESARM-v0')\n"
        "env.reset(seed=0)\n"
        "print(len(env.step(env.action_space.sample())))\n"
    )
    assert ran.stdout.strip() == "5"


@pytest.mark.parametrize("arguments", [["--help"], ["animate", "--help"], ["doctor", "--help"]])
def test_a_bare_command_line_explains_itself(arguments: list[str]) -> None:
    """A traceback would be the first thing to read."""
    ran = bare(f"from train.cli import main\nmain({arguments!r})")
    assert "usage: esarm" in ran.stdout


def test_a_bare_installation_is_healthy() -> None:
    """Not installed is not broken; pictures are skipped with the pip line."""
    ran = bare("from train.cli import main\nmain(['doctor'])", check=False)
    assert " 0 failed" in ran.stdout, ran.stdout + ran.stderr
    assert "pip install 'esarm[render]'" in ran.stdout


def test_a_bare_installation_animates(tmp_path: Path) -> None:
    """With the shipped policy, from a sound file to curves."""
    import numpy as np
    import soundfile

    speech = tmp_path / "speech.wav"
    soundfile.write(speech, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    target = tmp_path / "face.csv"
    bare(f"from train.cli import main\nmain(['animate', {str(speech)!r}, '-o', {str(target)!r}])")
    assert len(target.read_text().splitlines()) > 30


@pytest.mark.parametrize(
    ("code", "without", "message"),
    [
        (
            "from esarm_env.audio.features import make_encoder\nmake_encoder('wavlm').dim",
            "transformers",
            "The encoder `wavlm` needs `transformers`: run `pip install 'esarm[wavlm]'`",
        ),
        (
            "import numpy as np\nfrom esarm_env.audio.encoders.phone_spans import phone_spans\n"
            "phone_spans(np.zeros(16_000, np.float32))",
            "hama",
            "The search for phones in a recording needs `hama`: run `pip install 'esarm[phones]'`",
        ),
        (
            "import train.plots",
            "matplotlib",
            "A picture needs `matplotlib`: run `pip install 'esarm[plots]'`",
        ),
        (
            "import train.reward_report.pictures",
            "matplotlib",
            "A picture needs `matplotlib`: run `pip install 'esarm[plots]'`",
        ),
        (
            "from esarm_env.rendering.text import width_of\nwidth_of('a', 12)",
            "PIL",
            "`render_mode` needs `pillow`: run `pip install 'esarm[render]'`",
        ),
        (
            "from train.bench.agents.rivals import Generate\nGenerate(None, parameters=1)",
            "transformers",
            "The benchmark's rival GPT-2 needs `transformers`: run `pip install 'esarm[wavlm]'`",
        ),
    ],
)
def test_an_absent_package_is_named_with_the_pip_line(
    code: str, without: str, message: str
) -> None:
    """`No module named 'x'` leaves the user to guess in which extra it is."""
    ran = bare(code, without=(without,), check=False)
    assert ran.returncode != 0
    assert ran.stderr.strip().splitlines()[-1] == (
        f"esarm_env.core.errors.MissingExtraError: {message}"
    )


def test_a_page_without_pictures_says_why() -> None:
    """A broken image leaves its reader to guess."""
    code = (
        "from train.pictures import draw_or_explain\n"
        "def draw():\n    import train.plots\n"
        "print(draw_or_explain('a\\n\\n![Curves](improvement.png)\\n\\nb', draw))"
    )
    assert bare(code).stdout == (
        "a\n\n(No picture: A picture needs `matplotlib`: run `pip install 'esarm[plots]'`.)\n\nb\n"
    )


def test_a_task_without_a_bar_is_told_once(tmp_path: Path) -> None:
    """Minutes of silence look like a program that hangs; every step would be a page."""
    code = (
        "from esarm_env.core.progress import open_progress, track\n"
        "print(list(track([1, 2], 'Counting')), list(track([3], 'Silent', show=False)))\n"
        "with open_progress(with_note=True) as bar:\n"
        "    task = bar.add_task('Training', total=2, completed=0, note='')\n"
        "    bar.advance(task)\n"
        "    bar.update(bar.task_ids[0], total=3, note='')\n"
        "    print(bar.tasks[0].total)\n"
    )
    ran = bare(code)
    assert ran.stdout == "[1, 2] [3]\n3\n"
    hint = "for a progress bar, run `pip install 'esarm[progress]'`"
    assert ran.stderr == f"Counting: 2 steps ({hint})\nTraining: 2 steps ({hint})\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("torch<3,>=2.8", ("torch", "<3,>=2.8", "")),
        ('minari[hdf5]<0.6,>=0.5.3; extra == "minari"', ("minari", "<0.6,>=0.5.3", "minari")),
        ('types-PyYAML; extra == "dev"', ("types-PyYAML", "", "dev")),
    ],
)
def test_requirements_are_read(text: str, parts: tuple[str, str, str]) -> None:
    """As `importlib.metadata` writes them."""
    assert Requirement.parse(text) == Requirement(*parts)


def test_another_form_of_requirement_is_refused() -> None:
    """Guessed wrong, a broken installation would look healthy."""
    text = 'torch>=2; python_version < "3.11"'
    message = f"`text` must be NAME RANGE; extra == 'EXTRA', got {text!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        Requirement.parse(text)


@pytest.mark.parametrize(
    ("version", "bounds", "within"),
    [
        ("2.8", "<3,>=2.8", True),
        ("2.13.0+cpu", "<3,>=2.8", True),
        ("3", "<3,>=2.8", False),
        ("3.0.0rc1", "<3", False),
        ("2.7.9", ">=2.8", False),
        ("2.10", ">=2.9", True),
        ("2", ">=2.0.0", True),
        ("0", "", True),
    ],
)
def test_versions_are_compared_by_number(version: str, bounds: str, within: bool) -> None:
    """As text, 2.10 stands before 2.9."""
    assert is_within(version, bounds) is within


@pytest.mark.parametrize(
    ("version", "bounds", "message"),
    [
        ("unknown", ">=1", "`version` must begin with a number, got 'unknown'"),
        ("1", "~=1.2", "`bounds` must be of >= and <, got '~=1.2'"),
    ],
)
def test_versions_that_cannot_be_compared_are_refused(
    version: str, bounds: str, message: str
) -> None:
    """Neither in the range nor out of it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        is_within(version, bounds)
