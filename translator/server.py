"""The page, live: type English, watch the Korean being written, look at the attention of your own sentence.

One process. Its event loop reads and sends; all that computes runs in one thread, a step of the search at a
time, so that several readers take turns and the work for one who has gone away ends with the step it is at.
Whatever comes in is bounded, by `Limits`, and what is not answered is refused in one line of JSON:

    {"error": "…", "code": "pieces", "values": {"found": 140, "most": 128}}

`GET /` is the page. `POST /translate` takes a `Question` as JSON and answers in lines of JSON: {"korean"} for each
step of the search, {"snapshot"} for each snapshot looked with, and at the end the page's data, {"manifest",
"blocks"}, or {"error"}.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import json
import os
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from translator.checkpoint import RunDirectory
from translator.decoding import Search
from translator.errors import UserError
from translator.export import ExportedModel, export_of
from translator.inspection import page
from translator.inspection.history import looks_back
from translator.translate import LONGEST, Translator

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ModuleNotFoundError as error:
    missing = str(error.name).partition(".")[0]
    raise UserError(f"{missing} is not installed: pip install 'starlette>=1,<2' 'uvicorn>=0.30,<1'") from None

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Limits:
    """What a request may be, and cost."""

    body: int = 65_536
    """Bytes."""
    characters: int = 2_000
    """Of the English, and of the Korean."""
    pieces: int = LONGEST
    """Of either."""
    beam: int = 8
    at_once: int = 8
    """Translations under way; they take turns."""
    connections: int = 100
    seconds: float = 60.0
    """For a translation with all that is looked at."""
    reading: float = 10.0
    """Seconds for a body to arrive."""


class Refused(Exception):
    """A request that is not answered: HTTP status, a name by which the page knows what to say, and what to say."""

    def __init__(self, status: int, code: str, message: str, **values: object) -> None:
        super().__init__(message)
        self.status, self.line = status, {"error": message, "code": code, "values": values}


@dataclass(frozen=True)
class Question:
    """What is asked of `/translate`; all but the English may be left out."""

    source: str
    """English."""
    target: str = ""
    """Korean to look at instead of the model's own."""
    beam: int = 1
    engine: str = "torch"
    """Or "ctranslate2", which translates in int8; the attention is still the float32 model's."""
    snapshots: bool = False
    """Whether to look with the run's snapshots too."""

    @classmethod
    def parse(cls, body: bytes, limits: Limits) -> Question:
        """Read and check the body of a request."""
        try:
            given = json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):
            raise Refused(400, "json", "the body is not JSON in UTF-8") from None
        types = {field.name: {"str": str, "int": int, "bool": bool}[str(field.type)] for field in fields(cls)}
        if not isinstance(given, dict) or "source" not in given or not given.keys() <= types.keys():
            raise Refused(
                400, "fields", f"the body is an object of source and, if wanted, {', '.join(list(types)[1:])}"
            )
        for name, value in given.items():
            if type(value) is not types[name]:  # True is no number here
                raise Refused(400, "fields", f"{name} must be {types[name].__name__}, not {type(value).__name__}")
        asked = cls(**given)
        if (found := max(len(asked.source), len(asked.target))) > limits.characters:
            most = limits.characters
            raise Refused(
                422, "characters", f"{found} characters; at most {most} are read", found=found, most=most
            )
        if not 1 <= asked.beam <= limits.beam:
            raise Refused(422, "beam", f"beam must be from 1 to {limits.beam}", most=limits.beam)
        return asked


class Live:
    """A run that answers questions. What it computes, it computes in `worker`, one step at a time."""

    def __init__(self, run: str | Path, limits: Limits) -> None:
        self.run, self.limits = RunDirectory.open(run), limits
        self.translators = {"torch": Translator.load(run)}
        self.worker = ThreadPoolExecutor(1, "model")
        self.steps = [step for step, _ in self.run.snapshots()]
        self.engines = ["torch"]
        if importlib.util.find_spec("ctranslate2"):
            self.engines.append("ctranslate2")
        self.offers = {"engines": self.engines, "steps": self.steps, "beam": limits.beam}

    def page(self) -> tuple[str, str]:
        """The page and its security policy; it opens with the first of the sentences that training showed."""
        example = next((text for text in self.run.config().validation.samples if text.strip()), "I am a student.")
        maps = self.translators["torch"].attention(example)
        return page.live_page(maps, self.offers)

    def answer(self, asked: Question) -> Generator[bytes, None, None]:
        """The lines that answer a question, each when it is computed. The first is empty: the question is good."""
        translator = self._translator(asked.engine)
        source, target = translator.english.encode(asked.source), translator.korean.encode(asked.target)
        if not source:
            raise Refused(422, "empty", "there is no English to translate")
        if (found := max(len(source), len(target))) > (most := self.limits.pieces):
            raise Refused(422, "pieces", f"{found} pieces; the model reads at most {most}", found=found, most=most)
        if asked.snapshots and not self.steps:
            raise Refused(422, "snapshots", "this run kept no snapshots; train with checkpoint.snapshots=12")
        yield b"\n"
        if target:
            yield _line({"korean": translator.korean.decode(target)})
            maps = translator.attention(asked.source, asked.target)
        else:
            for hypothesis in translator.drafts(source, Search(beam=asked.beam)):
                yield _line({"korean": translator.korean.decode(hypothesis.ids)})
            maps = translator.attention(asked.source, hypothesis)
        if asked.snapshots:
            for step in looks_back(maps, self.run):
                yield _line({"snapshot": step})
        manifest, blocks = page.data(maps)
        yield _line({"manifest": manifest | {"live": self.offers}, "blocks": blocks})

    def _translator(self, engine: str) -> Translator:
        """The translator of an engine, made when first asked for."""
        if engine not in self.engines:
            raise Refused(422, "engine", f"the engines here are {', '.join(self.engines)}")
        if engine not in self.translators:
            translator = self.translators["torch"]
            exported = ExportedModel(export_of(self.run, translator.model))
            self.translators[engine] = replace(translator, exported=exported)
        return self.translators[engine]


def _line(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _failed(error: Exception) -> Refused:
    """What the asker is told when answering failed; the server's own terminal is told all of it."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, TimeoutError):
        return Refused(503, "time", "that took too long and was given up")
    if isinstance(error, UserError):
        return Refused(503, "failed", str(error))
    traceback.print_exception(error, file=sys.stderr)
    return Refused(500, "failed", "something went wrong; the server's terminal says what")


class Translate:
    """`POST /translate`, as an ASGI application."""

    def __init__(self, live: Live, stopping: Callable[[], bool]) -> None:
        self.live, self.stopping, self.under_way = live, stopping, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a question, admit it, answer it; whoever goes away leaves nothing behind."""
        request, limits = Request(scope, receive), self.live.limits
        with contextlib.suppress(ClientDisconnect):
            asked = Question.parse(await self._body(request), limits)
            if self.under_way >= limits.at_once:
                raise Refused(503, "busy", "many are translating at the moment; try again")
            self.under_way += 1
            steps = self.live.answer(asked)
            try:
                # `_lines` gives up in time. A reader who does not read would hold the last line for ever.
                async with asyncio.timeout(limits.seconds + limits.reading):
                    until = asyncio.get_running_loop().time() + limits.seconds
                    await self._step(steps, until)  # raises if the question is refused
                    response = StreamingResponse(self._lines(steps, until), media_type="application/x-ndjson")
                    await response(scope, receive, send)
            finally:
                self.under_way -= 1
                self.live.worker.submit(steps.close)  # after the step that it may be in

    async def _body(self, request: Request) -> bytes:
        limits = self.live.limits
        body = bytearray()
        try:
            async with asyncio.timeout(limits.reading):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limits.body:
                        raise Refused(413, "body", f"more than {limits.body} bytes", most=limits.body)
        except TimeoutError:
            raise Refused(408, "time", "the question did not arrive in time") from None
        return bytes(body)

    async def _step(self, steps: Iterator[bytes], until: float) -> bytes | None:
        """The next line, computed in the worker; None after the last."""
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.get_running_loop().run_in_executor(self.live.worker, next, steps, None)
        except Exception as error:
            raise _failed(error) from None

    async def _lines(self, steps: Iterator[bytes], until: float) -> AsyncIterator[bytes]:
        try:
            while (line := await self._step(steps, until)) is not None:
                yield line
                if self.stopping():
                    raise Refused(503, "stopping", "the server is stopping")
        except Refused as refused:
            yield _line(refused.line)


class Guard:
    """Lets in what the page's own server was asked by the page itself, or by a program.

    A name other than this machine's in the Host header is another site's, made to point here (DNS rebinding);
    another Origin is another site's page.
    """

    def __init__(self, app: ASGIApp, open_to_others: bool) -> None:
        self.app, self.open = app, open_to_others
        own = socket.gethostname().lower()
        self.names = {"localhost", own, f"{own}.local"} if open_to_others else {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        request = Request(scope)
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self.names_us(host):
            refused = Refused(403, "host", "this server does not answer to that name")
        elif origin is not None and origin.lower() != f"http://{host.lower()}":
            refused = Refused(403, "origin", "only this server's own page may ask")
        elif request.method == "POST" and not _is_json(request.headers.get("content-type", "")):
            refused = Refused(415, "type", "the Content-Type must be application/json")
        else:
            return await self.app(scope, receive, send)
        await JSONResponse(refused.line, refused.status)(scope, receive, send)

    def names_us(self, host: str) -> bool:
        """Whether a Host header is this machine: by its number (loopback, or any if open), or by its name."""
        name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host.lower()
        try:
            return ipaddress.ip_address(name.strip("[]")).is_loopback or self.open
        except ValueError:
            return name in self.names


def _is_json(content_type: str) -> bool:
    """A type that other sites' forms cannot send, nor their scripts without asking first."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def application(live: Live, open_to_others: bool = False, stopping: Callable[[], bool] = lambda: False) -> ASGIApp:
    """The server as an ASGI application."""
    html, policy = live.worker.submit(live.page).result()
    body, headers = html.encode(), {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}

    async def show(_: Request) -> Response:
        return HTMLResponse(body, headers=headers)

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse(
            error.line, error.status, headers={"Retry-After": "1"} if error.status == 503 else None
        )

    async def refuse_http(_: Request, error: Exception) -> Response:  # 404, 405
        assert isinstance(error, HTTPException)
        return JSONResponse(
            {"error": error.detail, "code": "http", "values": {}}, error.status_code, error.headers
        )

    return Guard(
        Starlette(
            routes=[
                Route("/", show, methods=["GET"]),
                Route("/translate", Translate(live, stopping), methods=["POST"]),
            ],
            exception_handlers={Refused: refuse, HTTPException: refuse_http},
        ),
        open_to_others,
    )


def listen(host: str, port: int, let_others_connect: bool) -> socket.socket:
    """A socket that listens; other machines reach it only if that was said."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise UserError(f"--host {host}: an address in numbers is wanted, such as 127.0.0.1") from None
    if not loopback and not let_others_connect:
        raise UserError(
            f"--host {host} opens the page to everyone who can reach this machine, without a password; "
            "if that is meant, add --let-others-connect"
        )
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: a port is from 0 (any that is free) to 65535")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(
            f"{host}:{port} cannot be served ({reason}); choose another --port; 0 takes a free one"
        ) from None


def configured(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """How uvicorn is to run it: quietly, on what is installed with it, with an end to everything."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        headers=list(HEADERS.items()),
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=5,
    )


class Announced(uvicorn.Server):
    """A server that prints where it is once Ctrl-C is its own to handle: before, it would end in a traceback."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        for host, port, *_ in (listener.getsockname() for listener in sockets or []):
            print(f"http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl-C ends)", flush=True)


def serve(run: str | Path, host: str = "127.0.0.1", port: int = 8000, let_others_connect: bool = False) -> None:
    """Serve a run's page until Ctrl-C, and print where."""
    limits = Limits()
    with listen(host, port, let_others_connect) as listener, contextlib.suppress(KeyboardInterrupt):
        server: uvicorn.Server
        app = application(Live(run, limits), let_others_connect, lambda: server.should_exit)
        server = Announced(configured(app, limits))
        server.run([listener])
