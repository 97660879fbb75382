// The JavaScript program that the README shows, run as it stands.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { echo } from "./stage.mjs";

test("the fetch example gets its answer", async () => {
  const { key } = await echo.makeKey();
  const program = fileURLToPath(new URL("../examples/fetch.mjs", import.meta.url));
  const env = { ...process.env, MCPD_URL: echo.url, MCP_API_KEY: key };
  const { stdout } = await promisify(execFile)(process.execPath, [program], { env, timeout: 20_000 });

  assert.equal(stdout, "What is the capital of France?\n");
});
