// Every error reaches the program as the class that OpenAI's client has for it.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { chat, gate } from "./stage.mjs";

/** Returns the error of exactly that class which `promise` ends in. */
async function refusal(expected, promise) {
  const error = await promise.then(
    () => assert.fail(`expected ${expected.name}, but it worked`),
    (error) => error,
  );
  assert.equal(error.constructor, expected, `${error}`);
  return error;
}

const said = ({ status, code, type }) => [status, code, type];
const everything = await gate.makeKey();
const client = gate.client(everything);

test("an unknown key is an AuthenticationError", async () => {
  const stranger = gate.client({ key: "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38" });
  const error = await refusal(OpenAI.AuthenticationError, chat(stranger));

  assert.deepEqual(said(error), [401, "invalid_api_key", "authentication_error"]);
  assert.equal(error.error.message, "The API key provided is invalid or has been revoked");
});

test("a revoked key is refused by the very next request", async () => {
  const key = await gate.makeKey();
  assert.ok(await chat(gate.client(key)));
  await gate.admin("POST", `/keys/${key.id}/revoke`);

  const error = await refusal(OpenAI.AuthenticationError, chat(gate.client(key)));
  assert.equal(error.code, "invalid_api_key");
});

test("a missing scope is a PermissionDeniedError that names it", async () => {
  const reader = gate.client(await gate.makeKey({ scopes: ["models:read"] }));
  const error = await refusal(OpenAI.PermissionDeniedError, chat(reader));

  assert.deepEqual(said(error), [403, "insufficient_scope", "permission_error"]);
  assert.match(error.message, /chats:create/);
});

test("a model that the key may not use is a PermissionDeniedError", async () => {
  const narrow = gate.client(await gate.makeKey({ allowed_models: ["talks-too"] }));
  const error = await refusal(OpenAI.PermissionDeniedError, chat(narrow));

  assert.deepEqual(said(error), [403, "model_not_allowed", "permission_error"]);
});

test("a used up limit is a RateLimitError", async () => {
  const hasty = gate.client(await gate.makeKey({ requests_per_minute: 1 }));
  await chat(hasty);
  const error = await refusal(OpenAI.RateLimitError, chat(hasty));

  assert.deepEqual(said(error), [429, "rate_limit_exceeded", "rate_limit_error"]);
  assert.ok(Number(error.headers.get("retry-after")) >= 1);
});

test("a model that nobody has is a NotFoundError", async () => {
  assert.equal((await refusal(OpenAI.NotFoundError, client.models.retrieve("gpt-none"))).type, "invalid_request_error");
});

test("a wrong field is an UnprocessableEntityError", async () => {
  const error = await refusal(OpenAI.UnprocessableEntityError, chat(client, 5));

  assert.deepEqual(said(error), [422, "invalid_request", "invalid_request_error"]);
});

for (const [status, expected] of [
  [400, OpenAI.BadRequestError],
  [404, OpenAI.NotFoundError],
  [422, OpenAI.UnprocessableEntityError],
  [429, OpenAI.RateLimitError],
]) {
  test(`an upstream's ${status} keeps its status and message`, async () => {
    const error = await refusal(expected, chat(client, `status-${status}`));

    assert.match(error.message, new RegExp(`the fake says ${status}`));
  });
}

for (const status of [401, 403, 500, 503]) {
  test(`an upstream's ${status} is an InternalServerError that does not say why`, async () => {
    const error = await refusal(OpenAI.InternalServerError, chat(client, `status-${status}`));

    assert.deepEqual(said(error), [502, "upstream_error", "api_error"]);
    assert.doesNotMatch(error.message, /the fake says/);
  });
}

test("the client waits as long as it is told and then gets through", async () => {
  const key = await gate.makeKey({ max_concurrent: 1 });
  const inTheWay = await chat(gate.client(key), "takes-its-time", { stream: true });
  await inTheWay[Symbol.asyncIterator]().next();

  const started = performance.now();
  setTimeout(() => inTheWay.controller.abort(), 300);
  assert.ok(await chat(gate.client(key, { maxRetries: 3 })));

  assert.ok(performance.now() - started >= 1000, "Retry-After: 1 was not waited for");
});

test("usage counts every request once", async () => {
  const key = await gate.makeKey({ scopes: ["chats:create"] });
  const counted = gate.client(key);
  for (let i = 0; i < 3; i++) await chat(counted);
  for await (const _ of await chat(counted, "talks", { stream: true }));
  await refusal(OpenAI.BadRequestError, chat(counted, "status-400"));
  await refusal(OpenAI.PermissionDeniedError, counted.models.retrieve("talks"));

  assert.deepEqual(await gate.requestsCounted(key), {
    "/v1/chat/completions 200": 4,
    "/v1/chat/completions 400": 1,
    "/v1/models/{id} 403": 1,
  });
});
