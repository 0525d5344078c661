"""The web application: its pages, its files, and what an error becomes.

Every module of `train.studio.pages` has `ROUTES`; a page is one module there and one in `web/`.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from train.studio.asking import read_asked, studio_of, whole_in
from train.studio.guard import Guard
from train.studio.heads import OWN, PICTURE_SIZES
from train.studio.packing import packed_motion
from train.studio.pages import animate, compare, judge, watch
from train.studio.sounds import MOST_BYTES, Sound, TooLargeError, plain_name, receive
from train.studio.takes import RATES_HZ, Take, exported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from train.studio.jobs import Job
    from train.studio.studio import Studio

WEB = Path(__file__).with_name("web")
_BINARY = "application/octet-stream"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGES = (animate, compare, judge, watch)


def make_app(studio: Studio, *, token: str, port: int) -> Starlette:
    """Return the application of a studio.

    Args:
        studio: What it serves; started and closed with the application.
        token: What the printed address holds.
        port: On which it listens.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        studio.start()
        try:
            yield
        finally:
            studio.close()

    app = Starlette(
        routes=[*ROUTES, *(route for page in PAGES for route in page.ROUTES)],
        middleware=[Middleware(Guard, token=token, port=port)],
        exception_handlers={
            InputError: _bad_input,
            MissingExtraError: _bad_input,
            HTTPException: _http_error,
        },
        lifespan=lifespan,
    )
    app.state.studio = studio
    return app


async def _bad_input(_: Request, error: Exception) -> Response:
    status = 413 if isinstance(error, TooLargeError) else 400
    # Who is refused amid an upload need not send the rest of it.
    headers = {"Connection": "close"} if status == 413 else None
    return JSONResponse({"error": one_line(error)}, status, headers)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def page_file(request: Request) -> Response:
    """Send a file of the page; of `web/` alone, by the list of what lies there."""
    name = request.path_params.get("name", "index.html")
    known = {path.relative_to(WEB).as_posix(): path for path in WEB.rglob("*") if path.is_file()}
    path = known.get(name)
    if path is None or path.suffix not in _TYPES:
        raise HTTPException(404, "there is no such file")
    return FileResponse(path, headers={"Content-Type": _TYPES[path.suffix]})


def tell(request: Request) -> Response:
    """Tell what there is: policies, emotions, heads, sounds, formats."""
    studio = studio_of(request)
    told = studio.to_dict()
    studio.jobs.expected.set()
    return JSONResponse({**told, "limits": {"bytes": MOST_BYTES, "seconds": 600}})


def send_head(request: Request) -> Response:
    """Send a head, `?name=`."""
    name = request.query_params.get("name", OWN)
    return Response(studio_of(request).heads.packed(name), media_type=_BINARY)


async def take_sound(request: Request) -> Response:
    """Take an upload, whose name is `?name=`."""
    from starlette.concurrency import run_in_threadpool

    studio, name = studio_of(request), plain_name(request.query_params.get("name", ""))
    path = await receive(request, studio.temporary, name=name)
    try:
        sound = await run_in_threadpool(studio.sounds.read_bytes, path, name=name)
    finally:
        path.unlink(missing_ok=True)
    return JSONResponse(sound.to_dict(), 201)


async def choose_sound(request: Request) -> Response:
    """Read a file of the chosen folder, `{"name": ...}`."""
    from starlette.concurrency import run_in_threadpool

    asked = await read_asked(request)
    name = asked.text("name", most=1000)
    asked.done()
    studio = studio_of(request)
    if studio.shelf is None:
        raise InputError("there must be a chosen folder, got none; start with --folder FOLDER")
    path = studio.shelf.path(name)
    sound = await run_in_threadpool(studio.sounds.read, path, name=plain_name(name))
    return JSONResponse(sound.to_dict(), 201)


def send_sound(request: Request) -> Response:
    """Send a sound as a WAV file."""
    return Response(sound_of(request, request.path_params["sound"]).wave(), media_type="audio/wav")


def tell_job(request: Request) -> Response:
    """Tell how far a job is, and what it has made."""
    return JSONResponse(_job(request).to_dict())


def cancel_job(request: Request) -> Response:
    """Cancel a job."""
    job = _job(request)
    job.cancel()
    return JSONResponse(job.to_dict())


def send_motion(request: Request) -> Response:
    """Send the motion of a take."""
    return Response(packed_motion(_take(request).motion), media_type=_BINARY)


def send_picture(request: Request) -> Response:
    """Send a picture of a frame of a take, `?head=` and `?size=` in pixels."""
    take, query = _take(request), request.query_params
    frame = whole_in(request.path_params["frame"], "frame", 0, len(take.motion) - 1)
    size = whole_in(query.get("size", "320"), "size", 1, 10_000)
    if size not in PICTURE_SIZES:
        raise InputError(f"`size` must be one of {', '.join(map(str, PICTURE_SIZES))}, got {size}")
    heads = studio_of(request).heads
    return Response(
        heads.picture(query.get("head", OWN), take.motion[frame], size), media_type="image/png"
    )


def send_export(request: Request) -> Response:
    """Send a take as a file, `?format=livelink&rate=30&head=esarm`."""
    job, take, query = _job(request), _take(request), request.query_params
    rate_hz = whole_in(query.get("rate", "30"), "rate", 1, 1000)
    if rate_hz not in RATES_HZ:
        raise InputError(f"`rate` must be 30 or 60 frames per second, got {rate_hz}")
    head = studio_of(request).heads.head(query.get("head", OWN))
    body, suffix = exported(
        take, query.get("format", ""), rate_hz=rate_hz, head=head, sound=job.sound
    )
    stem = Path("animation" if job.sound is None else job.sound.name).stem
    name = urllib.parse.quote(f"{stem}{suffix}")
    return Response(
        body,
        media_type=_BINARY,
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


def sound_of(request: Request, sound_id: str) -> Sound:
    """Return a sound by its id.

    Raises:
        HTTPException: If there is none.
    """
    try:
        return studio_of(request).sounds.get(sound_id)
    except KeyError as error:
        raise HTTPException(404, "this sound was forgotten; drop the file again") from error


def _job(request: Request) -> Job:
    try:
        return studio_of(request).jobs.get(request.path_params["job"])
    except KeyError as error:
        raise HTTPException(404, "this animation was forgotten; make it again") from error


def _take(request: Request) -> Take:
    takes = list(_job(request).takes)
    if not takes:
        raise HTTPException(404, "nothing is animated yet")
    return takes[whole_in(request.path_params["take"], "take", 0, len(takes) - 1)]


_TAKE = "/api/jobs/{job}/takes/{take}"
ROUTES = [
    Route("/", page_file),
    Route("/web/{name:path}", page_file),
    Route("/api/studio", tell),
    Route("/api/head", send_head),
    Route("/api/sounds", take_sound, methods=["POST"]),
    Route("/api/sounds/chosen", choose_sound, methods=["POST"]),
    Route("/api/sounds/{sound}", send_sound),
    Route("/api/jobs/{job}", tell_job),
    Route("/api/jobs/{job}", cancel_job, methods=["DELETE"]),
    Route(f"{_TAKE}/motion", send_motion),
    Route(f"{_TAKE}/pictures/{{frame}}", send_picture),
    Route(f"{_TAKE}/export", send_export),
]
