"""The live server: what it answers, what it refuses, and that neither wears it down. All over real HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page

from tests.browser import browser, opened
from tests.toy import ROOT, ToyRun, environment
from translator.checkpoint import RunDirectory
from translator.decoding import Hypothesis, Search
from translator.errors import UserError
from translator.inspection import page
from translator.server import Guard, Limits, Live, application, configured, listen
from translator.translate import Translator

TEXT = "Minsu doesn't look for flowers."
PIECE = 270
"""A Korean one, no byte."""
JSON = {"Content-Type": "application/json"}


class Served:
    """A server in a thread of this process."""

    def __init__(self, live: Live) -> None:
        self.live, self.listener = live, listen("127.0.0.1", 0, False)
        self.port = self.listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/"
        self.server = uvicorn.Server(
            configured(application(live, stopping=lambda: self.server.should_exit), live.limits)
        )
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],), daemon=True)

    def ask(
        self, body: bytes | str | dict[str, Any], method: str = "POST", path: str = "/translate", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        raw = body if isinstance(body, bytes) else (json.dumps(body) if isinstance(body, dict) else body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, raw, JSON | named)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def records(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines of a good answer."""
        status, headers, body = self.ask(question)
        assert status == 200 and headers["content-type"] == "application/x-ndjson", body
        return [json.loads(line) for line in body.splitlines() if line]

    def refusal(self, body: bytes | str | dict[str, Any], **headers: str) -> tuple[int, str]:
        """Status and code of a refusal, which says why."""
        status, _, answer = self.ask(body, **headers)
        record = json.loads(answer)
        assert record.keys() == {"error", "code", "values"} and record["error"]
        return status, record["code"]

    def begin(self, question: dict[str, Any]) -> socket.socket:
        """Ask, and leave the answer unread."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        body = json.dumps(question).encode()
        head = "POST /translate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return connection


@contextmanager
def serving(live: Live) -> Iterator[Served]:
    """Serve for a while."""
    served = Served(live)
    served.thread.start()
    try:
        yield served
    finally:
        served.server.should_exit = True
        served.thread.join(20)
    assert not served.thread.is_alive()


@pytest.fixture(scope="module")
def live(toy_run: ToyRun) -> Live:
    """The toy run, ready to answer."""
    return Live(toy_run.path, Limits())


@pytest.fixture(scope="module")
def served(live: Live) -> Iterator[Served]:
    """A server for all tests that leave it as it is."""
    with serving(live) as started:
        yield started


class Gate:
    """Drafts that wait: each is written when it is let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let, self.begun, self.closed = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
        self.done = False
        monkeypatch.setattr(Translator, "drafts", self.drafts)

    def drafts(self, *_: object) -> Iterator[Hypothesis]:
        try:
            for length in range(1, 40):
                self.begun.release()
                assert self.let.acquire(timeout=20)
                yield Hypothesis([PIECE] * length, -1.0, -1.0)
            self.done = True
        finally:
            self.closed.set()

    def closes_early(self) -> bool:
        """Let the step under way go on, and any before the server hears that its reader has gone; whether it then
        stopped before the last."""
        for _ in range(20):
            self.let.release()
            if self.closed.wait(1):
                return not self.done
        return False


# What it answers


def test_the_page_is_the_file_s_with_a_bar(served: Served, live: Live) -> None:
    status, headers, body = served.ask("", "GET", "/")
    html = body.decode()
    policy = re.search(r'Policy" content="([^"]+)"', html)[1]  # type: ignore[index]
    assert status == 200 and headers["content-security-policy"] == f"{policy}; frame-ancestors 'none'"
    assert "default-src 'none'" in policy and policy.endswith("connect-src 'self'") and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    file = page.page(live.translators["torch"].attention(TEXT))
    assert "connect-src" not in file and "live.js" not in file


@pytest.mark.parametrize("engine", ["torch", "ctranslate2"])
@pytest.mark.parametrize("beam", [1, 4])
def test_a_translation_comes_piece_by_piece_and_then_its_attention(served: Served, engine: str, beam: int) -> None:
    if engine == "ctranslate2":
        pytest.importorskip("ctranslate2")
    *steps, last = served.records({"source": TEXT, "engine": engine, "beam": beam})
    korean = [step["korean"] for step in steps]
    translator = served.live.translators[engine]
    assert [korean[-1]] == translator.translate([TEXT], beam) == [last["manifest"]["target"]["text"]]
    if engine == "torch":
        assert len(korean) > 5
    if beam == 1:  # the likeliest of several may become another
        assert sorted(map(len, korean)) == list(map(len, korean))
    maps = translator.attention(TEXT, translator.hypotheses([TEXT], Search(beam=beam))[0][0])
    assert not last["manifest"]["forced"]
    for layer, weights in enumerate(maps.cross):
        found = np.frombuffer(base64.b64decode(last["blocks"][f"cross.weights/{layer}"]), "<f4")
        np.testing.assert_allclose(found.reshape(weights.shape), weights, atol=1e-5)


def test_korean_can_be_given(served: Served) -> None:
    korean = "민수는 꽃을 찾아요."
    first, last = served.records({"source": TEXT, "target": korean})
    assert first == {"korean": korean}
    assert last["manifest"]["forced"] and last["manifest"]["target"]["text"] == korean


def test_snapshots_are_looked_with_one_by_one(served: Served, toy_run: ToyRun) -> None:
    records = served.records({"source": TEXT, "snapshots": True})
    steps = [step for step, _ in RunDirectory.open(toy_run.path).snapshots()]
    assert len(steps) > 1 and [record["snapshot"] for record in records if "snapshot" in record] == steps
    assert records[-1]["manifest"]["history"]["steps"] == steps


# What it refuses


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "json"),
        (b"\xff\xfe", 400, "json"),
        (b"[" * 60_000, 400, "json"),
        (b'{"source": ' + b"1" * 5000 + b"}", 400, "json"),
        (b"[]", 400, "fields"),
        (b"{}", 400, "fields"),
        ({"source": 1}, 400, "fields"),
        ({"source": "x", "beam": True}, 400, "fields"),
        ({"source": "x", "target": None}, 400, "fields"),
        ({"source": "x", "model": "y"}, 400, "fields"),
        ({"source": "x" * 2001}, 422, "characters"),
        ({"source": "x", "target": "가" * 2001}, 422, "characters"),
        ({"source": "\ufdfa" * 300}, 422, "pieces"),
        ({"source": "x", "target": "가" * 300}, 422, "pieces"),
        ({"source": " \u200b\ud800"}, 422, "empty"),
        ({"source": "x", "beam": 0}, 422, "beam"),
        ({"source": "x", "beam": 9}, 422, "beam"),
        ({"source": "x", "engine": "steam"}, 422, "engine"),
        (b" " * 70_000, 413, "body"),
    ],
)
def test_what_is_wrong_is_said(served: Served, body: bytes | dict[str, Any], status: int, code: str) -> None:
    assert served.refusal(body) == (status, code)


def test_a_body_without_a_length_is_bounded_too(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("POST", "/translate", (b" " * 10_000 for _ in range(10)), JSON, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Host": "evil.example"}, 403, "host"),
        ({"Host": "localhost.evil.example:80"}, 403, "host"),
        ({"Host": "10.0.0.1"}, 403, "host"),
        ({"Host": ""}, 403, "host"),
        ({"Origin": "http://evil.example"}, 403, "origin"),
        ({"Origin": "null"}, 403, "origin"),
        ({"Origin": "http://127.0.0.1"}, 403, "origin"),  # another port is another server
        ({"Content_Type": "text/plain"}, 415, "type"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415, "type"),
    ],
)
def test_other_sites_are_kept_out(served: Served, headers: dict[str, str], status: int, code: str) -> None:
    assert served.refusal({"source": TEXT}, **headers) == (status, code)


def test_its_own_page_is_let_in(served: Served) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        own = {"Host": f"{host}:{served.port}", "Origin": f"http://{host}:{served.port}"}
        assert served.ask({"source": TEXT}, **own, Content_Type="application/json; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    ("host", "wanted"), [("192.168.0.7:8000", True), ("[fe80::1]:80", True), ("evil.example", False)]
)
def test_open_to_others_it_goes_by_numbers_and_its_own_name(host: str, wanted: bool) -> None:
    guard = Guard(lambda *_: None, open_to_others=True)  # type: ignore[arg-type]
    assert guard.names_us(host) is wanted and guard.names_us(socket.gethostname())


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/x", 404), ("GET", "/translate", 405), ("POST", "/", 405)]
)
def test_there_is_nothing_else(served: Served, method: str, path: str, status: int) -> None:
    found, _, body = served.ask("", method, path)
    assert found == status and json.loads(body)["code"] == "http"


def test_only_so_many_at_once(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with serving(Live(toy_run.path, Limits(at_once=1))) as served:
        first = served.begin({"source": TEXT})
        assert gate.begun.acquire(timeout=20)
        status, headers, body = served.ask({"source": TEXT})
        assert (status, json.loads(body)["code"], headers["retry-after"]) == (503, "busy", "1")
        assert served.ask("", "GET", "/")[0] == 200  # while the model is at work
        for _ in range(40):
            gate.let.release()
        assert first.recv(1)
        assert gate.closed.wait(20)
        first.close()


def test_only_for_so_long(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with serving(Live(toy_run.path, Limits(seconds=0.5))) as served:
        gate.let.release()
        *_, last = served.records({"source": TEXT})
        assert last["code"] == "time"
        gate.let.release()
        assert gate.closed.wait(20)


def test_who_goes_away_is_not_worked_for(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with serving(Live(toy_run.path, Limits(at_once=1))) as served:
        asking = served.begin({"source": TEXT})
        gate.let.release()
        assert gate.begun.acquire(timeout=20) and gate.begun.acquire(timeout=20)
        asking.close()  # while it is in its second step
        time.sleep(1)  # to be heard of
        gate.let.release()
        assert gate.closed.wait(20)
        assert not gate.begun.acquire(blocking=False)
        monkeypatch.undo()
        assert served.records({"source": TEXT})[-1]["manifest"]  # the place is free again


def test_what_fails_half_way_is_said(
    toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> Iterator[Hypothesis]:
        yield Hypothesis([PIECE], -1.0, -1.0)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Translator, "drafts", broken)
    with serving(Live(toy_run.path, Limits())) as served:
        *_, last = served.records({"source": TEXT})
        assert last["code"] == "failed" and "out of memory" not in last["error"]
        assert "RuntimeError: out of memory" in capsys.readouterr().err


KEYS = st.sampled_from(["source", "target", "beam", "engine", "snapshots", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3),
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.dictionaries(KEYS, VALUES, max_size=5).map(lambda d: json.dumps(d).encode()),
    st.builds(
        lambda s, t: json.dumps({"source": s, "target": t}).encode(), st.text(max_size=60), st.text(max_size=20)
    ),
)


@given(BODIES)
def test_any_body_gets_a_clear_answer(served: Served, body: bytes) -> None:
    status, _, answer = served.ask(body)
    if status == 200:
        assert json.loads(answer.splitlines()[-1])["manifest"]
    else:
        assert status in (400, 422) and json.loads(answer)["error"]


# The command


@pytest.mark.parametrize(
    ("host", "port", "others", "wanted"),
    [
        ("0.0.0.0", 0, False, "add --let-others-connect"),
        ("::", 0, False, "add --let-others-connect"),
        ("example.org", 0, True, "an address in numbers"),
        ("127.0.0.1", 70000, False, "from 0"),
        ("203.0.113.1", 0, True, "203.0.113.1:0 cannot be served"),
    ],
)
def test_where_it_listens(host: str, port: int, others: bool, wanted: str) -> None:
    with pytest.raises(UserError, match=re.escape(wanted)):
        listen(host, port, others)


@contextmanager
def started(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """scripts/serve.py in a process of its own, and its address."""
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), str(run), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        assert process.stdout
        found = re.match(r"(http://127\.0\.0\.1:\d+/)  \(Ctrl-C ends\)\n$", process.stdout.readline())
        assert found, process.communicate()
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("readers", [0, 3])  # none: the moment that the address is there
def test_ctrl_c_ends_it_quietly(toy_run: ToyRun, readers: int) -> None:
    with started(toy_run.path) as (process, address):
        port = int(address.rstrip("/").rpartition(":")[2])
        open_ends = [socket.create_connection(("127.0.0.1", port)) for _ in range(readers)]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "") and process.returncode == 0
        for connection in open_ends:
            connection.close()


def test_a_taken_port_is_said() -> None:
    with listen("127.0.0.1", 0, False) as listener:
        wanted = r"cannot be served \(Address already in use\); choose another --port"
        with pytest.raises(UserError, match=wanted):
            listen("127.0.0.1", listener.getsockname()[1], False)


@pytest.mark.parametrize("library", ["starlette", "uvicorn"])
def test_without_its_libraries_it_says_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=f"{library} is not installed: pip install 'starlette>=1,<2' 'uvicorn"):
        runpy.run_path(str(ROOT / "translator" / "server.py"))


# Wear


def memory(process: subprocess.Popen[str]) -> int:
    """Resident memory in kB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8"))[1])  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_thousand_requests_leave_no_trace(toy_run: ToyRun) -> None:
    with started(toy_run.path) as (process, address):
        port = int(address.rstrip("/").rpartition(":")[2])

        def one(number: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            question = {"source": TEXT, "beam": 1 + number % 4, "snapshots": number % 10 == 0}
            match number % 5:
                case 0 | 1:
                    connection.request("POST", "/translate", json.dumps(question), JSON)
                    assert b'"manifest"' in connection.getresponse().read()
                case 2:  # goes away in the middle
                    connection.request("POST", "/translate", json.dumps(question), JSON)
                    assert connection.getresponse().read(1)
                case 3:  # goes away before the question is whole
                    connection.putrequest("POST", "/translate")
                    connection.putheader("Content-Type", "application/json")
                    connection.putheader("Content-Length", "100")
                    connection.endheaders(b'{"source"')
                case _:
                    connection.request("POST", "/translate", os.urandom(1000), JSON)
                    assert connection.getresponse().status == 400
            connection.close()

        for number in range(300):
            one(number)
        before = memory(process), len(os.listdir(f"/proc/{process.pid}/fd"))
        for number in range(1000):
            one(number)
        time.sleep(1)
        after = memory(process), len(os.listdir(f"/proc/{process.pid}/fd"))
        assert after[0] - before[0] < 16_000, (before, after)
        assert after[1] <= before[1] + 3
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")


# In a browser


def translate(window: Page, **typed: str) -> None:
    """Type into the bar and send it."""
    for name, text in typed.items():
        window.fill(f"input[name={name}]", text)
    window.press("input[name=source]", "Enter")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_a_browser(served: Served, theme: Literal["light", "dark"]) -> None:
    with browser() as chromium, opened(chromium, served.address, theme=theme) as window:
        page_ = window.page
        page_.get_by_role("tab", name="Step by step").click()
        translate(page_, source="She doesn't buy milk.")
        page_.wait_for_selector("text=Translated: 그녀는 우유를 사지 않아요.")
        assert page_.inner_text("h1").split("\n")[0].startswith("She doesn't buy milk.")
        assert re.search(r"\?source=She\+doesn%27t\+buy\+milk\.#cross/l\dh\d/q\d+/walk1/en$", page_.url)
        assert page_.evaluate("document.activeElement.name") == "source"  # the next one can be typed
        page_.get_by_role("radio", name="6. ").click()
        page_.wait_for_selector("[data-proof][data-weights]")
        for kind in ("Cross-attention", "Masked self-attention", "Encoder self-attention"):
            page_.get_by_role("radio", name=kind).first.click()
            page_.wait_for_selector("[data-proof][data-weights]")
            assert float(page_.get_attribute("[data-proof]", "data-weights") or "nan") < 1e-5
        before = page_.url
        page_.focus("input[name=source]")
        page_.keyboard.press("ArrowRight")
        page_.keyboard.press(" ")
        assert page_.url == before  # the walk does not hear what is typed

        page_.click("summary")
        page_.check("input[name=snapshots]")
        page_.get_by_role("radio", name="한국어").click()
        translate(page_, source="She buys milk.", target="그녀는 빵을 팔아요.")
        page_.wait_for_selector("text=살펴봤어요: 그녀는 빵을 팔아요.")
        assert "모델에 주어진 번역" in page_.inner_text(".pair")
        page_.get_by_role("tab", name="학습 과정").click()
        page_.wait_for_selector("#snapshot")
        link = page_.url

        with page_.expect_download() as download:
            page_.get_by_role("button", name="PNG").click()
        assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")

        page_.go_back()
        page_.go_back()
        page_.wait_for_selector("h1:has-text('She doesn')")
        window.go(link.removeprefix(served.address))
        page_.wait_for_selector("#snapshot")
        assert "그녀는 빵을 팔아요." in page_.inner_text("h1")
        assert page_.input_value("input[name=target]") == "그녀는 빵을 팔아요."

        for view in ("overview", "walk3"):
            page_.evaluate(f"location.hash = '#cross/l1h1/q1/{view}/en'")
            found = Axe().run(page_).response["violations"]
            assert [(v["id"], v["nodes"]) for v in found if v["impact"] in ("serious", "critical")] == []

        translate(page_, source="I like apples. " * 40, target="")
        page_.wait_for_selector(".said.wrong:has-text('at most 128')")
        assert "그녀는 빵을 팔아요." in page_.inner_text("h1")
        [complaint] = window.complaints  # the browser's own, of the status
        assert "422" in complaint
        window.complaints.clear()


@pytest.mark.slow
def test_it_is_seen_being_written(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with (
        serving(Live(toy_run.path, Limits())) as served,
        browser() as chromium,
        opened(chromium, served.address, width=390, height=844) as window,
    ):
        page_ = window.page
        first = page_.inner_text("h1 .korean")
        translate(page_, source=TEXT)
        seen = []
        for length in range(1, 4):
            gate.let.release()
            korean = served.live.translators["torch"].korean.decode([PIECE] * length)
            page_.wait_for_selector(f"h1 .korean bdi:text-is('{korean}')")
            seen.append(korean)
        assert len(set(seen)) == 3
        page_.get_by_role("button", name="Stop").click()
        assert gate.closes_early()
        assert page_.inner_text("h1 .korean") == first and page_.inner_text(".said") == ""
        assert page_.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_a_server_that_has_gone_is_said(toy_run: ToyRun) -> None:
    with browser() as chromium, started(toy_run.path) as (process, address), opened(chromium, address) as window:
        process.kill()
        process.wait()
        translate(window.page, source=TEXT)
        window.page.wait_for_selector(".said.wrong:has-text('does not answer')")
        assert all("ERR_CONNECTION" in complaint for complaint in window.complaints)
        window.complaints.clear()
