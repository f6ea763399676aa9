"""Serve the interactive page: read-only, on the loopback interface, under an address with a random token.

Only the files it was started with are served, by their index. Every request is checked before it is routed: method,
length, ``Host``, ``Origin`` and token (`Guard`).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mimo.data import FileError
from mimo.display_defaults import COLOR_MAP
from mimo.extras import missing
from mimo.viewer import page_files
from mimo.viewer.color_maps import COLOR_MAPS
from mimo.viewer.payload import (
    file_facts,
    measurement_packet,
    packet,
    page_facts,
    phase_packet,
    scores,
    told,
    version_of,
    volume_packet,
)
from mimo.viewer.setup_facts import distinct_names, setup_facts
from mimo.viewer.standalone import MOST_STATE, standalone_page

__all__ = ["MOST_HEAD", "MOST_TARGET", "Guard", "Source", "allowed_hosts", "listen", "make_app", "serve"]

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise missing("mimo view", "starlette", "uvicorn", extra="view", error=error) from error

LOOPBACK = "127.0.0.1"
MOST_TARGET = 8192  # bytes of path and query
MOST_HEAD = 16384  # bytes of a request's head; uvicorn answers 400 beyond
MOST_TOLD = 1000  # characters of what is wrong with files, in an answer's head
OCTETS = "application/octet-stream"
SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Refuses every request that is not a plain one of the page itself, before anything else handles it.

    Parameters
    ----------
    app
        ASGI application that answers all other requests.
    token
        First part of every path; a path without it gets status 404.
    hosts
        Accepted values of the header ``Host``; empty: any (where an interface was named by the user).
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Collection[str]) -> None:
        self.app = app
        self.token = token.encode()
        self.hosts = {host.encode() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a refusal, or hand on; every answer carries the security headers."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)

        async def send_secured(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in SECURITY.items()]
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        if refusal is not None:
            await PlainTextResponse(f"{refusal[1]}\n", refusal[0])(scope, receive, send_secured)
        else:
            await self.app(scope, receive, send_secured)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        names = [name for name, _ in scope["headers"]]
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").lower()
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "this server only reads: expected GET"
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            return 413, "the request has a body: expected none"
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_TARGET:
            return 414, f"the address is longer than {MOST_TARGET} bytes"
        if names.count(b"host") != 1 or not host or (self.hosts and host not in self.hosts):
            return 403, "this Host is not served: use the address that the program printed"
        if b"origin" in headers and headers[b"origin"].lower() != b"http://" + host:
            return 403, "requests of other sites are refused"
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return 403, "requests of other sites are refused: paste the address into the browser instead"
        given = (scope.get("raw_path") or scope["path"].encode()).split(b"/")[1:2]
        if not secrets.compare_digest(given[0] if given else b"", self.token):
            return 404, "not found: use the whole address that the program printed, token included"
        return None


class Source:
    """Answers requests for the files of one viewer; scores are computed once for each version of a file."""

    def __init__(self, paths: Sequence[Path], *, watch: bool) -> None:
        self.paths = [Path(path) for path in paths]
        self.watch = watch
        self._scores: dict[tuple[Any, ...], dict[str, float | None]] = {}
        self._setups: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._busy = threading.Lock()

    def facts(self, request: Request) -> Response:
        """Answer with the facts about all files, which the page needs before it asks for volumes."""
        return JSONResponse(page_facts(self.paths, watch=self.watch))

    def versions(self, request: Request) -> Response:
        """Answer with one text for each file, which changes when the file does."""
        return JSONResponse([version_of(path) for path in self.paths])

    def file(self, request: Request) -> Response:
        """Answer with the facts of one file."""
        path = self._path(request)
        if path is None:
            return _no_such_file()
        return JSONResponse(file_facts(path, distinct_names(self.paths)[_number(request, "file")]))

    def setup(self, request: Request) -> Response:
        """Answer with expected resolution and extent of the scene of one file, computed once for each version."""
        path = self._path(request)
        if path is None:
            return _no_such_file()
        key = (path, version_of(path))
        with self._busy:
            if key not in self._setups:
                self._setups[key] = setup_facts(path)
        return JSONResponse(self._setups[key])

    def volume(self, request: Request) -> Response:
        """Answer with a volume's packet, or with the header ``changed`` alone when the file is no longer the same."""
        path = self._path(request)
        if path is None:
            return _no_such_file()
        wanted = request.query_params.get("version")
        if wanted is not None and wanted != version_of(path):
            return Response(packet({"changed": True}), media_type=OCTETS)
        coarse = "coarse" in request.query_params
        made = volume_packet(path, _number(request, "item"), _number(request, "scene"), coarse=coarse)
        return Response(made, media_type=OCTETS)

    def phase(self, request: Request) -> Response:
        """Answer with the packet of an image's phase."""
        path = self._path(request)
        if path is None:
            return _no_such_file()
        return Response(phase_packet(path, _number(request, "item"), _number(request, "scene")), media_type=OCTETS)

    def measurement(self, request: Request) -> Response:
        """Answer with a measurement's packet."""
        path = self._path(request)
        if path is None:
            return _no_such_file()
        return Response(measurement_packet(path, _number(request, "scene")), media_type=OCTETS)

    def scores(self, request: Request) -> Response:
        """Answer with PSNR and SSIM of one image."""
        path = self._path(request)
        if path is None:
            return _no_such_file()
        item, scene = _number(request, "item"), _number(request, "scene")
        key = (path, version_of(path), item, scene)
        with self._busy:
            if key not in self._scores:
                self._scores[key] = scores(path, item, scene)
        return JSONResponse(self._scores[key])

    def figure(self, request: Request) -> Response:
        """Answer with the static figure of one scene as PNG, for browsers that cannot draw volumes."""
        from mimo.viewer.files import figure_of_file  # loads matplotlib, which the page itself does not need

        path = self._path(request)
        cmap = request.query_params.get("colors", COLOR_MAP)
        if path is None:
            return _no_such_file()
        if cmap not in COLOR_MAPS:
            return PlainTextResponse(f"colors is none of {', '.join(COLOR_MAPS)}\n", 400)
        try:
            with self._busy:
                drawing = figure_of_file(path, scene=_number(request, "scene"), cmap=cmap)
                out = BytesIO()
                drawing.savefig(out, format="png", dpi=130)
        except ValueError as error:  # FileError among them
            problem = told(error) if isinstance(error, FileError) else f"{path.name}: {error}"
            return PlainTextResponse(f"{problem}\n", 422)
        return Response(out.getvalue(), media_type="image/png")

    def standalone(self, request: Request) -> Response:
        """Answer with the page of one scene as a file; ``X-Left-Out`` names files that could not be read."""
        state = request.query_params.get("state", "")
        try:
            scene = int(request.query_params.get("scene", "0"))
        except ValueError:
            return PlainTextResponse("scene is not a number\n", 400)
        if len(state) > MOST_STATE:
            return PlainTextResponse(f"state is longer than {MOST_STATE} characters\n", 400)
        try:
            text, left_out = standalone_page(self.paths, scenes=[scene], state=state, lenient=True)
        except ValueError as error:
            problem = told(error) if isinstance(error, FileError) else str(error)
            return PlainTextResponse(f"{problem}\n", 422)
        name = "".join(c if (c.isascii() and c.isalnum()) or c in "-_." else "_" for c in self.paths[0].stem) or "view"
        headers = {"content-disposition": f'attachment; filename="{name}.html"'}
        if left_out:
            headers["x-left-out"] = quote("\n".join(left_out)[:MOST_TOLD])
        return Response(text.encode(), media_type=OCTETS, headers=headers)

    def _path(self, request: Request) -> Path | None:
        index = _number(request, "file")
        return self.paths[index] if 0 <= index < len(self.paths) else None


def make_app(paths: Sequence[Path], *, token: str, hosts: Collection[str], watch: bool = False) -> Starlette:
    """Make the ASGI application that shows `paths` under ``/<token>/``; see `Guard` for `hosts`."""
    source = Source(paths, watch=watch)
    base = f"/{token}"
    routes = [
        Route(f"{base}/", _page),
        *[Route(f"{base}/static/{name}", _static(name)) for name in page_files.served_names()],
        Route(f"{base}/facts", source.facts),
        Route(f"{base}/versions", source.versions),
        Route(f"{base}/file/{{file:int}}", source.file),
        Route(f"{base}/setup/{{file:int}}", source.setup),
        Route(f"{base}/volume/{{file:int}}/{{item:int}}/{{scene:int}}", source.volume),
        Route(f"{base}/phase/{{file:int}}/{{item:int}}/{{scene:int}}", source.phase),
        Route(f"{base}/scores/{{file:int}}/{{item:int}}/{{scene:int}}", source.scores),
        Route(f"{base}/measurement/{{file:int}}/{{scene:int}}", source.measurement),
        Route(f"{base}/figure/{{file:int}}/{{scene:int}}", source.figure),
        Route(f"{base}/standalone", source.standalone),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token, hosts=hosts)])


def serve(
    paths: Sequence[Path],
    *,
    host: str = LOOPBACK,
    port: int = 0,
    watch: bool = False,
    opened: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve `paths` until interrupted.

    Parameters
    ----------
    paths, host, port, watch
        As in `listen`.
    opened
        Called once with the page's address when the server answers.
    """
    server, listener, address = listen(paths, host=host, port=port, watch=watch)
    with listener:
        opened(address)
        server.run(sockets=[listener])


def listen(
    paths: Sequence[Path], *, host: str = LOOPBACK, port: int = 0, watch: bool = False
) -> tuple[uvicorn.Server, socket.socket, str]:
    """Make a server, and the already listening socket on which it is to run.

    Parameters
    ----------
    paths
        Files of the schema; of a damaged one the page shows what is wrong with it.
    host, port
        Address and port to listen on; port 0 takes a free one.
    watch
        Whether the page looks for changes of the files, once a second.

    Returns
    -------
    tuple
        The server, for ``server.run(sockets=[listener])``; the socket; the page's address, token included.

    Raises
    ------
    ValueError
        When this machine has no such address or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"cannot listen on {host} port {port} ({error}): expected a free one of this machine"
        ) from error
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    config = uvicorn.Config(
        make_app(paths, token=token, hosts=allowed_hosts(host, port), watch=watch),
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        http="h11",
        h11_max_incomplete_event_size=MOST_HEAD,
        timeout_graceful_shutdown=2,
    )
    shown = f"[{host}]" if ":" in host else host
    return uvicorn.Server(config), listener, f"http://{shown}:{port}/{token}/"


def allowed_hosts(host: str, port: int) -> set[str]:
    """Return the accepted values of the header ``Host``; empty, which accepts any, for all interfaces.

    >>> sorted(allowed_hosts("127.0.0.1", 80))
    ['127.0.0.1:80', 'localhost:80']
    """
    try:
        if ipaddress.ip_address(host).is_unspecified:
            return set()
    except ValueError:
        pass
    names = {f"[{host}]" if ":" in host else host.lower(), LOOPBACK, "localhost"}
    return {f"{name}:{port}" for name in names}


def _page(request: Request) -> Response:
    return Response(page_files.read("index.html"), media_type="text/html")


def _static(name: str) -> Callable[[Request], Response]:
    media_type = page_files.TYPES[Path(name).suffix]
    return lambda request: Response(page_files.read(name), media_type=media_type)


def _number(request: Request, name: str) -> int:
    return int(request.path_params[name])


def _no_such_file() -> Response:
    return PlainTextResponse("there is no such file\n", 404)
