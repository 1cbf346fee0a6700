"""The server side of the object store: moto's S3 on a free port of 127.0.0.1, in its own process.

`object_store` runs this file as a script, so it imports nothing of the study: start-up time counts.
Arguments: a folder, whose files become the objects, and the latency in milliseconds that is added
to every GET. It talks over its pipes: once ready it prints one JSON line with its port; each line
it reads it answers with one JSON line of counts; and it exits when its input ends, which the
kernel sees to even if the parent is killed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client
from werkzeug.wrappers import Response

BUCKET = "study"
# moto reads the name from it and checks no signature; unsigned requests would be refused.
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=study/20260101/us-east-1/s3/aws4_request"}


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


def upload(app: Any, folder: Path) -> None:
    """Put the files of `folder` into the bucket, by the S3 protocol but without a connection."""
    client = Client(app)
    for path, data in [("", b""), *((quote(f.name), f.read_bytes()) for f in folder.iterdir())]:
        answer = client.put(
            f"/{BUCKET}/{path}".rstrip("/"),
            base_url="http://127.0.0.1",
            headers=SIGNED,
            data=data,
            content_type="application/octet-stream",
        )
        if answer.status_code != 200:
            raise SystemExit(f"the object store refused {path or BUCKET}: {answer.status}")


def main() -> None:
    """Serve until standard input ends."""
    folder, latency_ms = Path(sys.argv[1]), float(sys.argv[2])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for every request
    app = create_backend_app("s3")
    upload(app, folder)
    served = DelayedAndCounted(app, latency_ms)
    server = make_server("127.0.0.1", 0, served, threaded=True, request_handler=QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(served.counts), flush=True)
    os._exit(0)  # threads may still hold open connections; nothing is left to save


if __name__ == "__main__":
    main()
