"""An export of a run, `esarm export`: one policy and what it needs, in the layout of a run folder.

| file | holds |
|---|---|
| `README.md` | the card: use, figures, how it was made, licence; its head as model hubs read it |
| `export.json` | manifest: the policy's name, SHA-256 and size of the other files |
| `config.yaml` | all settings of the run, without places |
| `corpus/corpus.json` | what animation needs to know of the corpus: speakers, emotions, encoder |
| `prior/`, `encoder/`, `reward/` | weights: tokenizer, speech encoder, reward model |
| `clone/` or `improve/NAME/` | the policy; beside the latter, that it is the best |

No recordings, no audio, no absolute paths: whatever reads a run folder to animate reads an export.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agents.weights import save_policy
from esarm_env.core.cache import write_json
from esarm_env.core.errors import InputError
from esarm_env.core.hub.manifest import write_manifest
from esarm_env.core.hub.shareable import TASK
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CONFIG_FILE,
    CORPUS_FILE,
    ENCODER_FILE,
    EXPORT_CARD,
    NATURALNESS_FILE,
    POLICY_FILE,
    PREFERENCE_FILE,
    REWARD_FILE,
    STAGES,
    SUMMARY_FILE,
    TOKENIZER_FILE,
    WAVLM_FILE,
    is_export,
    is_file,
    speech_policies,
)
from esarm_env.core.shipped import MANIFEST_FILE
from esarm_env.corpus.opening import CORPUS_NAMES
from esarm_env.task.run_corpus import (
    EMOTIONS_KEY,
    FROM_RUN_KEY,
    emotions_of_run,
    read_corpus_file,
)
from esarm_env.tokenizer import load_tokenizer
from train.animate import find_policy
from train.run.config import to_dict
from train.run.run_folder import RunFolder
from train.sharing.card import card, without_places

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer

NO_PLACE = "recordings"  # where a corpus by folder has its path
_WEIGHTS = (
    TOKENIZER_FILE,
    ENCODER_FILE,
    WAVLM_FILE,
    REWARD_FILE,
    NATURALNESS_FILE,
    PREFERENCE_FILE,
)
_NEEDED = tuple(stage for stage in STAGES if stage != "demonstrate")


def export_run(
    run_path: Path, out: Path, *, policy: str = "auto", place: str | None = None
) -> dict[str, Any]:
    """Write an export of a run to `out`, which is replaced; return its manifest.

    Args:
        run_path: A finished run.
        out: An earlier export, an empty folder, or none.
        policy: As of `find_policy`: `auto` is the best on validation utterances.
        place: What its card says to open it by, such as `hf://user/name`; by default its name.

    Raises:
        InputError: If stages of the run are missing, `out` holds something else, or there is no
            such policy.
    """
    run = finished_run(run_path)
    if out.exists() and any(out.iterdir()) and not is_export(out):
        raise InputError(f"`output` must be an earlier export, an empty folder or none, got {out}")
    if out.exists() and out.samefile(run_path):
        raise InputError(f"`output` must be another folder than the run, got {out}")
    network, name = find_policy(run_path, policy)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        title = out.resolve().name
        manifest = _fill(run, draft, network, policy_name(name), title=title, place=place)
        draft.chmod(0o755)
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def policy_name(name: str) -> str:
    """Return a policy's name as a folder may have it, and as no other policy of the run has it."""
    if name.endswith(".safetensors") or os.path.isfile(name):
        name = f"{Path(name).stem}-file"  # a run's own `ppo` is another one
    return re.sub(r"[^\w.-]", "-", name).lstrip(".") or "policy"


def finished_run(run_path: Path) -> RunFolder:
    """Return a run that may be shared.

    Raises:
        InputError: If it is an export, what ships, or unfinished.
    """
    if is_export(run_path):
        raise InputError(f"{run_path}: must be a run, got an export; copy it as it is")
    if is_file(run_path / MANIFEST_FILE):
        raise InputError(f"{run_path}: must be a run of yours, got what ships with the package")
    run = RunFolder.open(run_path)
    missing = [stage for stage in _NEEDED if not run.is_finished(stage)]
    if missing:
        raise InputError(
            f"{run_path}: must be finished to be exported, got no {', '.join(missing)}; "
            f"`esarm run --run {run_path}` goes on with it"
        )
    return run


def _fill(
    run: RunFolder,
    folder: Path,
    network: MotionTransformer,
    policy: str,
    *,
    title: str,
    place: str | None,
) -> dict[str, Any]:
    source = source_of(run.path)
    write_json(folder / CORPUS_FILE, source)
    for weights in _WEIGHTS:
        if is_file(run.path / weights):
            (folder / weights).parent.mkdir(exist_ok=True)
            shutil.copyfile(run.path / weights, folder / weights)
    _write_policy(network, policy, folder)
    settings = without_places(to_dict(run.config))
    settings["corpus"]["name"] = source["corpus"]
    text = yaml.safe_dump(settings, sort_keys=False)
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8", newline="\n")
    told = card(
        run,
        title=title,
        policy=policy,
        learned_speech=policy in speech_policies(run.path),
        encoder=source["encoder"],
        place=place,
    )
    (folder / EXPORT_CARD).write_text(told, encoding="utf-8", newline="\n")
    tokenizer = load_tokenizer(folder / TOKENIZER_FILE).content_hash()
    return write_manifest(folder, kind=TASK, tokenizer=tokenizer, policy=policy)


def source_of(run_path: Path) -> dict[str, Any]:
    """Return what the run notes of its corpus, without where it is."""
    noted = read_corpus_file(run_path)
    source = {key: value for key, value in noted.items() if key != FROM_RUN_KEY}
    source[EMOTIONS_KEY] = list(emotions_of_run(run_path))
    name = source["corpus"] if source["corpus"] in CORPUS_NAMES else NO_PLACE
    cleaned: dict[str, Any] = without_places(source)
    return cleaned | {"corpus": name, "speakers": source["speakers"]}


def _write_policy(network: MotionTransformer, policy: str, folder: Path) -> None:
    """Write the policy where a run has one of its kind, and that there is no better one."""
    if policy == "clone":
        save_policy(network, folder / CLONE_FILE)
        return
    improve = folder / "improve"
    save_policy(network, improve / policy / POLICY_FILE)
    write_json(improve / SUMMARY_FILE, {"best_on_validation": {"policy": policy}})
