"""Judge: raters compare two animations of an utterance, blind; their answers become a file.

Nothing that goes to the page before the summary tells who wrote which animation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from esarm_env.core.errors import InputError
from reward.pairs.preference_file import VERDICTS
from train.studio.asking import read_asked, studio_of, whole_in
from train.studio.heads import OWN, PICTURE_SIZES
from train.studio.judging.asked import DECODINGS, pool_asked
from train.studio.judging.study import CHOICES, MOST_PAIRS, RANDOM, TakenNameError
from train.studio.packing import MOTION_STEP, packed, stepped

if TYPE_CHECKING:
    from starlette.requests import Request

    from reward.judging import ShownPair
    from train.studio.judging.study import Seat, Study
    from train.studio.studio import Studio

_FORGOTTEN = "this session has ended, or the studio was started anew; begin again under your name"
_DEFAULT_PAIRS = 50
_LONGEST_WAIT_S = 10


def study_of(request: Request) -> Study:
    """Return the study of the studio that a request is for."""
    return studio_of(request).study


def tell(request: Request) -> Response:
    """Tell what can be judged, by whom, and where the answers are."""
    studio = studio_of(request)
    told = studio.study.to_dict()
    return JSONResponse({**told, "policies": policies_of(studio), "decodings": list(DECODINGS)})


def policies_of(studio: Studio) -> list[str]:
    """Return the run's policies by name, the clone first; none before there is one."""
    from train.studio.policies import RUN

    own = [choice.policy for choice in studio.policies.choices() if choice.source == RUN]
    return [name for name in own if name != "auto"] or ["clone"] * bool(own)


async def make(request: Request) -> Response:
    """Make animations to judge, in the background."""
    studio, asked = studio_of(request), await read_asked(request)
    studio.study.need()
    studio.study.make(pool_asked(asked, policies_of(studio)))
    return JSONResponse(studio.study.to_dict(), 202)


async def begin(request: Request) -> Response:
    """Seat a rater, `{"rater": ..., "choice": ..., "pairs": ..., "go_on": ..., "take_over": ...}`.

    A name that is taken is a question to the page, with the status 409.
    """
    study, asked = study_of(request), await read_asked(request)
    rater = asked.text("rater", most=1000)
    choice = asked.choice("choice", CHOICES, RANDOM)
    goal = asked.whole("pairs", 1, MOST_PAIRS, _DEFAULT_PAIRS)
    go_on, take_over = asked.flag("go_on", False), asked.flag("take_over", False)
    asked.done()
    try:
        seat = study.begin(rater, choice=choice, goal=goal, go_on=go_on, take_over=take_over)
    except TakenNameError as error:
        return JSONResponse({"error": str(error), "taken": error.told}, 409)
    return JSONResponse(await run_in_threadpool(_told, study, seat), 201)


def show(request: Request) -> Response:
    """Tell what a rater judges now; with `?wait=5` a wait is told of after 5 s only."""
    wait = whole_in(request.query_params.get("wait", "0"), "wait", 0, _LONGEST_WAIT_S)
    return JSONResponse(_told(study_of(request), _seat(request), wait_s=wait))


async def answer(request: Request) -> Response:
    """Write an answer, `{"number": ..., "verdict": ...}`, and tell what comes next."""
    study, seat, asked = study_of(request), _seat(request), await read_asked(request)
    verdict = asked.choice("verdict", VERDICTS)
    number = asked.whole("number", 0, 2**31 - 1)
    asked.done()

    def answered() -> dict[str, object]:
        seat.session.answer(verdict, number=number)
        return _told(study, seat)

    return JSONResponse(await run_in_threadpool(answered))


def undo(request: Request) -> Response:
    """Take the last answer of a rater back, whose pair comes again."""
    study, seat = study_of(request), _seat(request)
    if seat.session.undo() is None:
        raise InputError("there must be an answer to take back, got none")
    return JSONResponse(_told(study, seat))


def end(request: Request) -> Response:
    """End a rater's session."""
    study_of(request).end(_seat(request))
    return JSONResponse({"ended": True})


def send_motions(request: Request) -> Response:
    """Send the motions of the pair on the screen, `a` and `b`."""
    study, pair = _pair(request)
    pool = study.judging.pool
    sides = {name: pool.motion(each) for name, each in (("a", pair.a), ("b", pair.b))}
    body = packed(
        {"step": MOTION_STEP, "rate_hz": pair.a.rated().rate_hz},
        **{name: stepped(motion, "int16", MOTION_STEP) for name, motion in sides.items()},
    )
    return Response(body, media_type="application/octet-stream")


def send_sound(request: Request) -> Response:
    """Send the sound of the pair on the screen."""
    from train.studio.sounds import Sound

    study, pair = _pair(request)
    task = study.maker.task
    if task is None:
        raise HTTPException(404, _FORGOTTEN)
    audio = task.corpus[task.index_of[pair.utterance]].audio
    return Response(Sound("", "utterance", audio).wave(), media_type="audio/wav")


def send_picture(request: Request) -> Response:
    """Send a picture of a frame of side `a` or `b`, where a browser cannot draw."""
    study, pair = _pair(request)
    sides = {"a": pair.a, "b": pair.b}
    side = request.path_params["side"]
    if side not in sides:
        raise InputError(f"`side` must be a or b, got {side!r:.40}")
    motion = study.judging.pool.motion(sides[side])
    frame = whole_in(request.path_params["frame"], "frame", 0, len(motion) - 1)
    size = whole_in(request.query_params.get("size", "320"), "size", 1, 10_000)
    if size not in PICTURE_SIZES:
        raise InputError(f"`size` must be one of {', '.join(map(str, PICTURE_SIZES))}, got {size}")
    head = request.query_params.get("head", OWN)
    body = studio_of(request).heads.picture(head, motion[frame], size)
    return Response(body, media_type="image/png")


def agree(request: Request) -> Response:
    """Tell how far the answers agree, and the command that learns from them."""
    return JSONResponse(study_of(request).agreement())


def _told(study: Study, seat: Seat, *, wait_s: int = 0) -> dict[str, object]:
    """Return what the page is told of a rater; of the pair no more than it has to show."""
    told = {"session": seat.id, "rater": seat.session.rater, "choice": seat.choice}
    return {**told, **study.awaited(seat, wait_s)}


def _seat(request: Request) -> Seat:
    try:
        return study_of(request).seat(request.path_params["session"])
    except KeyError as error:
        raise HTTPException(404, _FORGOTTEN) from error


def _pair(request: Request) -> tuple[Study, ShownPair]:
    """Return the pair on the screen; another one is not to be looked at."""
    study = study_of(request)
    pair = study.shown(_seat(request))
    if pair is None or str(pair.number) != request.path_params["number"]:
        raise HTTPException(404, "this pair is not on the screen; ask for the next one")
    return study, pair


_SESSION = "/api/judge/sessions/{session}"
_PAIR = _SESSION + "/pairs/{number}"
ROUTES = [
    Route("/api/judge", tell),
    Route("/api/judge/pool", make, methods=["POST"]),
    Route("/api/judge/agreement", agree),
    Route("/api/judge/sessions", begin, methods=["POST"]),
    Route(_SESSION, show),
    Route(_SESSION, end, methods=["DELETE"]),
    Route(f"{_SESSION}/answers", answer, methods=["POST"]),
    Route(f"{_SESSION}/answers", undo, methods=["DELETE"]),
    Route(f"{_PAIR}/motions", send_motions),
    Route(f"{_PAIR}/sound", send_sound),
    Route(f"{_PAIR}/pictures/{{side}}/{{frame}}", send_picture),
]
