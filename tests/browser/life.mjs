// What a server has in it that is in use: something for every page to show.

const CHAT = { model: "echo", messages: [{ role: "user", content: "Hello" }] };

export const NAMES = {
  "HTML": `<script>alert(1)</script><b onmouseover="alert(2)">"'&amp;`,
  "right to left": "مفتاح \u202Ecba\u202C المفتاح",
  "emoji": "🗝️👩🏽‍🚀 ключ 鍵",
  "200 letters": "W".repeat(200),
  "200 letters of Arabic": "م".repeat(200),
};

/** Makes a key of each sort with traffic, contexts, files and a rotation; returns keys by what is special about them. */
export async function live(daemon) {
  const keys = {};
  for (const [sort, name] of Object.entries(NAMES)) {
    keys[sort] = await daemon.makeKey({ name, metadata: { [name.slice(0, 64)]: name } });
    await daemon.chat(keys[sort].key);
  }
  keys.plain = await daemon.makeKey({
    name: "Alice's laptop", allowed_ips: ["203.0.113.0/24"], allowed_models: ["echo", "other"], expires_in: "30d",
    max_concurrent: 4, requests_per_minute: 100, metadata: { team: "physics\nsecond line" },
  });
  const from = (address) => ({ address, headers: { "user-agent": "tests/1 <i>" } });
  for (const address of ["203.0.113.7", "203.0.113.8", "198.51.100.1"]) await daemon.chat(keys.plain.key, from(address));
  await daemon.call(keys.plain.key, "/nothing-here", from("203.0.113.7"));
  keys.trial = await daemon.makeKey({ name: "on trial", scopes: ["chats:create"], allowed_ips: ["10.0.0.0/8"], report_only: ["allowed_ips"] });
  await daemon.chat(keys.trial.key, from("203.0.113.9"));
  keys.revoked = await daemon.makeKey({ name: "revoked" });
  await daemon.admin("POST", `/keys/${keys.revoked.id}/revoke`, {});
  keys.disabled = await daemon.makeKey({ name: "disabled" });
  await daemon.admin("PATCH", `/keys/${keys.disabled.id}`, { enabled: false });
  keys.old = await daemon.makeKey({ name: "rotated" });
  keys.new = await daemon.admin("POST", `/keys/${keys.old.id}/rotate`, { expire_old_in: "24h", revoke_when_quiet: "2h" });
  for (const key of [keys.old, keys.new, keys.old]) await daemon.chat(key.key, from("203.0.113.7"));
  await keepSomething(daemon, keys.HTML.key);
  return keys;
}

/** Stores a context and a file, each with a name to be careful with. */
export async function keepSomething(daemon, key, name = NAMES.HTML) {
  const form = new FormData();
  form.set("purpose", "user_data");
  form.set("file", new Blob(["some text\n"], { type: "text/plain" }), name.replaceAll(/["/]/g, "-"));
  const file = await made(daemon.call(key, "/files", { method: "POST", body: form }));
  const body = { messages: CHAT.messages, metadata: { name: name.slice(0, 200) } };
  const context = await made(daemon.call(key, "/contexts", { method: "POST", body }));
  return { file, context };
}

async function made(asked) {
  const answer = await asked;
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}
