"""A model server in OpenAI's shape that always says the same, whole or in ten pieces within a fifth of a second."""

import asyncio
import json

MODEL = "small"
PIECES = 10
USAGE = {"prompt_tokens": 7, "completion_tokens": PIECES, "total_tokens": 7 + PIECES}


async def serve(port):
    return await asyncio.start_server(_answer_all, "127.0.0.1", port, limit=1 << 22)


async def _answer_all(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
            body = json.loads(await reader.readexactly(length)) if length else {}
            if body.get("stream"):
                await _stream(writer)
            else:
                _whole(writer)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
        # The client, or the test, is done.
        pass
    finally:
        writer.close()


def _whole(writer):
    message = {"role": "assistant", "content": "word " * PIECES}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    content = json.dumps({**_head("chat.completion"), "choices": [choice], "usage": USAGE}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)


async def _stream(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(PIECES):
        choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
        _event(writer, json.dumps({**_head("chat.completion.chunk"), "choices": [choice]}))
        await writer.drain()
        await asyncio.sleep(0.02)
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    _event(writer, json.dumps({**_head("chat.completion.chunk"), "choices": [last]}))
    _event(writer, json.dumps({**_head("chat.completion.chunk"), "choices": [], "usage": USAGE}))
    _event(writer, "[DONE]")
    writer.write(b"0\r\n\r\n")


def _event(writer, data):
    event = f"data: {data}\n\n".encode()
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")


def _head(kind):
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": MODEL}
