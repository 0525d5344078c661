"""A pushed task in a virtual environment that has never seen this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.hub_stand_in import HubStandIn, environment
from tests.shared_scores import scores_of
from train.cli import main

ROOT = Path(__file__).parents[3]


@pytest.mark.expensive
def test_a_pushed_task_scores_the_same_in_a_fresh_environment(
    hub: HubStandIn, finished_run: Path, recordings: Path, tmp_path: Path
) -> None:
    """Installed from the wheel, with an empty cache: nothing of this machine helps it.

    Minutes and network: `python -m pytest tests/train/sharing -m expensive`.
    """
    main(["push", str(finished_run), "ann/face"])
    run = tmp_path / "export"
    main(["export", str(finished_run), "-o", str(run)])
    here = scores_of(str(run), str(recordings))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = str(ROOT / "constraints.txt")
    install = [str(python), "-m", "pip", "install", "-q", "-c", constraints, f"{ROOT}[hub]"]
    subprocess.run(install, check=True)
    script = tmp_path / "shared_scores.py"
    script.write_text((ROOT / "tests" / "shared_scores.py").read_text())
    ran = subprocess.run(
        [str(python), str(script), "hf://ann/face", "--corpus", str(recordings)],
        env={
            **os.environ,
            **environment(hub, tmp_path / "another-home"),
            "ESARM_CACHE": str(tmp_path / "another-cache"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    np.testing.assert_allclose(json.loads(ran.stdout), here, atol=1e-6)
