"""Workflows, templates and citation: nothing here runs them, so at least they are read."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [*ROOT.glob(".github/**/*.yml"), ROOT / "CITATION.cff", ROOT / ".pre-commit-config.yaml"]
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_valid_yaml(path):
    """A workflow with a stray tab never starts, and nobody is told."""
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("name", ["check", "wheel", "docs"])
def test_a_workflow_has_jobs_with_steps_and_a_limit(name):
    """A job without a limit hangs for six hours."""
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    for job in flow["jobs"].values():
        assert job["steps"] and job["timeout-minutes"] <= 60


def test_extras_that_workflows_and_makefile_install_exist():
    """A renamed extra is a warning of pip's that nobody reads, and a skipped test."""
    import configparser
    import re

    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    known = set(setup["options.extras_require"])
    files = [ROOT / "Makefile", *ROOT.glob(".github/workflows/*.yml")]
    asked = {
        extra
        for path in files
        for group in re.findall(r"'\.\[([\w,]+)\]'", path.read_text())
        for extra in group.split(",")
    }
    assert asked and asked <= known


def test_make_tells_how_long_it_takes_and_where_that_was_measured():
    """A time says nothing without its machine: the demo once took three times what it said."""
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "minutes" in line]
    assert len(lines) == 3
    assert all("took" in line and "on $(MACHINE)" in line for line in lines)


def test_the_readme_tells_the_times_of_the_makefile():
    """Of two figures for one thing, one is wrong."""
    import re

    makefile, readme = ((ROOT / name).read_text() for name in ("Makefile", "README.md"))
    times = {
        what: re.search(rf"{what}.* took (\d+) minutes", makefile)[1]
        for what in ("pipeline", "tests", "Installing")
    }
    assert f"the installation took {times['Installing']} minutes" in readme
    assert f"then the demo {times['pipeline']} and" in readme
    assert f"and the tests {times['tests']}. " in readme
