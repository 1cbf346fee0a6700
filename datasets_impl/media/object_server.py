"""The server side of the object store: moto's S3 on a free port of 127.0.0.1, in its own process.

`object_store` runs this file as a script, so it imports nothing of the study: start-up time counts.
Arguments: a folder, whose files become the objects, the latency in milliseconds that is added to
every GET, and perhaps the megabytes per second of a line, over which every answer then goes. It
talks over its pipes: once ready it prints one JSON line with its port; each line it reads it
answers with one JSON line of counts; and it exits when its input ends, which the kernel sees to
even if the parent is killed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.http import http_date, parse_range_header
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client
from werkzeug.wrappers import Response

BUCKET = "study"
# moto reads the name from it and checks no signature; unsigned requests would be refused.
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=study/20260101/us-east-1/s3/aws4_request"}
PLAIN = ("", "x-id=GetObject")  # queries of a GET that asks for an object itself
PIECE = 1 << 16  # bytes that are sent at a time
AHEAD = 2e-3  # seconds that the line may be ahead: a sleep that lasts too long costs nothing


class DelayedAndCounted:
    """WSGI middleware: waits before every GET is served, and counts the objects given out.

    `counts` holds "requests" and "bytes" of successful GETs of an object, and "other", every
    further request since the last upload: listings, heads, failures.
    """

    def __init__(self, app: Any, latency_ms: float) -> None:
        self.app = app
        self.seconds = latency_ms / 1e3
        self.counts = {"requests": 0, "bytes": 0, "other": 0}
        self._lock = threading.Lock()  # one thread serves each connection

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        get = environ["REQUEST_METHOD"] == "GET"
        if get:
            time.sleep(self.seconds)
        response = Response.from_app(self.app, environ, buffered=True)
        body = response.get_data()
        is_object = environ["PATH_INFO"].startswith(f"/{BUCKET}/") and not environ["QUERY_STRING"]
        with self._lock:
            if get and is_object and response.status_code == 200:
                self.counts["requests"] += 1
                self.counts["bytes"] += len(body)
            else:
                self.counts["other"] += 1
        return response(environ, start_response)


class QuietHandler(WSGIRequestHandler):
    """Connections stay open between requests, as S3 keeps them, and packets leave at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; the second must not wait


class Line:
    """So many bytes per second, whatever the number of connections that share them."""

    def __init__(self, bytes_per_second: float) -> None:
        self.bytes_per_second = bytes_per_second
        self._free = 0.0  # when the last byte that was let through will have passed
        self._lock = threading.Lock()

    def wait(self, size: int) -> None:
        """Until `size` more bytes have passed."""
        with self._lock:
            now = time.monotonic()
            self._free = max(self._free, now) + size / self.bytes_per_second
            ahead = self._free - now
        if ahead > AHEAD:
            time.sleep(ahead - AHEAD)


class Behind(ThreadingHTTPServer):
    """The store behind a line: every answer comes late, and its body shares the line's bandwidth.

    Objects, and ranges of them, are given out from memory over connections that stay open: moto
    takes two milliseconds for each, and would be the limit itself. All else is moto's, and so is
    every object once one was written. `counts` are as above, with "bytes" of every body, and
    ranges among "requests".
    """

    daemon_threads = True
    request_queue_size = 1024  # many connect at once, and who is turned away tries a second later

    def __init__(
        self, app: Any, held: dict[str, bytes], latency_ms: float, bytes_per_second: float
    ) -> None:
        super().__init__(("127.0.0.1", 0), BehindHandler)
        self.app = app
        self.held = {
            name: (content, hashlib.md5(content, usedforsecurity=False).hexdigest())
            for name, content in held.items()
        }
        self.seconds = latency_ms / 1e3
        self.line = Line(bytes_per_second)
        self.since = http_date()
        self.counts = {"requests": 0, "bytes": 0, "other": 0}
        self._lock = threading.Lock()

    def count(self, name: str, more: int = 1) -> None:
        with self._lock:
            self.counts[name] += more

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that is gone is no error of the server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class BehindHandler(BaseHTTPRequestHandler):
    server: Behind
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        server = self.server
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(server.seconds)
        path, _, query = self.path.partition("?")
        if self.command not in ("GET", "HEAD"):
            server.held = {}
        held = server.held.get(unquote(path).removeprefix(f"/{BUCKET}/"))
        if held is not None and query in PLAIN:
            status, headers, body = self._object(*held)
        else:
            held = None
            host = f"http://{self.headers['Host']}"
            asked: Any = {
                "method": self.command,
                "headers": list(self.headers.items()),
                "data": sent,
            }
            answer = Client(server.app).open(self.path, base_url=host, **asked)
            status, body = answer.status_code, memoryview(answer.data)
            headers = {name.title(): value for name, value in answer.headers.items()}
        is_object = held is not None and self.command == "GET" and status < 300
        server.count("requests" if is_object else "other")
        self.send_response_only(status)
        if self.command != "HEAD":
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(body) if self.command != "HEAD" else 0, PIECE):
            piece = body[at : at + PIECE]
            server.line.wait(len(piece))
            server.count("bytes", len(piece))
            self.wfile.write(piece)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _object(self, content: bytes, digest: str) -> tuple[int, dict[str, str], memoryview]:
        """Status, headers and body: the whole, or the range that is asked for."""
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Type": "binary/octet-stream",
            "Content-Length": str(len(content)),
            "ETag": f'"{digest}"',
            "Last-Modified": self.server.since,
        }
        wanted = self.headers.get("Range")
        if wanted is None:
            return 200, headers, memoryview(content)
        ranges = parse_range_header(wanted)
        span = ranges and ranges.range_for_length(len(content))
        if not span:
            return 416, headers, memoryview(b"")
        start, stop = span
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        return 206, headers, memoryview(content)[start:stop]

    def log_message(self, format: str, *values: Any) -> None:
        """No line for every request."""


def upload(app: Any, folder: Path) -> dict[str, bytes]:
    """Put the files of `folder` into the bucket, by the S3 protocol but without a connection.

    Returns their contents by name; the names of those in folders below have slashes.
    """
    client = Client(app)
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    for path, data in [("", b""), *((quote(name), data) for name, data in found.items())]:
        answer = client.put(
            f"/{BUCKET}/{path}".rstrip("/"),
            base_url="http://127.0.0.1",
            headers=SIGNED,
            data=data,
            content_type="application/octet-stream",
        )
        if answer.status_code != 200:
            raise SystemExit(f"the object store refused {path or BUCKET}: {answer.status}")
    return found


def main() -> None:
    """Serve until standard input ends."""
    folder, latency_ms, *line = Path(sys.argv[1]), *map(float, sys.argv[2:])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for every request
    app = create_backend_app("s3")
    held = upload(app, folder)
    server: Any
    if line:
        server = Behind(app, held, latency_ms, 1e6 * line[0])
        counts = server.counts
    else:
        served = DelayedAndCounted(app, latency_ms)
        server = make_server("127.0.0.1", 0, served, threaded=True, request_handler=QuietHandler)
        counts = served.counts
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(counts), flush=True)
    os._exit(0)  # threads may still hold open connections; nothing is left to save


if __name__ == "__main__":
    main()
