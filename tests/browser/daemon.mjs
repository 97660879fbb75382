// The real mcpd in a folder of its own, and what tests ask of it without a browser.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BINARY = process.env.MCPD_BINARY ?? fileURLToPath(new URL("../../target/debug/mcpd", import.meta.url));

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) server.close();
  return ports;
}

/** A running mcpd with the built-in echo. `config` is added to its mcpd.toml. */
export class Daemon {
  static async start(config = "") {
    const [port, adminPort] = await freePorts(2);
    const daemon = new Daemon();
    daemon.folder = mkdtempSync(join(tmpdir(), "mcpd-browser-"));
    daemon.url = `http://127.0.0.1:${port}`;
    daemon.site = `http://127.0.0.1:${adminPort}`;
    const settings = `
[server]
listen = ["127.0.0.1:${port}"]
# Who is believed about where a client is: the tests, so that they can come from anywhere.
trusted_proxies = ["127.0.0.1"]
shutdown_grace_seconds = 1
[admin]
listen = "127.0.0.1:${adminPort}"
socket = "${daemon.folder}/admin.sock"
token_file = "${daemon.folder}/admin-token"
[store]
path = "${daemon.folder}/mcpd.db"
${config}`;
    writeFileSync(daemon.path("mcpd.toml"), settings);
    await daemon.run();
    return daemon;
  }

  path(name) { return join(this.folder, name); }
  log() { return readFileSync(this.path("log"), "utf8"); }
  get token() { return readFileSync(this.path("admin-token"), "utf8").trim(); }

  /** Starts it, and waits until it answers. */
  async run() {
    const log = openSync(this.path("log"), "a");
    // The caller's own settings must not leak into the daemon under test.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MCPD")));
    this.process = spawn(BINARY, ["serve", "--config", this.path("mcpd.toml")],
      { cwd: this.folder, env, stdio: ["ignore", log, log] });
    closeSync(log);
    const ready = () => fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
    if (!(await until(async () => this.process.exitCode !== null || ready(), 15_000)) || this.process.exitCode !== null) {
      throw new Error(`mcpd did not start; its log:\n${this.log()}`);
    }
  }

  /** Stops it as an init system would. */
  async halt() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    const tooLong = setTimeout(() => this.process.kill("SIGKILL"), 10_000);
    const [status] = await ended;
    clearTimeout(tooLong);
    if (status !== 0) throw new Error(`mcpd stopped with status ${status}; its log:\n${this.log()}`);
  }

  async stop() {
    try {
      if (this.process.exitCode === null) await this.halt();
    } finally {
      rmSync(this.folder, { recursive: true });
    }
  }

  /** Runs a command of the binary, beside the daemon; returns what it wrote to standard output. */
  async command(...words) {
    const child = spawn(BINARY, [...words, "--config", this.path("mcpd.toml")], { cwd: this.folder });
    let out = "", err = "";
    child.stdout.on("data", (data) => { out += data; });
    child.stderr.on("data", (data) => { err += data; });
    const [status] = await once(child, "close");
    if (status !== 0) throw new Error(`mcpd ${words.join(" ")}: status ${status}: ${err}`);
    return out;
  }

  /** Calls the admin API; returns its JSON. Any answer but 2xx is an error that shows it. */
  async admin(method, path, body) {
    const answer = await fetch(`${this.site}/admin/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text && JSON.parse(text);
  }

  /** Makes a key that may do everything, but for what `fields` say. */
  makeKey(fields = {}) {
    return this.admin("POST", "/keys", { name: "test", scopes: ["*"], ...fields });
  }

  /** Returns the one key with this name. */
  async keyNamed(name) {
    const found = await this.admin("GET", `/keys?search=${encodeURIComponent(name)}`);
    return found.data.find((key) => key.name === name);
  }

  /** Calls /v1 with a key, as if from `address`. */
  call(key, path, { method = "GET", address, body, headers = {} } = {}) {
    const forwarded = address ? { "x-forwarded-for": address } : {};
    const kind = typeof body === "object" && !(body instanceof FormData) ? { "content-type": "application/json" } : {};
    return fetch(`${this.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...forwarded, ...kind, ...headers },
      body: kind["content-type"] ? JSON.stringify(body) : body,
    });
  }

  chat(key, options = {}) {
    const body = { model: "echo", messages: [{ role: "user", content: "Hello" }] };
    return this.call(key, "/chat/completions", { method: "POST", body, ...options });
  }
}

/** Polls until `condition` holds; returns whether it did in time. */
export async function until(condition, milliseconds = 10_000) {
  const deadline = performance.now() + milliseconds;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
