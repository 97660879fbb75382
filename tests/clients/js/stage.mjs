// The stage that every test file here plays on: ../stage.py starts the fake upstream and two mcpds.
//   gate  an mcpd in front of the fake upstream        echo  an mcpd with its built-in echo

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";

export const QUESTION = "What is the capital of France?";
export const ANSWER = ["The capital ", "of France ", "is Paris."]; // what the fake upstream says
export const MESSAGES = [{ role: "user", content: QUESTION }];

const stage = spawn("python3", [fileURLToPath(new URL("../stage.py", import.meta.url))], {
  stdio: ["pipe", "pipe", "inherit"],
  env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
});
const ended = once(stage, "exit");
const lines = createInterface({ input: stage.stdout });
const [line] = await Promise.race([
  once(lines, "line"),
  ended.then(() => Promise.reject(new Error("the stage could not be put up; see above"))),
]);
const places = JSON.parse(line);

after(async () => {
  stage.stdin.end();
  const [status] = await ended;
  if (status !== 0) throw new Error("mcpd did not stop well; see above");
});

class Daemon {
  constructor({ url, adminUrl, adminToken }) {
    Object.assign(this, { url, adminUrl, adminToken });
  }

  async admin(method, path, body) {
    const answer = await fetch(`${this.adminUrl}/admin/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.adminToken}`, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Makes a key that may do everything, but for what `fields` say. */
  makeKey(fields = {}) {
    return this.admin("POST", "/keys", { name: "test", scopes: ["*"], requests_per_minute: 1000, ...fields });
  }

  /** A client that does not retry unless told to, so that an error is seen as it was sent. */
  client(key, options = {}) {
    return new OpenAI({ baseURL: `${this.url}/v1`, apiKey: key.key, maxRetries: 0, timeout: 10_000, ...options });
  }

  /** Returns {"endpoint status": requests} for one key. */
  async requestsCounted(key) {
    const hour = 3_600_000;
    const [from, to] = [-hour, hour].map((offset) => new Date(Date.now() + offset).toISOString());
    const query = new URLSearchParams({ key: key.id, from, to, step: "hour", group_by: "endpoint,status" });
    const counts = {};
    for (const row of (await this.admin("GET", `/usage?${query}`)).data) {
      const group = `${row.endpoint} ${row.status}`;
      counts[group] = (counts[group] ?? 0) + row.requests;
    }
    return counts;
  }
}

export const gate = new Daemon(places.gate);
export const echo = new Daemon(places.echo);

/** The last request that the fake upstream was sent. */
export async function lastRequest() {
  const answer = await fetch(places.fake.replace("/v1", "/requests"));
  return (await answer.json()).at(-1);
}

export function chat(client, model = "talks", fields = {}) {
  return client.chat.completions.create({ model, messages: MESSAGES, ...fields });
}

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export function textOf(chunks) {
  return chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? "")).join("");
}

/** Polls until `condition` holds, and returns whether it did in time. */
export async function waitUntil(condition, milliseconds) {
  const deadline = performance.now() + milliseconds;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}
