// Streams that do not end as they should: the upstream fails, the client leaves, the key is revoked.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { chat, gate, lastRequest, textOf, waitUntil } from "./stage.mjs";

/** Reads a stream to its bad end, and returns what came and the error it ended in. */
async function readToFailure(stream) {
  const chunks = [];
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (error) {
    return { chunks, error };
  }
  return assert.fail("the stream looked complete");
}

for (const model of ["breaks-off", "stops-short", "fails-midway"]) {
  test(`a stream whose upstream ${model} throws and never looks complete`, async () => {
    const client = gate.client(await gate.makeKey());
    const { chunks, error } = await readToFailure(await chat(client, model, { stream: true }));

    assert.ok(error instanceof OpenAI.APIError, `${error}`);
    assert.equal(textOf(chunks), "The capital of France ");
  });
}

test("a client that leaves is noticed upstream within a second", async () => {
  const key = await gate.makeKey();
  const stream = await chat(gate.client(key), "takes-its-time", { stream: true });
  for await (const _ of stream) break;

  assert.ok(await waitUntil(async () => (await lastRequest()).client_left_at, 1000));
  assert.ok(await waitUntil(async () => (await gate.requestsCounted(key))["/v1/chat/completions 499"] === 1, 1000));
});

test("revoking a key ends its stream within a second", async () => {
  const key = await gate.makeKey();
  const client = gate.client(key);
  const stream = await chat(client, "takes-its-time", { stream: true });
  await waitUntil(async () => (await lastRequest()).body.model === "takes-its-time", 1000);

  const started = performance.now();
  await gate.admin("POST", `/keys/${key.id}/revoke`);
  const { error } = await readToFailure(stream);

  assert.ok(performance.now() - started < 1000);
  assert.ok(error instanceof OpenAI.APIError, `${error}`);
  await assert.rejects(chat(client), OpenAI.AuthenticationError);
});
