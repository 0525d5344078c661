"""Animate: speech becomes animations, one for each sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, N_INTENSITIES
from train.studio.asking import Asked, numbers, read_asked, studio_of
from train.studio.takes import Take

if TYPE_CHECKING:
    from starlette.requests import Request

    from agents.rollout.named_decoding import NamedDecoding
    from esarm_env.task.emotion_curve import EmotionCurve
    from train.studio.jobs import Job
    from train.studio.policies import Choice
    from train.studio.studio import Studio

MOST_SAMPLES = 8
KINDS = ("auto", "mix", "curve")
_CHANCE = ("sampled", "median")  # decodings that draw at random
_MOST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Wanted:
    """An animation as the page asks for it.

    Attributes:
        choice: The policy.
        way: How tokens are chosen.
        emotion: As of `AnimationCondition`.
        intensity: 1 to 3; None is 2, or what voice or curve tell.
        speaker: A training speaker; None is the average.
        samples: How many are drawn.
        seed: Of the first; each further one has the next.
        alive: Whether blinks and gaze are added.
    """

    choice: Choice
    way: NamedDecoding
    emotion: str | EmotionCurve
    intensity: int | None
    speaker: str | None
    samples: int
    seed: int
    alive: bool


async def begin(request: Request) -> Response:
    """Begin an animation of a sound."""
    from starlette.concurrency import run_in_threadpool

    studio, asked = studio_of(request), await read_asked(request)
    try:
        sound = studio.sounds.get(asked.text("sound"))
    except KeyError as error:
        raise HTTPException(404, "this sound was forgotten; drop the file again") from error
    # In a thread: just after the start it waits until torch is loaded.
    wanted = await run_in_threadpool(_wanted, studio, asked)
    job = studio.jobs.submit("animation", lambda job: _animate(studio, wanted, job), sound=sound)
    return JSONResponse(job.to_dict(), 202)


def _wanted(studio: Studio, asked: Asked) -> Wanted:
    """Return what is asked for, checked as far as it can be without the policy."""
    from agents.rollout.named_decoding import NamedDecoding

    choice = studio.policies.choice(asked.text("policy", studio.policies.choices()[0].id))
    samples = asked.whole("samples", 1, MOST_SAMPLES, 1)
    decoding = asked.text("decoding", "auto")
    temperature = asked.maybe("temperature")
    if samples > 1 and decoding == "auto":
        decoding = "sampled"
    if samples > 1 and decoding not in _CHANCE:
        raise InputError(
            f"`samples` must be 1 of {decoding} decoding, which leaves nothing to chance, "
            f"got {samples}; choose sampled"
        )
    intensity = asked.maybe("intensity")
    if intensity is not None and (
        isinstance(intensity, bool) or intensity not in range(1, N_INTENSITIES + 1)
    ):
        raise InputError(f"`intensity` must be 1 to {N_INTENSITIES}, got {intensity!r:.40}")
    speaker = asked.maybe("speaker")
    if speaker is not None and not isinstance(speaker, str):
        raise InputError(f"`speaker` must be a name, got {speaker!r:.40}")
    wanted = Wanted(
        choice,
        NamedDecoding(
            decoding, None if temperature is None else numbers("temperature", [temperature])[0]
        ),
        _emotion(asked.maybe("emotion")),
        None if intensity is None else int(intensity),
        speaker,
        samples,
        asked.whole("seed", 0, _MOST_SEED - MOST_SAMPLES, 0),
        asked.flag("alive", True),
    )
    asked.done()
    return wanted


def _emotion(given: object) -> str | EmotionCurve:
    """Return an emotion from `{"kind": "auto"}`, a mix of shares, or a curve over time.

    Never by a file's path, which the command line takes.
    """
    asked = Asked({"kind": "auto"} if given is None else given)
    kind = asked.choice("kind", KINDS)
    if kind == "auto":
        asked.done()
        return "auto"
    shares = asked.maybe("shares")
    if not isinstance(shares, dict) or not shares or not set(shares) <= set(EMOTIONS):
        raise InputError(f"`shares` must be of {', '.join(EMOTIONS)}, got {shares!r:.80}")
    if kind == "mix":
        asked.done()
        return _mix(shares)
    times, strength = asked.maybe("times_s"), asked.maybe("intensity")
    asked.done()
    return _curve(times, shares, strength)


def _mix(shares: dict[str, Any]) -> str:
    """Return a mix as the command line would spell it."""
    values = np.array(numbers("shares", list(shares.values())))
    if (values < 0).any() or not 0 < (total := float(values.sum())) < np.inf:
        raise InputError("`shares` must be at least 0, and one of them above, got others")
    kept = {name: value / total for name, value in zip(shares, values, strict=True) if value > 0}
    if len(kept) == 1:
        return next(iter(kept))
    return ",".join(f"{name}:{value:.9f}" for name, value in kept.items())


def _curve(times: object, shares: dict[str, Any], strength: object) -> EmotionCurve:
    from esarm_env.task.emotion_curve import EmotionCurve

    drawn = {name: np.array(numbers(name, values)) for name, values in shares.items()}
    if len({len(values) for values in drawn.values()}) == 1:
        total = sum(drawn.values())
        if np.all(total > 0) and np.all(np.isfinite(total)):  # of those drawn; else `of` says it
            drawn = {name: values / total for name, values in drawn.items()}
    intensity = None if strength is None else numbers("intensity", strength)
    return EmotionCurve.of(
        numbers("times_s", times), drawn, intensity=intensity, name="the drawing"
    )


def _animate(studio: Studio, wanted: Wanted, job: Job) -> None:
    """Animate the sound of a job, sample by sample."""
    from esarm_env.liveliness import add_liveliness
    from esarm_env.task.recording import AnimationCondition
    from train.animate import Writing

    assert job.sound is not None
    job.step("loading the policy")
    animator = studio.policies.animator(wanted.choice)
    voice = AnimationCondition(wanted.emotion, wanted.intensity, wanted.speaker)
    for number in range(wanted.samples):
        seed = wanted.seed + number
        which = f" {number + 1} of {wanted.samples}" if wanted.samples > 1 else ""
        job.step(f"animating{which}")
        writing = Writing(wanted.way, seed=seed)
        motion = animator.animate(job.sound.audio, voice, writing)
        if wanted.alive:
            motion = add_liveliness(motion, seed=seed, own_blinks=False)
        decoding = animator.decoding_of(writing).name
        told = {
            "policy": animator.policy_name,
            "decoding": decoding,
            "emotion": None if animator.emotion is None else animator.emotion.to_dict(),
            "seed": seed,
            "alive": wanted.alive,
        }
        label = f"sample {number + 1}" if wanted.samples > 1 else animator.policy_name
        job.takes.append(Take(label, motion, told))


ROUTES = [Route("/api/animations", begin, methods=["POST"])]
