"""A model server that does as it is told: the model's name says what happens.

    talks, talks-too      says "The capital of France is Paris.", in three pieces when streamed
    calls-a-tool          asks for get_weather(city="Paris")
    takes-its-time        streams a word every 50 ms for up to 20 s
    says-nothing          takes the request and never answers
    breaks-off            resets the connection after two pieces
    stops-short           ends the stream tidily after two pieces, with no finish reason and no [DONE]
    fails-midway          sends an error event after two pieces
    hangs-up              closes the connection without an answer
    mumbles               answers 200 with something that is not JSON
    no-stream-options     refuses `stream_options`, as older servers do
    status-400, ...       answers with that status and an error of OpenAI's shape

It keeps every request it was sent (`FakeUpstream.requests`, or `GET /requests`).
"""

import json
import select
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = ["The capital ", "of France ", "is Paris."]
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
EXTRA = {"x_fake": {"exact": 9007199254740993, "words": ["ü", "🦀", ""], "none": None}}
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}

STATUSES = [400, 401, 403, 404, 413, 422, 429, 500, 503]
MODELS = [
    "talks",
    "talks-too",
    "calls-a-tool",
    "takes-its-time",
    "says-nothing",
    "breaks-off",
    "stops-short",
    "fails-midway",
    "hangs-up",
    "mumbles",
    "no-stream-options",
] + [f"status-{status}" for status in STATUSES]

PATIENCE_SECONDS = 20  # nothing here goes on for longer, whatever the other side does


class FakeUpstream:
    """The server, on a free port, for as long as the `with` block lasts."""

    def __init__(self):
        self.requests = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.requests = self.requests
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/requests":
            self._json(200, self.server.requests)
        elif self.path == "/v1/models":
            models = [{"id": m, "object": "model", "created": 1, "owned_by": "fake"} for m in MODELS]
            self._json(200, {"object": "list", "data": models})
        else:
            self._json(404, {"error": {"message": f"no {self.path} here"}})

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.record = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": json.loads(text),
            "client_left_at": None,
        }
        self.server.requests.append(self.record)
        self._act(self.record["body"])

    def _act(self, body):
        model = body["model"]
        if model.startswith("status-"):
            self._refuse(int(model.removeprefix("status-")))
        elif model == "no-stream-options" and "stream_options" in body:
            self._refuse(400, "Unrecognized request argument supplied: stream_options")
        elif model == "says-nothing":
            self._wait_for_leaving(PATIENCE_SECONDS)
            self.close_connection = True
        elif model == "hangs-up":
            self.close_connection = True
        elif model == "mumbles":
            self._send(200, "text/html", b"<html>It works!</html>")
        elif body.get("stream"):
            self._stream(model, body)
        else:
            self._json(200, self._answer(model))

    # ---- plain answers

    def _refuse(self, status, message=None):
        message = message or f"the fake says {status}"
        error = {"message": message, "type": "fake_error", "param": None, "code": f"fake_{status}"}
        self._json(status, {"error": error}, {"Retry-After": "1"} if status == 429 else {})

    def _answer(self, model):
        if self._legacy():
            choice = {"index": 0, "text": "".join(ANSWER), "finish_reason": "stop"}
        elif model == "calls-a-tool":
            message = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        else:
            message = {"role": "assistant", "content": "".join(ANSWER)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**self._head(model, ""), "choices": [choice], "usage": USAGE, **EXTRA}

    def _legacy(self):
        return self.path.endswith("/v1/completions")

    def _head(self, model, suffix):
        kind = "text_completion" if self._legacy() else f"chat.completion{suffix}"
        return {"id": "fake-1", "object": kind, "created": 1700000000, "model": model}

    def _json(self, status, value, headers=None):
        self._send(status, "application/json", json.dumps(value).encode(), headers or {})

    def _send(self, status, kind, content, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    # ---- streams

    def _stream(self, model, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self._stream_events(model, (body.get("stream_options") or {}).get("include_usage"))
        except ConnectionError:
            self._note_leaving()
            self.close_connection = True

    def _stream_events(self, model, include_usage):
        if model == "takes-its-time":
            deadline = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < deadline:
                self._piece(model, "word ")
                if self._wait_for_leaving(0.05):
                    self.close_connection = True
                    return
        elif model == "calls-a-tool":
            self._tool_call_in_pieces(model)
        else:
            for piece in ANSWER[:2]:
                self._piece(model, piece)

        if model == "breaks-off":
            # Zero linger turns the close into a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if model == "fails-midway":
            self._event({"error": {"message": "the fake ran out of memory", "type": "fake_error", "code": "fake_oom"}})
        elif model != "stops-short":
            self._ending(model, include_usage)
        self.wfile.write(b"0\r\n\r\n")

    def _tool_call_in_pieces(self, model):
        name = {"index": 0, **TOOL_CALL, "function": {"name": "get_weather", "arguments": ""}}
        self._delta(model, {"role": "assistant", "content": None, "tool_calls": [name]})
        for arguments in ('{"city":', ' "Paris"}'):
            self._delta(model, {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})

    def _ending(self, model, include_usage):
        if model == "calls-a-tool":
            self._delta(model, {}, "tool_calls")
        else:
            self._piece(model, ANSWER[-1], "stop")
        if include_usage:
            self._event({**self._head(model, ".chunk"), "choices": [], "usage": USAGE})
        self._chunk(b"data: [DONE]\n\n")

    def _piece(self, model, text, finish_reason=None):
        if self._legacy():
            self._choice(model, {"index": 0, "text": text, "finish_reason": finish_reason})
        else:
            self._delta(model, {"content": text}, finish_reason)

    def _delta(self, model, delta, finish_reason=None):
        self._choice(model, {"index": 0, "delta": delta, "finish_reason": finish_reason})

    def _choice(self, model, choice):
        self._event({**self._head(model, ".chunk"), "choices": [choice], **EXTRA})

    def _event(self, value):
        self._chunk(f"data: {json.dumps(value)}\n\n".encode())

    def _chunk(self, content):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    # ---- a client that leaves

    def _wait_for_leaving(self, seconds):
        """Waits, and returns whether the other side closed its connection meanwhile."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        try:
            left = bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            left = True
        if left:
            self._note_leaving()
        return left

    def _note_leaving(self):
        self.record["client_left_at"] = time.time()
