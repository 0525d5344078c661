"""`esarm animate`: a recording becomes face curves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from train.commands.options import check_json_target, write_json


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
    json: Path | None = None,
) -> None:
    """Animate a recording; writes a Live Link Face CSV (52 ARKit curves and head rotations).

    Args:
        speech: A sound file of 0.2 s to 10 min, any rate, mono or stereo (WAV, FLAC, Ogg, MP3;
            with the extra `video` also .m4a and video).
        output: The file to write; its suffix tells the format, `.csv` or that of an exporter that
            `esarm plugins` lists. A device or FIFO
            without one gets CSV.
        run: Folder of a finished run; by default what ships with the package (trained on synthetic
            speech alone).
        emotion: neutral, angry, calm, contempt, disgusted, fear, happy, sad or surprised, of those
            that the run was trained on (what ships was never shown calm); a blend such as
            happy:0.5,surprised:0.5; a curve over time, by the path of a .csv file with a column
            time_s, one for each emotion, and intensity if that changes, too; or auto, which shows
            what the voice tells, half neutral where that is unsure, and says what it heard (right
            in about one of three acted recordings, where chance is one of eight).
        intensity: 1 (weak) to 3 (strong); by default 2, or with auto what the voice tells.
        speaker: Face style of a training speaker; the average by default.
        policy: clone, or in a finished run also ppo, reinforce and what else `improve` trained;
            auto takes the one with the smallest true error on the validation utterances.
        rate: Frames per second, 30 or 60.
        decoding: greedy takes the most likely token, expected-distance the one that looks least
            far from what the policy would draw, median takes the median of several samples, which
            comes nearest to recordings and takes longer, sampled draws, beam searches for the most
            likely sequence; auto samples where a temperature is given, else decodes by expected
            distance where the policy knows distances, or greedily.
        temperature: Of sampling, 1 by default; less is closer to the most likely motion, and 0 is
            greedy.
        top_k: Sample from so many of the likeliest tokens alone; 0 from all.
        top_p: Sample from the fewest likeliest tokens that hold this share of probability.
        beam: Sequences that beam search keeps, 4 by default.
        median_of: Samples that the median is taken of, 32 by default.
        best_of: Draw so many animations, and take the one that the reward prefers, piece by piece.
        reward: By which, one that needs no ground truth (see `esarm plugins`); by default the run's
            reward model.
        seed: Random seed of sampling, blinks and gaze.
        alive: Add blinks, eye movements and a face that never quite rests, where the policy writes
            none (a deterministic one never blinks).
        json: Also write what was done to this file.
    """
    from agents.rollout.named_decoding import NamedDecoding
    from esarm_env.core.cache import is_standard_output
    from esarm_env.core.shipped import shipped_run
    from esarm_env.task.recording import AnimationCondition
    from train.animate import Writing, animate_file

    check_json_target(json, output)
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
    # Beside the CSV itself the line would be a broken row of it.
    said_on = sys.stderr if is_standard_output(output) else sys.stdout
    told = {name: value for name, value in done.items() if value is not None}
    print(", ".join(f"{name}: {value}" for name, value in told.items()), file=said_on)
    write_json(done, json)
