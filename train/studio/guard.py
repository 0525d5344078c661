"""Who may ask, and what a browser may do with the answers.

The address that is printed holds a random token, which becomes a cookie. Another program of this
machine knows neither; another web page in the same browser has not the cookie (`SameSite=Strict`),
nor, by a name that it lets lead to this machine, our host (DNS rebinding).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
_NO_TOKEN = (
    "This page needs the whole address that `esarm studio` printed, with its token. "
    "Copy it from the terminal."
)
_READS = ("GET", "HEAD")


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware that lets through whoever knows the token, by this machine's own address."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        """Guard `app`, which listens on `port`."""
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in (LOOPBACK, "localhost")}
        self._cookie = f"esarm-studio-{port}"  # a browser sends cookies to every port of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no web socket is offered
        answer = self._refused(scope)
        handler = self._app if answer is None else answer
        await handler(scope, receive, self._with_headers(scope, send))

    def _refused(self, scope: Scope) -> Response | None:
        """Return what is answered in place of the application; None where it may be asked."""
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self._hosts:
            return PlainTextResponse(
                "This page is for this machine alone, by the address that `esarm studio` printed.",
                421,
            )
        origin = headers.get("origin")
        if scope["method"] not in _READS and origin is not None:
            if origin.removeprefix("http://") not in self._hosts:
                return PlainTextResponse("Another page may not ask for this.", 403)
        if scope["method"] in _READS and scope["path"] == "/" and self._in_address(scope):
            return self._entered()
        cookies = cookie_parser(headers.get("cookie", ""))
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(cookies.get(self._cookie, "")) or self._is_token(given):
            return None
        return PlainTextResponse(_NO_TOKEN, 403)

    def _in_address(self, scope: Scope) -> bool:
        query: bytes = scope["query_string"]
        return query.startswith(b"token=") and self._is_token(query[6:].decode("latin-1"))

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    def _entered(self) -> Response:
        """Keep the token in a cookie that no script reads, and out of the address from now on."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # Of a page that is opened again the newest counts; nothing is kept on the disk.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return sent
