"""`esarm animate`, `convert` and `export`: voices to faces, motion to formats, runs to others."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import tyro

from esarm_env.core.errors import InputError
from esarm_env.core.hub.folders import local_folder
from train.commands.options import (
    check_folder_target,
    check_json_target,
    settle_corpus,
    write_json,
)

if TYPE_CHECKING:
    from train.clips.folder import FolderReport

Paths = Annotated[tuple[Path, ...], tyro.conf.UseAppendAction, tyro.conf.arg(aliases=["-o"])]
Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
# As `agents.rollout.named_decoding.NAMES`, which needs torch.
DecodingName = Literal["auto", "greedy", "expected-distance", "median", "sampled", "beam"]


def command_animate(
    speech: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    output: Paths,
    format: Names = (),
    run: Path | None = None,
    emotion: str = "auto",
    intensity: int | None = None,
    speaker: str | None = None,
    policy: str = "auto",
    rate: int = 30,
    decoding: DecodingName = "auto",
    temperature: float | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
    beam: int = 0,
    median_of: int = 0,
    best_of: int = 1,
    reward: str | None = None,
    seed: int = 0,
    alive: bool = True,
    head: str | None = None,
    overwrite: bool = False,
    card: tuple[Path, ...] | None = None,
    corpus: str | None = None,
    json: Path | None = None,
) -> None:
    """Animate a recording: curves, a 3D head, a video.

    The suffix of each output tells its format: .csv for Live Link Face, .glb and .usda for an
    animated head, .mp4 and .webm for a video with sound, .npy or .json for arrays; `esarm plugins`
    lists all. Several are written of one animation: `-o a.csv -o a.mp4`. Of a folder of recordings
    each is animated into the folder OUTPUT; files that are there already are skipped, and a
    recording that cannot be animated is listed at the end (exit code 1).

    Without `--run` the policy that ships with the package animates. It was trained on synthetic
    speech alone: expect it to be worse on real voices.

    Args:
        speech: A sound file of 0.2 s to 10 min, any rate, mono or stereo (WAV, FLAC, Ogg, MP3;
            with the extra `video` also .m4a and video); or a folder of them.
        output: The file to write; give it again for each further one. A device or FIFO without a
            suffix gets a Live Link Face recording. Of a folder of recordings, a folder.
        format: Name of the format where the suffix does not tell: beat, lam or audio2face for
            .json. Of a folder, the formats to write, by default livelink; give it again for each
            further one.
        run: Folder of a finished run whose policy animates, or hf://USER/NAME@REVISION for one on
            the Hub; by default what ships with the package.
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
        head: The head that .glb, video and USD show: a FLAME file, an ICT-FaceKit folder or a .glb
            with ARKit shapes; by default the one that ships with the package.
        overwrite: Animate recordings of a folder again whose files are there already.
        card: Also write a quality card of each clip, a page with pictures, curves and figures; by
            default beside the output, as NAME.card.html. Put it behind the recording: a word that
            follows it is taken for the card's file.
        corpus: Where the run's recordings are now, if they have moved; only `--best-of` needs them.
            The new place is noted for all runs on them. [default: where they were]
        json: Also write what was done to this file.
    """
    from esarm_env.core.shipped import shipped_run
    from esarm_env.face.exporters import exporters_to

    check_json_target(json, *output, *(card or ()))
    page = _card_of(card, output, is_folder=speech.is_dir())
    if speech.is_dir():
        _check_folder(output)
    else:
        # A mistyped name needs no seconds of torch's import.
        if not speech.exists():
            _need_sound(speech)
        exporters_to(output, speech=speech, formats=format, rate_hz=rate)
        _need_sound(speech)
    _check_voice(emotion, intensity, reward)
    run = None if run is None else local_folder(run)
    _check_policy(run or shipped_run(), policy)

    from agents.rollout.named_decoding import NamedDecoding
    from esarm_env.task.recording import AnimationCondition
    from train.animate import Manner, Writing
    from train.clips.animation import animate_file
    from train.clips.folder import animate_folder

    settle_corpus(run, corpus, said_on=_beside(output))
    way = NamedDecoding(decoding, temperature, top_k, top_p, beam, median_of)
    voice = AnimationCondition(emotion, intensity, speaker)
    manner = Manner(voice, Writing(way, best_of, reward, seed), alive=alive)
    asked: dict[str, Any] = {"run_path": run or shipped_run(), "policy": policy, "rate_hz": rate}
    asked |= {"manner": manner, "formats": format, "head": head}
    if speech.is_dir():
        report = animate_folder(
            speech, output[0], overwrite=overwrite, cards=card is not None, **asked
        )
        _say_of_folder(report, json)
        return
    done = animate_file(speech, output, card=page, **asked)
    told = {name: value for name, value in done.items() if value is not None}
    if page is not None:
        told["card"] = page
    told["output"] = ", ".join(map(str, told.pop("outputs")))
    if isinstance(shown := told.get("emotion"), dict):
        told["emotion"] = shown["words"]
    _say(told, output)
    write_json(done, json)


def _check_voice(emotion: str, intensity: int | None, reward: str | None) -> None:
    """Refuse what torch, a run and a policy need not be loaded for."""
    from esarm_env.rewards.registry import check_without_recordings
    from esarm_env.task.emotion_curve import chosen_emotion

    with warnings.catch_warnings():  # they are said when the animation is made
        warnings.simplefilter("ignore")
        chosen_emotion(emotion, intensity)
    if reward is not None:
        check_without_recordings(reward)


def _check_policy(run: Path, policy: str) -> None:
    """Refuse a run that cannot animate, and a policy that it does not have."""
    from train.run.named_policies import check_animates, named_policy

    check_animates(run)
    named_policy(run, policy)


def _say(told: Mapping[str, object], outputs: Sequence[Path]) -> None:
    """Print what was done, a figure a line."""
    print("\n".join(f"{name}: {value}" for name, value in told.items()), file=_beside(outputs))


def _beside(outputs: Sequence[Path]) -> TextIO:
    """Return where to print beside outputs: in a CSV on standard output a line were a row."""
    from esarm_env.core.cache import is_standard_output

    return sys.stderr if any(map(is_standard_output, outputs)) else sys.stdout


def _card_of(
    card: tuple[Path, ...] | None, outputs: Sequence[Path], *, is_folder: bool
) -> Path | None:
    """Return where the card of a recording goes; None where none is asked for, or a folder's."""
    from esarm_env.core.cache import check_target

    if card is None or (is_folder and not card):
        return None
    if is_folder or len(card) > 1:
        got = ", ".join(map(str, card))
        rule = "without a value for a folder of recordings" if is_folder else "followed by one file"
        raise InputError(f"`card` must stand {rule}, got {got}")
    if card and card[0].suffix.lower() not in (".html", ".htm"):
        raise InputError(f"`card` must be a file that ends in .html, got {card[0]}")
    if not card and not outputs[0].suffix:
        raise InputError(f"`card` must name a file where the output is {outputs[0]}")
    path = card[0] if card else outputs[0].with_name(f"{outputs[0].stem}.card.html")
    check_target(path, make_folder=False)
    return path


def _check_folder(outputs: Sequence[Path]) -> None:
    """Refuse what cannot be the output of a folder of recordings."""
    if len(outputs) != 1:
        listed = ", ".join(map(str, outputs))
        raise InputError(f"`output` must be one folder for a folder of recordings, got {listed}")
    check_folder_target(outputs[0])


def _say_of_folder(report: FolderReport, json: Path | None) -> None:
    """Print what became of a folder; exit code 1 where a recording was left out."""
    counts = {name: value for name, value in report.to_dict().items() if isinstance(value, int)}
    print(", ".join(f"{name}: {value}" for name, value in counts.items()))
    for fault in report.faults:
        print(f"esarm: {fault}", file=sys.stderr)
    write_json(report.to_dict(), json)
    if report.faults:
        sys.exit(1)


def command_convert(
    source: Annotated[Path, tyro.conf.Positional],
    outputs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    *,
    format: Names = (),
    head: str | None = None,
    speech: Path | None = None,
    rate: int = 30,
    fps: float | None = None,
    json: Path | None = None,
) -> None:
    """Convert motion: from any file of curves to any format.

    Reads what Live Link Face, MediaPipe, Audio2Face, BEAT, LAM and others write (.csv, .json, .npy,
    .npz) and animated glTF heads with ARKit's names. Channels are matched by name, the rate by the
    file's own times; what is faster than 30 frames per second is brought to that.

    Args:
        source: The file of motion.
        outputs: The files to write; the suffix of each tells its format (`esarm plugins` lists
            them).
        format: Name of the format where the suffix does not tell: beat, lam or audio2face for
            .json.
        head: The head that .glb, video and USD show: a FLAME file, an ICT-FaceKit folder or a .glb
            with ARKit shapes; by default the one that ships with the package.
        speech: A sound file that is heard with it, in video, and noted in .glb and USD.
        rate: Frames per second of the outputs, 30 or 60.
        fps: Frames per second of a source that does not state them, such as .npy; by default 30.
        json: Also write what was done to this file.
    """
    from esarm_env.face.exporters import exporters_to

    check_json_target(json, *outputs)
    exporters_to(outputs, speech=source, formats=format, rate_hz=rate)

    from train.clips.conversion import convert_file

    done = convert_file(
        source,
        outputs,
        formats=format,
        head=head,
        speech=speech,
        rate_hz=rate,
        fps=fps,
    )
    told = {name: value for name, value in done.items() if value is not None and name != "notes"}
    _say(told | {"outputs": ", ".join(map(str, outputs))}, outputs)
    for note in done["notes"]:
        print(f"esarm: note: {note}", file=sys.stderr)
    write_json(done, json)


def _need_sound(speech: Path) -> None:
    """Check that there is a file of sound; what reads it says so itself."""
    if speech.is_file() or not speech.exists():  # a pipe can be read once alone
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
