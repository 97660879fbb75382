"""A small HTTP client: connections are kept, and an answer is read exactly as far as it goes."""

import asyncio
import json
from dataclasses import dataclass, field

PATIENCE = 20


class Broken(Exception):
    """The connection ended before the answer did."""


@dataclass
class Answer:
    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    def json(self):
        return json.loads(self.body)


class Connection:
    """One connection at a time to one server, made anew where it was closed."""

    def __init__(self, port):
        self._port = port
        self._reader = self._writer = None

    async def ask(self, method, path, key=None, body=None, headers=None, leave_after=None):
        """Sends a request, `body` being JSON or bytes; returns the answer, or what came of it until `leave_after`."""
        head = {"Host": "localhost", **(headers or {})}
        if key:
            head["Authorization"] = f"Bearer {key}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            head["Content-Type"] = "application/json"
        if body is not None or method in ("POST", "PATCH"):
            head["Content-Length"] = str(len(body or b""))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
        request = "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
        try:
            return await asyncio.wait_for(self._exchange(request, leave_after), PATIENCE)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError, Broken) as error:
            self.close()
            raise Broken(f"{method} {path}: {type(error).__name__} {error}") from None

    def close(self):
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None

    async def _exchange(self, request, leave_after):
        status_line = await self._send(request)
        answer = Answer(int(status_line.split(b" ", 2)[1]))
        while (line := await self._reader.readuntil(b"\n")).strip():
            name, _, value = line.decode().partition(":")
            answer.headers[name.lower()] = value.strip()
        if leave_after is not None:
            answer.body = await self._reader.read(leave_after)
            self.close()
            return answer
        answer.body = await self._body(answer)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    async def _send(self, request):
        """Returns the first line of the answer. A kept connection may have been closed meanwhile: then a new one."""
        if self._writer:
            try:
                self._writer.write(request)
                return await self._reader.readuntil(b"\n")
            except (OSError, asyncio.IncompleteReadError) as error:
                if getattr(error, "partial", b""):
                    raise
                self.close()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        self._writer.write(request)
        return await self._reader.readuntil(b"\n")

    async def _body(self, answer):
        if answer.headers.get("transfer-encoding") != "chunked":
            if answer.status == 204 or "content-length" not in answer.headers:
                return b""
            return await self._reader.readexactly(int(answer.headers["content-length"]))
        pieces = []
        while size := int(await self._reader.readuntil(b"\n"), 16):
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\n")
        return b"".join(pieces)
