"""Layout of a run folder: the name of every file in it, and what to do if one is missing.

| below the run folder | holds |
|---|---|
| `config.yaml`, `versions.txt` | all settings; versions of the packages it was begun with |
| `.lock` | which process writes into the run, see `train.run.lock` |
| `wandb.json` | id of its run at Weights & Biases, of `--logger wandb` |
| `STAGE/` | a finished stage: `summary.json`, what it learned, its curve `metrics.csv` |
| `.STAGE.partial/` | a stage at work, with its `checkpoint.pt`; renamed to `STAGE/` when finished |
| `STAGE/origin.json` | settings, files of earlier stages and threads that it began with |
| `corpus/corpus.json` | which corpus, with its content hash, for `open_run_corpus` |
| `corpus/takes.json` | what a folder of recordings could not give |
| `prior/tokenizer.safetensors` | the motion tokenizer |
| `encoder/encoder.safetensors` | the speech encoder; absent where `encoder.epochs` is 0 |
| `encoder/wavlm.safetensors` | WavLM where it was fine-tuned with the encoder |
| `clone/policy.safetensors` | the cloned policy |
| `demonstrate/demonstrations.npz`, `hacked.npz` | noisy roll-outs; suspicious samples of a round |
| `demonstrate/card.md`, `audit.md`, `audit.json` | what they are, and how often labels are right |
| `reward/reward.safetensors` | the reward model |
| `reward/preference.safetensors`, `raters.json` | what raters prefer, and how it was learned |
| `reward/ceiling.safetensors`, `paper.safetensors` | models that stand beside it in its report |
| `improve/ALGORITHM/policy.safetensors` | the improved policy, one folder per algorithm |
| `speech/NAME/policy.safetensors` | a policy that learned from speech alone, with its `speech.md` |
| `evaluate/per_utterance.csv`, `energy_per_utterance.csv` | every figure of a test utterance |
| `export.json`, `README.md` | of an export alone (`esarm export`): its manifest and its card |
| `experiments/NAME/` | another reward or algorithm on the same clone: a run folder that shares it |
| `experiments/NAME/measured/` | true errors and scores of its policies, as of `evaluate/` |
| `experiments/compare.md`, `.csv`, `.png` | what `esarm compare` printed last |
| `report.md`, `faces.png`, `improvement.png`, `training.png` | the report |
| `rounds/2/`, `rounds/3/`, ... | later rounds of improvement |
| `seeds/1/`, `seeds/2/`, ...; `seeds.md`, `.json` | runs of other seeds; the report over all |
| `tune/NAME/` | a sweep of `esarm tune`: its table, and a run folder for each trial |
| `log.txt` | what was printed of it while several runs were at work at a time |
| `reward_report/`, `overoptimise/` | what the commands of these names found |

A round is a run folder of its own, with copies of the run's corpus and tokenizer. **Its `clone/`
is no clone:** it holds the policy that the round before ended with, under the name that the stages
read. The run itself is round 1.

The standard library is all that this module needs, so that anything may look up a name here. `run`
is the object (`train.run.run_folder.RunFolder`), `run_path` its folder, `run_seed` its seed.
"""

from __future__ import annotations

from pathlib import Path

from esarm_env.core.errors import InputError

STAGES = ("corpus", "prior", "encoder", "clone", "demonstrate", "reward", "improve", "evaluate")

# Of the run.
CONFIG_FILE, VERSIONS_FILE = "config.yaml", "versions.txt"
REPORT_FILE, FACES_PICTURE = "report.md", "faces.png"
IMPROVEMENT_PICTURE, TRAINING_PICTURE = "improvement.png", "training.png"
ROUNDS_FOLDER = "rounds"
SPEECH_FOLDER, SPEECH_REPORT = "speech", "speech.md"
EXPERIMENTS_FOLDER, MEASURED_FOLDER = "experiments", "measured"
SEEDS_FOLDER, SEEDS_PAGE, SEEDS_FILE = "seeds", "seeds.md", "seeds.json"
TUNE_FOLDER = "tune"
LOCK_FILE, LOG_FILE = ".lock", "log.txt"
EXPORT_FILE, EXPORT_CARD = "export.json", "README.md"  # not of a run
WANDB_FILE = "wandb.json"

# Of every stage.
SUMMARY_FILE, METRICS_FILE = "summary.json", "metrics.csv"
CHECKPOINT_FILE, CLOCK_FILE = "checkpoint.pt", "wall_s.txt"  # until it is finished
ORIGIN_FILE = "origin.json"  # likewise

# Of one stage, in its folder.
CORPUS_NOTE, TAKES_FILE = "corpus.json", "takes.json"
TOKENIZER_WEIGHTS = "tokenizer.safetensors"
ENCODER_WEIGHTS, WAVLM_WEIGHTS = "encoder.safetensors", "wavlm.safetensors"
POLICY_FILE = "policy.safetensors"  # in `clone/`, and in a folder per algorithm of `improve/`
DEMONSTRATIONS_FILE, HACKED_FILE = "demonstrations.npz", "hacked.npz"
CARD_FILE, AUDIT_PAGE, AUDIT_FILE = "card.md", "audit.md", "audit.json"
REWARD_WEIGHTS, CEILING_FILE, PAPER_FILE = (
    "reward.safetensors",
    "ceiling.safetensors",
    "paper.safetensors",
)
PER_UTTERANCE_FILE, ENERGY_FILE = "per_utterance.csv", "energy_per_utterance.csv"
NATURALNESS_WEIGHTS = "naturalness.safetensors"  # beside the reward model, as its second head
PREFERENCE_WEIGHTS = "preference.safetensors"  # likewise, what raters prefer
RATERS_FILE = "raters.json"  # beside it: which answers were learned from, and agreement with them

# The same from the run folder on, for `need_file`.
CORPUS_FILE = f"corpus/{CORPUS_NOTE}"
TOKENIZER_FILE = f"prior/{TOKENIZER_WEIGHTS}"
ENCODER_FILE, WAVLM_FILE = f"encoder/{ENCODER_WEIGHTS}", f"encoder/{WAVLM_WEIGHTS}"
CLONE_FILE = f"clone/{POLICY_FILE}"
REWARD_FILE = f"reward/{REWARD_WEIGHTS}"
NATURALNESS_FILE = f"reward/{NATURALNESS_WEIGHTS}"
PREFERENCE_FILE = f"reward/{PREFERENCE_WEIGHTS}"

# Of `esarm reward-report`, whose page is called as the run's.
REWARD_REPORT_FOLDER, FIGURES_FILE = "reward_report", "figures.json"

# Of `esarm overoptimise`: results are `overoptimise.md` and their like, a folder for each curve.
OVEROPTIMISE_FOLDER, SETTINGS_FILE = "overoptimise", "settings.json"
CURVE_FILE, ALARMS_FILE = "curve.npz", "alarms.json"


def is_finished(run_path: Path, stage: str) -> bool:
    """Return whether a stage's folder is there; it comes when the stage is finished."""
    return _is(run_path / stage, folder=True)


def partial_folder(run_path: Path, stage: str) -> Path:
    """Return the folder in which a stage works until it is finished."""
    return run_path / f".{stage}.partial"


def finished_name(folder: str) -> str:
    """Return what a folder is called once its work is finished; a finished one stays."""
    return folder[1:].removesuffix(".partial") if folder.endswith(".partial") else folder


def is_file(path: Path) -> bool:
    """Return whether there is a file of this name.

    Raises:
        InputError: If that may not be looked at.
    """
    return _is(path, folder=False)


def need_stage(run_path: Path, stage: str) -> Path:
    """Return the folder of a finished stage.

    Raises:
        InputError: If the stage has not been run; the message is the command that runs it.
    """
    if not is_finished(run_path, stage):
        raise InputError(_missing(run_path, stage))
    return run_path / stage


def need_file(run_path: Path, name: str) -> Path:
    """Return the path of a stage's file.

    Args:
        run_path: The run folder.
        name: From there on, `STAGE/FILE`.

    Raises:
        InputError: If it is not there; the message is the command that makes it. Or if it may not
            be looked at.
    """
    path = run_path / name
    if not is_file(path):
        raise InputError(_missing(run_path, name.split("/")[0]))
    return path


def is_export(run_path: Path) -> bool:
    """Return whether a folder was made by `esarm export`: one policy, and no recordings."""
    return is_file(run_path / EXPORT_FILE)


def check_no_export(run_path: Path) -> None:
    """Check that a folder may be worked in: an export is passed on as it is.

    Raises:
        InputError: If it is one.
    """
    if is_export(run_path):
        raise InputError(
            f"{run_path}: must be a run to work on, got an export; begin one of your own (another "
            "--run)"
        )


def check_is_here(run_path: Path) -> None:
    """Check that a run to work on is no address on the Hub.

    Raises:
        InputError: If it is one.
    """
    from esarm_env.core.hub.address import as_written, is_address

    if is_address(run_path):
        raise InputError(
            f"{as_written(run_path)}: must be a folder here, got an address on the Hub; "
            "`esarm pull` fetches it"
        )


def improved_policies(run_path: Path) -> dict[str, Path]:
    """Return the weights that the stage `improve` left, by algorithm; none before it."""
    return _policies(run_path / "improve")


def speech_policies(run_path: Path) -> dict[str, Path]:
    """Return the weights that learned from speech alone, by name."""
    return _policies(run_path / SPEECH_FOLDER)


def experiment_policies(run_path: Path) -> dict[str, Path]:
    """Return the weights of all experiments: by their name, or NAME/ALGORITHM of several."""
    found: dict[str, Path] = {}
    for folder in sorted((run_path / EXPERIMENTS_FOLDER).glob("[!.]*")):
        policies = improved_policies(folder)
        alone = len(policies) == 1
        found |= {folder.name if alone else f"{folder.name}/{k}": p for k, p in policies.items()}
    return found


def own_policies(run_path: Path) -> dict[str, Path]:
    """Return the weights that the stages of a run left, by name, the clone first."""
    found = {"clone": run_path / CLONE_FILE} if is_file(run_path / CLONE_FILE) else {}
    return found | improved_policies(run_path) | speech_policies(run_path)


def run_policies(run_path: Path) -> dict[str, Path]:
    """Return the weights of every policy of a run by name: its own, then its experiments'."""
    return own_policies(run_path) | experiment_policies(run_path)


def experiment_folder(run_path: Path, name: str) -> Path:
    """Return the folder of an experiment, there or not."""
    return run_path / EXPERIMENTS_FOLDER / name


def speech_folder(run_path: Path, name: str) -> Path:
    """Return the folder of a policy that learned from speech alone, there or not."""
    return run_path / SPEECH_FOLDER / name


def _policies(folder: Path) -> dict[str, Path]:
    files = sorted(folder.glob(f"[!.]*/{POLICY_FILE}"))
    return {file.parent.name: file for file in files}


def round_folder(run_path: Path, number: int) -> Path:
    """Return the folder of a round of improvement; the run itself is round 1."""
    return run_path if number == 1 else run_path / ROUNDS_FOLDER / f"{number}"


def seed_folder(run_path: Path, seed: int) -> Path:
    """Return the folder of another seed than the run's own."""
    return run_path / SEEDS_FOLDER / f"{seed}"


def _missing(run_path: Path, stage: str) -> str:
    check_is_here(run_path)
    if not _is(run_path, folder=True):
        return (
            f"{run_path}: must be a run folder, got none of that name; "
            f"`esarm run --run {run_path}` makes one"
        )
    if is_export(run_path):
        return (
            f"{run_path}: must be the run for this, got an export, which has no stage `{stage}`; "
            "it animates, and gives environments their task and algorithms their start"
        )
    return (
        f"{run_path}: must hold the stage `{stage}`, got none; "
        f"run `esarm {stage} --run {run_path}` first"
    )


def _is(path: Path, *, folder: bool) -> bool:
    """Return whether there is a file or folder of this name.

    Raises:
        InputError: If that may not be looked at.
    """
    try:
        return path.is_dir() if folder else path.is_file()
    except OSError as error:
        raise InputError(
            f"{path}: must be in a run folder that can be read, got {error.strerror}; "
            "mend its permissions"
        ) from error
