"""The command line: `esarm COMMAND`.

Heavy packages are imported inside the commands, so that `esarm --help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from esarm_env.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from train.run_folder import RunFolder

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130


@dataclass
class RunOptions:
    """Which run, and with which settings.

    Attributes:
        run: Folder of the run. An existing one keeps its settings.
        preset: Settings to start from: demo takes minutes on two cores, small about an hour, paper
            wants a GPU and WavLM weights. [default: demo]
        config: A YAML file of settings instead of a preset (every run folder holds one).
        set: A single setting such as `clone.epochs=10`; give the option again for more.
        json: Also write the printed figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """

    run: Path = Path("runs/demo")
    preset: Literal["demo", "small", "paper"] | None = None
    config: Path | None = None
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    json: Path | None = None
    threads: int = 0

    def open(self, *extra: str) -> RunFolder:
        """Open or create the run folder; `extra` are further `KEY=VALUE` settings."""
        from train.config import make_config
        from train.run_folder import RunFolder

        _use_threads(self.threads)
        overrides = (*self.set, *extra)
        given = self.preset is not None or self.config is not None or overrides
        if (self.run / "config.yaml").is_file() and not given:
            return RunFolder.open(self.run)
        config = make_config(preset=self.preset or "demo", file=self.config, overrides=overrides)
        return RunFolder(self.run, config)


Options = Annotated[RunOptions, tyro.conf.OmitArgPrefixes]
Corpus = Annotated[str | None, tyro.conf.Positional]


def command_run(*, options: Options, corpus: str | None = None) -> None:
    """Run the whole pipeline: corpus to report. Finished stages are skipped.

    Interrupt it at any time; the same command goes on where it stopped.

    Args:
        options: Which run, and with which settings.
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder with `audio/NAME.wav` and
            `blendshape/NAME.npy`.
    """
    from train.report import write_report
    from train.run_folder import STAGES
    from train.stages import STAGE_FUNCTIONS

    run = options.open(*_corpus_setting(corpus))
    summaries = {stage: STAGE_FUNCTIONS[stage](run) for stage in STAGES}
    report = write_report(run)
    _print_results(summaries["evaluate"])
    print(f"report: {report}")
    _write_json(summaries, options.json)


def command_corpus(corpus: Corpus = None, /, *, options: Options) -> None:
    """Stage 1: open a corpus (generate a synthetic one) and compute its audio features.

    Args:
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder of recordings.
        options: Which run, and with which settings.
    """
    _stage("corpus", options, *_corpus_setting(corpus))


def command_prior(*, options: Options) -> None:
    """Stage 2: learn the motion tokens (a VQ autoencoder for mouth and upper face).

    Args:
        options: Which run, and with which settings.
    """
    _stage("prior", options)


def command_clone(*, options: Options) -> None:
    """Stage 3: clone the recordings with the transformer policy.

    Args:
        options: Which run, and with which settings.
    """
    _stage("clone", options)


def command_demonstrate(*, options: Options) -> None:
    """Stage 4: roll out the clone with rising shares of random actions.

    Args:
        options: Which run, and with which settings.
    """
    _stage("demonstrate", options)


def command_reward(*, options: Options) -> None:
    """Stage 5: train the reward model on the ranked roll-outs.

    Args:
        options: Which run, and with which settings.
    """
    _stage("reward", options)


def command_improve(*, options: Options) -> None:
    """Stage 6: improve the clone by PPO and REINFORCE on the learned reward.

    Args:
        options: Which run, and with which settings.
    """
    _stage("improve", options)


def command_evaluate(*, options: Options) -> None:
    """Stage 7: measure true errors (LVE, EVE) and the learned score on held-out utterances.

    Args:
        options: Which run, and with which settings.
    """
    from train.report import write_report
    from train.stages import STAGE_FUNCTIONS

    run = options.open()
    summary = STAGE_FUNCTIONS["evaluate"](run)
    print(f"report: {write_report(run)}")
    _print_results(summary)
    _write_json(summary, options.json)


def command_animate(
    speech: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    run: Path = Path("runs/demo"),
    emotion: str = "neutral",
    intensity: int = 2,
    speaker: str | None = None,
    policy: str = "auto",
    rate: int = 30,
    temperature: float = 0.0,
    seed: int = 0,
    json: Path | None = None,
) -> None:
    """Animate a recording; writes a Live Link Face CSV (52 ARKit curves and head rotations).

    Args:
        speech: A sound file of 0.2 s to 10 min, any rate, mono or stereo (WAV, FLAC, Ogg, MP3).
        output: The CSV to write.
        run: Folder of a finished run.
        emotion: neutral, angry, calm, contempt, disgusted, fear, happy, sad or surprised.
        intensity: 1 (weak) to 3 (strong).
        speaker: Face style of a training speaker; the average by default.
        policy: ppo, reinforce or clone; auto takes the improved policy if there is one.
        rate: Frames per second, 30 or 60.
        temperature: 0 takes the most likely motion, 1 samples.
        seed: Of sampling.
        json: Also write what was done to this file.
    """
    from train.animate import Voice, animate_file

    done = animate_file(
        speech,
        output,
        run=run,
        voice=Voice(emotion, intensity, speaker),
        policy=policy,
        rate_hz=rate,
        temperature=temperature,
        seed=seed,
    )
    print(", ".join(f"{name}: {value}" for name, value in done.items()))
    _write_json(done, json)


COMMANDS: dict[str, Callable[..., None]] = {
    "run": command_run,
    "corpus": command_corpus,
    "prior": command_prior,
    "clone": command_clone,
    "demonstrate": command_demonstrate,
    "reward": command_reward,
    "improve": command_improve,
    "evaluate": command_evaluate,
    "animate": command_animate,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    # By default OpenMP's threads wait by spinning, and beside one busy process a training step took
    # 2100 ms instead of 50; never spinning made a quiet machine slow (85 ms). This little, read
    # when torch is imported, gave 50 and 150.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="esarm",
            description="Speech-driven emotional facial animation by reinforcement learning.",
            args=arguments,
        )
    except (InputError, MissingExtraError) as error:
        print(f"esarm: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print("esarm: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _stage(name: str, options: RunOptions, *overrides: str) -> None:
    from train.stages import STAGE_FUNCTIONS

    summary = STAGE_FUNCTIONS[name](options.open(*overrides))
    for key, value in summary.items():
        print(f"{key}: {value}")
    _write_json(summary, options.json)


def _corpus_setting(corpus: str | None) -> tuple[str, ...]:
    return () if corpus is None else (f"corpus.name={json.dumps(corpus)}",)


def _use_threads(threads: int) -> None:
    if threads > 0:
        import torch

        torch.set_num_threads(threads)


def _print_results(summary: dict[str, Any]) -> None:
    """Print means and half widths of the report's main table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("animation", "LVE (mm)", "EVE (mm)", "learned score")
    for label, figures in summary["rows"].items():
        table.add_row(label, *(_short(figures[name]) for name in ("lve", "eve", "score")))
    Console().print(table)


def _short(figures: list[float | None]) -> str:
    mean, low, high = figures
    if mean is None or low is None or high is None:
        return "n/a"
    return f"{mean:.2f} ± {(high - low) / 2:.2f}"


def _write_json(figures: dict[str, Any], path: Path | None) -> None:
    if path is None:
        return
    from esarm_env.cache import new_file

    try:
        with new_file(path) as draft:
            draft.write_text(json.dumps(figures, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"`json` must be a writable file, got {path} ({error})") from error
