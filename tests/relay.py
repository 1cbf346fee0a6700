"""A relay of TCP connections that can be cut for a while, as a network's cable can."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Relay:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._whole = asyncio.Event()
        self._whole.set()

    def before(self, host: str, port: int) -> str:
        """An address that leads to that one."""

        async def relayed(*ends: Any) -> None:
            await self._relay(*ends, host, port)

        async def serve() -> int:
            server = await asyncio.start_server(relayed, host, 0)
            found: int = server.sockets[0].getsockname()[1]
            return found

        return f"tcp://{host}:{self._done(serve())}"

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        await self._whole.wait()
        there = None
        with suppress(OSError):
            read, there = await asyncio.open_connection(host, port)
            await asyncio.gather(self._pass(reader, there), self._pass(read, writer))
        for end in (writer, there):
            if end is not None:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Nothing arrives, nobody new is let in, and nobody is told. What was sent meanwhile
        arrives afterwards, as TCP sends again what was lost."""
        self._called(self._whole.clear)
        try:
            yield
        finally:
            self._called(self._whole.set)

    def end(self) -> None:
        """Where whoever is connected is gone already."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _called(self, function: Callable[[], Any]) -> None:
        async def called() -> None:
            function()

        self._done(called())

    def _done(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
