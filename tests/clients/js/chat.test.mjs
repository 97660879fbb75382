// Chat, completions and models through OpenAI's own client.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ANSWER, QUESTION, chat, collect, echo, gate, lastRequest, textOf } from "./stage.mjs";

const client = gate.client(await gate.makeKey());
const echoClient = echo.client(await echo.makeKey());

test("the echo upstream answers any model name with the question", async () => {
  const answer = await chat(echoClient, "claude-3-5-sonnet");

  assert.equal(answer.choices[0].message.content, QUESTION);
  assert.equal(answer.model, "echo");
});

test("an echo streamed says the same as an echo plain", async () => {
  const chunks = await collect(await chat(echoClient, "echo", { stream: true }));

  assert.equal(textOf(chunks), QUESTION);
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
});

test("an upstream's answer arrives whole", async () => {
  const answer = await chat(client);

  assert.equal(answer.choices[0].message.content, ANSWER.join(""));
  assert.equal(answer.usage.total_tokens, 12);
});

test("an upstream's stream arrives piece by piece", async () => {
  const chunks = await collect(await chat(client, "talks", { stream: true }));

  assert.deepEqual(chunks.map((chunk) => chunk.choices[0]?.delta.content), ANSWER);
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
});

for (const asked of [true, false]) {
  test(`the usage chunk ${asked ? "comes when asked for" : "does not come when not asked for"}`, async () => {
    const chunks = await collect(
      await chat(client, "talks", { stream: true, stream_options: { include_usage: asked } }),
    );
    const extra = chunks.filter((chunk) => chunk.choices.length === 0);

    assert.equal(textOf(chunks), ANSWER.join(""));
    assert.deepEqual(extra.map((chunk) => chunk.usage.total_tokens), asked ? [12] : []);
  });
}

test("legacy completions work, plain and streamed", async () => {
  const request = { model: "talks", prompt: QUESTION };
  const plain = await client.completions.create(request);
  const chunks = await collect(await client.completions.create({ ...request, stream: true }));

  assert.equal(plain.choices[0].text, ANSWER.join(""));
  assert.deepEqual(chunks.map((chunk) => chunk.choices[0]?.text), ANSWER);
});

test("models can be listed and retrieved", async () => {
  const models = await collect(client.models.list());

  assert.ok(models.some((model) => model.id === "talks"));
  assert.equal((await client.models.retrieve("talks")).id, "talks");
});

test("allowed models hide all others", async () => {
  const narrow = gate.client(await gate.makeKey({ allowed_models: ["talks"] }));

  assert.deepEqual((await collect(narrow.models.list())).map((model) => model.id), ["talks"]);
});

test("tools go up and a streamed tool call comes together", async () => {
  const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }];
  const stream = client.chat.completions.stream({
    model: "calls-a-tool",
    messages: [{ role: "user", content: QUESTION }],
    tools,
  });
  const [call] = (await stream.finalMessage()).tool_calls;

  assert.deepEqual((await lastRequest()).body.tools, tools);
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
});

test("unknown fields pass through both ways", async () => {
  const answer = await chat(client, "talks", { x_mine: { words: ["ü", "🦀", ""], none: null } });

  assert.deepEqual((await lastRequest()).body.x_mine, { words: ["ü", "🦀", ""], none: null });
  assert.deepEqual(answer.x_fake.words, ["ü", "🦀", ""]);
});

test("every answer has a request id, the caller's own where there is one", async () => {
  assert.ok((await chat(client))._request_id);
  const request = { model: "talks", messages: [{ role: "user", content: "?" }] };
  const named = await client.chat.completions.create(request, { headers: { "X-Request-Id": "my.own_id-1" } });

  assert.equal(named._request_id, "my.own_id-1");
});
