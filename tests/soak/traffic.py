"""All that clients do, at a steady rate, in a process of its own: it is told of a restart, and counts what went wrong
at any other time."""

import asyncio
import hashlib
import hmac
import json
import random
import time

import upstream
from client import Broken, Connection

WORKERS = 48


class Wrong(Exception):
    """An answer that should have been another one."""


def run(plan, shared):
    """The process: `plan` says where to and how fast."""
    asyncio.run(Traffic(plan, shared).run())


class Traffic:
    def __init__(self, plan, shared):
        self.plan, self.shared = plan, shared
        self.random = random.Random(plan["seed"])
        self.next_at = time.monotonic()
        self.nonce = 0

    async def run(self):
        async with await upstream.serve(self.plan["upstream_port"]):
            await asyncio.gather(*(self.work() for _ in range(WORKERS)))

    async def work(self):
        public = Connection(self.plan["port"])
        doing = [self.chat, self.stream, self.leave, self.converse, self.upload, self.refused, self.limited, self.sign]
        weights = [44, 24, 2, 3, 2, 14, 4, 7]
        while not self.shared.done.value:
            await self.turn()
            await self.attempt(self.random.choices(doing, weights)[0], public)

    async def turn(self):
        """Waits for the next moment at which a request is due. What was missed, in a restart, is not made up for."""
        now = time.monotonic()
        self.next_at = max(self.next_at + 1 / self.plan["rate"], now - 0.5)
        await asyncio.sleep(max(0, self.next_at - now))

    async def attempt(self, what, public):
        restarts = self.shared.restarts.value
        try:
            await what(public)
        except (Broken, Wrong) as error:
            # An odd number: one is under way.
            if restarts % 2 or restarts != self.shared.restarts.value:
                self.shared.add("cut_off")
                await asyncio.sleep(0.1)
            else:
                self.shared.add("errors")
                self.shared.tell(f"{what.__name__}: {error}")

    async def ask(self, public, expected, *request, **more):
        answer = await public.ask(*request, **more)
        self.shared.add("requests")
        if answer.status not in expected:
            raise Wrong(f"{request[0]} {request[1]}: {answer.status} {answer.body[:300]!r}")
        return answer

    def body(self, **more):
        model = self.random.choice(["echo", upstream.MODEL])
        words = "word " * self.random.randrange(1, 200)
        return {"model": model, "messages": [{"role": "user", "content": words}], **more}

    async def chat(self, public):
        body = self.body()
        answer = await self.ask(public, [200], "POST", "/v1/chat/completions", self.plan["key"], body)
        said = answer.json()["choices"][0]["message"]["content"]
        if body["model"] == "echo" and said != body["messages"][0]["content"]:
            raise Wrong(f"an echo that is none: {said[:80]}")

    async def stream(self, public):
        answer = await self.ask(public, [200], "POST", "/v1/chat/completions", self.plan["key"], self.body(stream=True))
        if not answer.body.endswith(b"data: [DONE]\n\n"):
            raise Wrong(f"a stream without its end: {answer.body[-200:]!r}")

    async def leave(self, public):
        body = self.body(stream=True)
        await public.ask("POST", "/v1/chat/completions", self.plan["key"], body, leave_after=64)
        self.shared.add("requests")

    async def converse(self, public):
        key, messages = self.plan["key"], [{"role": "user", "content": "hello"}]
        made = await self.ask(public, [200], "POST", "/v1/contexts", key, {"name": "soak", "messages": messages})
        path = f"/v1/contexts/{made.json()['id']}"
        chat = self.body(context=made.json()["id"], context_append=True)
        await self.ask(public, [200], "POST", "/v1/chat/completions", key, chat)
        kept = (await self.ask(public, [200], "GET", path, key)).json()
        if len(kept["messages"]) != 3:
            raise Wrong(f"a context of {len(kept['messages'])} messages")
        await self.ask(public, [200], "DELETE", path, key)

    async def upload(self, public):
        key, content = self.plan["key"], self.random.randbytes(self.random.randrange(1, 200_000))
        # Long enough that it is never in the content.
        edge = self.random.randbytes(16).hex()
        part = f'--{edge}\r\nContent-Disposition: form-data; name="'
        form = f'{part}purpose"\r\n\r\nuser_data\r\n{part}file"; filename="a.bin"\r\n\r\n'.encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        form += content + f"\r\n--{edge}--\r\n".encode()
        made = (await self.ask(public, [200], "POST", "/v1/files", key, form, headers)).json()
        path = f"/v1/files/{made['id']}"
        back = await self.ask(public, [200], "GET", f"{path}/content", key)
        if back.body != content or made["sha256"] != hashlib.sha256(content).hexdigest():
            raise Wrong("a file that came back as another")
        await self.ask(public, [200], "DELETE", path, key)

    async def refused(self, public):
        """What is not let through, for each of several reasons."""
        key, wrong = self.plan["key"], "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"
        chat = ("POST", "/v1/chat/completions")
        case = self.random.choice([
            ([401], (*chat, None, self.body())),
            ([401], (*chat, wrong, self.body())),
            ([403], (*chat, self.plan["models_key"], self.body())),
            ([400], (*chat, key, b"{")),
            ([404], (*chat, key, {**self.body(), "model": "none"})),
            ([404], ("GET", "/v1/nothing", key)),
            ([422], ("POST", "/v1/contexts", key, {"nmae": "x"})),
        ])
        expected, request = case
        await self.ask(public, expected, *request)

    async def limited(self, public):
        await self.ask(public, [200, 429], "POST", "/v1/chat/completions", self.plan["limited_key"], self.body())

    async def sign(self, public):
        body, now = json.dumps(self.body()).encode(), int(time.time())
        self.nonce += 1
        nonce = f"{self.plan['seed']}-{self.nonce:08}"
        signed = f"{now}.{nonce}.".encode() + body
        signature = hmac.new(self.plan["key"].encode(), signed, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-MCP-Timestamp": now,
            "X-MCP-Nonce": nonce,
            "X-MCP-Signature": signature,
        }
        await self.ask(public, [200], "POST", "/v1/chat/completions", self.plan["key"], body, headers)
