// Files, as OpenAI's client and plain `fetch` store and read them.

import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { after, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { chat, collect, gate, lastRequest, QUESTION } from "./stage.mjs";

const TEXT = "Paris is the capital of France. Ünïcödé 🦀\n";
const LARGE = randomBytes(5 * 1024 * 1024 + 7);
const MISSING = "file_ABCDEFGHIJKLMNOPQRSTUVWX";

const key = await gate.makeKey();
const client = gate.client(key);
const folder = await mkdtemp(join(tmpdir(), "mcpd-"));
after(() => rm(folder, { recursive: true }));

/** Stores a file with OpenAI's client. */
async function store(name, content, purpose = "user_data") {
  return client.files.create({ file: await toFile(content, name), purpose });
}

const bytesOf = async (file) => Buffer.from(await (await client.files.content(file.id)).arrayBuffer());
const part = (fileId) => ({ type: "file", file: { file_id: fileId } });
const question = { type: "text", text: QUESTION };
const asking = (fileId) => ({ messages: [{ role: "user", content: [part(fileId), question] }] });

test("a read stream is stored under its file's name", async () => {
  const path = join(folder, "large.bin");
  await writeFile(path, LARGE);
  const file = await client.files.create({ file: createReadStream(path), purpose: "user_data" });

  assert.equal(file.filename, "large.bin");
  assert.equal(file.bytes, LARGE.length);
  assert.equal(file.sha256, createHash("sha256").update(LARGE).digest("hex"));
  assert.equal(file.created_by, key.id);
  assert.deepEqual(await bytesOf(file), LARGE);
});

test("a download can be streamed to a file", async () => {
  const file = await store("large.bin", LARGE);
  const path = join(folder, "streamed");
  await pipeline((await client.files.content(file.id)).body, createWriteStream(path));

  assert.deepEqual(await readFile(path), LARGE);
});

test("a part of a file may be asked for", async () => {
  const file = await store("large.bin", LARGE);
  const answer = await client.files.content(file.id, { headers: { Range: "bytes=-10" } });

  assert.equal(answer.status, 206);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), LARGE.subarray(-10));
});

test("a file is there at once and gone at once", async () => {
  const file = await store("notes.txt", Buffer.from(TEXT));

  assert.deepEqual(await client.files.retrieve(file.id), file);
  assert.deepEqual(await client.files.waitForProcessing(file.id, { pollInterval: 10, maxWait: 1000 }), file);
  assert.equal((await bytesOf(file)).toString(), TEXT);
  assert.deepEqual(await client.files.delete(file.id), { id: file.id, object: "file", deleted: true });
  for (const ask of ["retrieve", "content", "delete"]) {
    await assert.rejects(client.files[ask](file.id), OpenAI.NotFoundError);
  }
});

test("lists are paged through", async () => {
  const purpose = `test-${randomUUID()}`;
  const ids = [];
  for (let n = 0; n < 5; n++) ids.push((await store(`${n}.txt`, Buffer.from("x"), purpose)).id);

  const idsOf = async (query) => (await collect(await client.files.list({ purpose, ...query }))).map(({ id }) => id);
  assert.deepEqual(await idsOf({ limit: 2 }), ids.toReversed());
  assert.deepEqual(await idsOf({ limit: 2, order: "asc" }), ids);
});

for (const name of ["naïve 日本語 🦀.txt", 'he said "hi".txt', "C:\\notes\\a.txt", "100% 'sure'; really.txt"]) {
  test(`a name is kept to the letter: ${name}`, async () => {
    // OpenAI's client itself takes a path's last part alone.
    assert.equal((await store(name, Buffer.from("x"))).filename, name.split("\\").at(-1));

    const form = new FormData();
    form.set("purpose", "user_data");
    form.set("file", new Blob([TEXT]), name);
    const headers = { Authorization: `Bearer ${key.key}` };
    const answer = await fetch(`${gate.url}/v1/files`, { method: "POST", headers, body: form });
    assert.equal(answer.status, 200);
    assert.equal((await answer.json()).filename, name);
  });
}

test("refusals are the client's own errors", async () => {
  await assert.rejects(client.files.retrieve(MISSING), OpenAI.NotFoundError);
  await assert.rejects(store("notes.txt", Buffer.from("x"), "two words"), OpenAI.UnprocessableEntityError);
  const reader = gate.client(await gate.makeKey({ scopes: ["files:read"] }));
  const refused = reader.files.create({ file: await toFile(LARGE, "large.bin"), purpose: "user_data" });
  await assert.rejects(refused, (error) => {
    assert.equal(error.constructor, OpenAI.PermissionDeniedError);
    assert.equal(error.code, "insufficient_scope");
    return true;
  });
});

test("a chat is given the text of a file", async () => {
  const file = await store("notes.txt", Buffer.from(TEXT));
  const expected = [{ type: "text", text: TEXT }, question];

  assert.ok(await chat(client, "talks", asking(file.id)));
  assert.deepEqual((await lastRequest()).body.messages[0].content, expected);
  await collect(await chat(client, "talks", { ...asking(file.id), stream: true }));
  assert.deepEqual((await lastRequest()).body.messages[0].content, expected);

  await assert.rejects(chat(client, "talks", asking(MISSING)), OpenAI.UnprocessableEntityError);
  await chat(client, "talks", asking("file-abc123"));
  assert.deepEqual((await lastRequest()).body.messages[0].content[0], part("file-abc123"));
});
