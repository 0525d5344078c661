"""The image: built where a Docker daemon is there, and read line by line everywhere."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TAG = "esarm:test"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Return instruction and argument of each line, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def arguments(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [argument for instruction, argument in instructions if instruction == name]


def test_what_is_copied_is_there_and_not_ignored(instructions: list[tuple[str, str]]) -> None:
    """A build that lacks a package ends at its first `esarm`; one that has runs in it grows."""
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    taken = {line[1:] for line in ignored if line.startswith("!")}
    copied = {name for line in arguments(instructions, "COPY") for name in line.split()[:-1]}
    assert "*" in ignored and copied == taken
    assert all((ROOT / name).exists() for name in copied)
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = setup["options.packages.find"]["include"].split()
    assert {name.rstrip("*") for name in packages} <= copied


def test_versions_and_extras_are_those_of_the_project(instructions: list[tuple[str, str]]) -> None:
    """An image of other versions gives other figures."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    (extras,) = [a for a in arguments(instructions, "ARG") if a.startswith("EXTRAS=")]
    assert set(extras.removeprefix("EXTRAS=").split(",")) <= set(setup["options.extras_require"])
    installs = [line for line in arguments(instructions, "RUN") if "pip install" in line]
    assert len(installs) == 2, "torch has a layer of its own"
    assert all("-c /opt/esarm/constraints.txt" in line for line in installs)
    assert all('--extra-index-url "${TORCH_INDEX}"' in line for line in installs)


def test_it_runs_as_a_user_and_its_commands_are_commands(
    instructions: list[tuple[str, str]],
) -> None:
    """As root it would leave files in mounted folders that nobody may delete."""
    for line in arguments(instructions, "RUN"):
        subprocess.run(["bash", "-n", "-c", line], check=True)
    names = [name for name, _ in instructions]
    assert arguments(instructions, "USER") == ["esarm"]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")
    assert json.loads(arguments(instructions, "ENTRYPOINT")[0]) == ["esarm"]
    known = {"ARG", "FROM", "ENV", "RUN", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert set(names) <= known


@pytest.mark.expensive
def test_the_image_is_built_and_answers() -> None:
    """Minutes, gigabytes and network: `pytest tests/test_dockerfile.py -m expensive`."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker")
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True)
    if asked.returncode != 0:
        pytest.skip("no Docker daemon answers")
    subprocess.run(["docker", "build", "-t", TAG, str(ROOT)], check=True)
    run = ["docker", "run", "--rm", "--network", "none", TAG]
    ran = subprocess.run([*run, "doctor"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    whoami = ["docker", "run", "--rm", "--entrypoint", "id", TAG, "-u"]
    assert subprocess.run(whoami, capture_output=True, text=True).stdout.strip() == "1000"
