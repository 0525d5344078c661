"""`esarm animate` and `esarm export`: a recording becomes face curves; a run, what others need."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from train.commands.options import (
    check_folder_target,
    check_json_target,
    settle_corpus,
    write_json,
)


def command_animate(
    speech: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    run: Path | None = None,
    emotion: str = "auto",
    intensity: int | None = None,
    speaker: str | None = None,
    policy: str = "auto",
    rate: int = 30,
    decoding: str = "auto",
    temperature: float | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
    beam: int = 0,
    median_of: int = 0,
    best_of: int = 1,
    reward: str | None = None,
    seed: int = 0,
    alive: bool = True,
    corpus: str | None = None,
    json: Path | None = None,
) -> None:
    """Animate a recording: a file of 52 ARKit curves.

    Without `--run` the policy that ships with the package animates. It was trained on synthetic
    speech alone: expect it to be worse on real voices.

    Args:
        speech: A sound file of 0.2 s to 10 min, any rate, mono or stereo (WAV, FLAC, Ogg, MP3;
            with the extra `video` also .m4a and video).
        output: The file to write; its suffix tells the format, `.csv` or that of an exporter that
            `esarm plugins` lists. `.csv` is a Live Link Face recording; a device or FIFO without a
            suffix gets that, too.
        run: Folder of a finished run whose policy animates; by default what ships with the package.
        emotion: neutral, angry, calm, contempt, disgusted, fear, happy, sad or surprised, if the
            run was trained on it (what ships was never shown calm); a blend such as
            happy:0.5,surprised:0.5; the path of a .csv file with a curve over time (a column
            time_s, one for each emotion, and intensity if that changes, too); or auto, which shows
            the emotion heard in the voice, mixed half with neutral where that is unsure. It is
            right in about one of three acted recordings; chance is one of eight.
        intensity: 1 (weak) to 3 (strong); by default 2, or with auto what the voice tells.
        speaker: A training speaker whose face style is used; by default the average of all.
        policy: The policy that animates: clone or, in a finished run, also ppo, reinforce and what
            else the stage `improve` trained, an experiment, or the path of a policy file that fits
            the run. auto takes the run's own one with the lowest error (LVE and EVE) on the
            validation utterances.
        rate: Frames per second, 30 or 60.
        decoding: How tokens are chosen. greedy takes the most likely token; expected-distance the
            one that looks most like all that the policy would draw, on average; sampled draws at
            random; median takes the median of several samples, which comes nearest to recordings
            and takes longer; beam searches for the most likely sequence. auto samples if a
            temperature is given, else uses expected-distance if the policy supports it, else
            greedy.
        temperature: Sampling temperature, 1 by default; lower values stay closer to the most
            likely motion, and 0 is greedy.
        top_k: Sample from the K most likely tokens only; 0 samples from all.
        top_p: Sample from the smallest set of most likely tokens whose probabilities sum to this.
        beam: Number of sequences that beam search keeps, 4 by default.
        median_of: Number of samples that the median is taken of, 32 by default.
        best_of: Draw N animations, and keep the one that the reward prefers. Long recordings are
            cut at pauses, and each piece is chosen by itself.
        reward: Name of the reward that chooses with `--best-of`, one that needs no ground truth
            (see `esarm plugins`); by default the run's reward model.
        seed: Random seed of sampling, blinks and gaze.
        alive: Add blinks, eye movements and small movements of the resting face where the policy
            writes none (a policy that is not sampled never blinks).
        corpus: Where the run's recordings are now, if they have moved, which `--best-of` asks; it
            is noted for all runs on them. [default: where they were]
        json: Also write what was done to this file.
    """
    from esarm_env.core.cache import is_standard_output
    from esarm_env.core.shipped import shipped_run
    from esarm_env.face.exporters import exporter_to

    check_json_target(json, output)
    exporter_to(output, speech=speech)  # a mistyped name needs no seconds of torch's import
    _need_file(speech)

    from agents.rollout.named_decoding import NamedDecoding
    from esarm_env.task.recording import AnimationCondition
    from train.animate import Writing, animate_file

    # Beside the CSV itself a line would be a broken row of it.
    said_on = sys.stderr if is_standard_output(output) else sys.stdout
    settle_corpus(run, corpus, said_on=said_on)
    way = NamedDecoding(decoding, temperature, top_k, top_p, beam, median_of)
    done = animate_file(
        speech,
        output,
        run_path=run or shipped_run(),
        voice=AnimationCondition(emotion, intensity, speaker),
        policy=policy,
        rate_hz=rate,
        writing=Writing(way, best_of, reward, seed),
        alive=alive,
    )
    told = {name: value for name, value in done.items() if value is not None}
    if isinstance(shown := told.get("emotion"), dict):
        told["emotion"] = shown["words"]
    print(", ".join(f"{name}: {value}" for name, value in told.items()), file=said_on)
    write_json(done, json)


def _need_file(speech: Path) -> None:
    """Check that there is a file; what reads it says so itself."""
    if not speech.exists():
        from esarm_env.audio import read_audio

        read_audio(speech)


def command_export(
    run: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    policy: str = "auto",
    json: Path | None = None,
) -> None:
    """Write what others need of a run, and nothing more.

    One policy, tokenizer, speech encoder, reward model, settings, and a card in Markdown (figures,
    how it was made, licence). No recordings, no audio, no paths of this machine. The folder serves
    wherever a run folder does to animate, to make environments and to warm-start algorithms.

    Args:
        run: Folder of a finished run.
        output: Folder to write; an earlier export is replaced.
        policy: clone, or what else the run has (ppo, ...); auto takes the one with the smallest
            true error on the validation utterances.
        json: Also write the manifest to this file.
    """
    from esarm_env.core.run_layout import EXPORT_CARD
    from train.sharing.export import export_run

    check_json_target(json)
    check_folder_target(output)
    manifest = export_run(run, output, policy=policy)
    for name, file in manifest["files"].items():
        print(f"{file['bytes']:>12,} {name}")
    print(f"policy: {manifest['policy']}; read {output / EXPORT_CARD} before you pass it on")
    write_json(manifest, json)
