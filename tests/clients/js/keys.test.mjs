// Signing and rotation, as a program with OpenAI's own client does them.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import OpenAI from "openai";
import { chat, gate } from "./stage.mjs";

/** A client that signs each attempt on its way out, retries included. */
function signingClient(key) {
  return gate.client(key, {
    fetch(url, request) {
      const timestamp = Math.floor(Date.now() / 1000);
      const signature = createHmac("sha256", key.key).update(`${timestamp}.${request.body ?? ""}`).digest("hex");
      const headers = new Headers(request.headers);
      headers.set("X-MCP-Timestamp", timestamp);
      headers.set("X-MCP-Signature", signature);
      return fetch(url, { ...request, headers });
    },
  });
}

test("a key that must sign works with a client that signs, and not without", async () => {
  const key = await gate.makeKey({ require_signature: true });

  assert.ok(await chat(signingClient(key)));
  await assert.rejects(chat(gate.client(key)), { status: 401, code: "missing_signature" });
});

test("after a rotation both keys work and share one limit", async () => {
  const old = await gate.makeKey({ requests_per_minute: 2 });
  const renewed = await gate.admin("POST", `/keys/${old.id}/rotate`, { expire_old_in: "24h" });

  for (const key of [old, renewed]) assert.ok(await chat(gate.client(key)));
  for (const key of [old, renewed]) await assert.rejects(chat(gate.client(key)), OpenAI.RateLimitError);
});
