"""All that the operator does meanwhile: keys come and go, usage is looked at, backups are made, the configuration is
read again, and now and then the daemon is started anew."""

import asyncio
import time

from client import Broken, Connection


class Desk:
    def __init__(self, daemon, shared, plan):
        self.daemon, self.shared, self.plan = daemon, shared, plan
        self.events = []

    async def run(self, until):
        every = self.plan["every"]
        tasks = [(self.turn_over, 1), (self.look, 5), (self.back_up, every["backup"]), (self.reload, every["reload"])]
        await asyncio.gather(*(self.repeat(what, period, until) for what, period in tasks), self.restarts(until))

    async def repeat(self, what, period, until):
        admin, public = Connection(self.plan["admin_port"]), Connection(self.plan["port"])
        while time.monotonic() + period < until:
            await asyncio.sleep(period)
            before = self.shared.restarts.value
            try:
                await what(admin, public)
            except Broken as error:
                if before % 2 == 0 and before == self.shared.restarts.value:
                    self.shared.add("errors")
                    self.shared.tell(f"{what.__name__}: {error}")

    async def ask(self, connection, expected, method, path, body=None, key=None):
        answer = await connection.ask(method, path, key or self.daemon.admin_token, body)
        self.shared.add("requests")
        if answer.status != expected:
            raise Broken(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer

    async def turn_over(self, admin, public):
        """A key's life: made, used, rotated, revoked, deleted."""
        chat = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
        made = (await self.ask(admin, 201, "POST", "/admin/v1/keys", {"name": "churn", "scopes": ["*"]})).json()
        old = f"/admin/v1/keys/{made['id']}"
        await self.ask(public, 200, "POST", "/v1/chat/completions", chat, made["key"])
        rotated = (await self.ask(admin, 201, "POST", f"{old}/rotate", {"expire_old_in": "10m"})).json()
        new = f"/admin/v1/keys/{rotated['id']}"
        await self.ask(public, 200, "POST", "/v1/chat/completions", chat, rotated["key"])
        await self.ask(admin, 200, "PATCH", new, {"metadata": {"team": "soak"}, "max_concurrent": 3})
        await self.ask(admin, 200, "POST", f"{old}/revoke")
        await self.ask(public, 401, "POST", "/v1/chat/completions", chat, made["key"])
        await self.ask(admin, 200, "DELETE", old)
        await self.ask(admin, 200, "DELETE", new)

    async def look(self, admin, _):
        # Of the last minutes only: an answer that grows with what there is takes memory that grows with it.
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 300))
        minutes = f"usage?step=minute&group_by=key,endpoint,status&from={since}"
        for path in [minutes, "usage?step=day", "server", "alerts", "audit"]:
            await self.ask(admin, 200, "GET", f"/admin/v1/{path}")
        verified = (await self.ask(admin, 200, "GET", "/admin/v1/usage/verify")).json()
        if verified.get("ok") is False:
            raise Broken(f"usage does not add up: {verified}")
        await self.ask(admin, 200, "GET", "/metrics")

    async def back_up(self, admin, _):
        copy = await self.ask(admin, 200, "POST", "/admin/v1/backup")
        if not copy.body.startswith(b"SQLite format 3\0"):
            raise Broken("a backup that is no database")
        self.events.append("backup")

    async def reload(self, *_):
        # A process that has not come as far as listening for the signal would be ended by it.
        if self.shared.restarts.value % 2:
            return
        self.daemon.reload()
        self.events.append("reload")

    async def restarts(self, until):
        period = self.plan["every"]["restart"]
        # None near the end, so that each time between two is as long as the others.
        while time.monotonic() + 1.5 * period < until:
            await asyncio.sleep(period)
            self.shared.add("restarts")
            self.events.append("restart")
            await asyncio.to_thread(self.daemon.restart)
            self.shared.add("restarts")
