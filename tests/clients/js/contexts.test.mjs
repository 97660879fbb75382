// Contexts, over the calls that OpenAI's client has for routes that it does not know.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { ANSWER, chat, collect, gate, lastRequest, MESSAGES, textOf } from "./stage.mjs";

const SYSTEM = { role: "system", content: "Answer in one sentence. Ünïcödé 🦀" };
const ANSWERED = { role: "assistant", content: ANSWER.join("") };

const key = await gate.makeKey();
const client = gate.client(key);

const create = (body) => client.post("/contexts", { body });
const get = ({ id }) => client.get(`/contexts/${id}`);

test("a context is kept, changed and deleted", async () => {
  const made = await create({ name: "geography", messages: [SYSTEM], metadata: { team: "blue" } });

  assert.deepEqual([made.object, made.name, made.revision, made.created_by], ["context", "geography", 1, key.id]);
  assert.deepEqual(await get(made), made);
  assert.deepEqual((await client.patch(`/contexts/${made.id}`, { body: { name: "maps" } })).name, "maps");
  const appended = await client.post(`/contexts/${made.id}/messages`, { body: { messages: MESSAGES } });
  assert.deepEqual([appended.revision, appended.messages], [3, [SYSTEM, ...MESSAGES]]);
  const gone = { id: made.id, object: "context", deleted: true };
  assert.deepEqual(await client.delete(`/contexts/${made.id}`), gone);
  await assert.rejects(get(made), OpenAI.NotFoundError);
});

test("a lost update is a ConflictError", async () => {
  const made = await create({});
  const change = (name) => client.patch(`/contexts/${made.id}`, { body: { name }, headers: { "If-Match": '"1"' } });

  assert.equal((await change("in time")).revision, 2);
  await assert.rejects(change("late"), (error) => {
    assert.equal(error.constructor, OpenAI.ConflictError);
    assert.equal(error.code, "revision_conflict");
    return true;
  });
});

test("contexts are listed page by page", async () => {
  const made = [await create({}), await create({}), await create({})].map(({ id }) => id);
  const first = await client.get("/contexts", { query: { limit: 2 } });
  const second = await client.get("/contexts", { query: { limit: 1, after: first.last_id } });

  assert.deepEqual([...first.data, ...second.data].map(({ id }) => id), made.toReversed());
  assert.ok(first.has_more);
});

test("what is wrong is named", async () => {
  await assert.rejects(create({ messages: [{ role: "wizard" }] }), (error) => {
    assert.equal(error.constructor, OpenAI.UnprocessableEntityError);
    assert.match(error.message, /messages\[0\]\.role/);
    return true;
  });
});

for (const stream of [false, true]) {
  test(`question and answer are appended, ${stream ? "streamed" : "plain"}`, async () => {
    const context = await create({ messages: [SYSTEM] });
    const answer = await chat(client, "talks", { stream, context: context.id, context_append: true });
    const said = stream ? textOf(await collect(answer)) : answer.choices[0].message.content;

    assert.equal(said, ANSWERED.content);
    assert.deepEqual((await lastRequest()).body.messages, [SYSTEM, ...MESSAGES]);
    assert.deepEqual((await get(context)).messages, [SYSTEM, ...MESSAGES, ANSWERED]);
  });
}

test("a key without the scope is a PermissionDeniedError", async () => {
  const context = await create({ messages: [SYSTEM] });
  const talker = gate.client(await gate.makeKey({ scopes: ["chats:create"] }));

  await assert.rejects(chat(talker, "talks", { context: context.id }), OpenAI.PermissionDeniedError);
});
