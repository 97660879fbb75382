// The audit log, and why a request was refused.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { NAMES } from "./life.mjs";
import { NARROW } from "./look.mjs";
import { stage } from "./stage.mjs";

const site = await stage();
const { daemon } = site;

const heading = (page, name) => page.getByRole("heading", { level: 1, name, exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const place = (page, name) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name });

site.flow("what was changed is found in the audit log, which is proved whole and exported", async (profile, hands, way) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: `before ${way}` });
  await daemon.admin("PATCH", `/keys/${key.id}`, { name: `after ${way}` });
  await hands.click(place(page, "Audit log"));
  await heading(page, "Audit log").waitFor();
  await hands.choose(page.getByLabel("Action"), "key.update");
  await hands.fill(page.getByLabel("Target"), key.id);
  await hands.click(button(page, "Show"));
  await page.waitForURL(/target=key_/);
  const rows = page.locator("tbody tr");
  assert.equal(await rows.count(), 1);
  assert.equal(await rows.locator("del").first().textContent(), `before ${way}`);
  assert.equal(await rows.locator("ins").first().textContent(), `after ${way}`);
  await hands.click(rows.locator("summary").first());
  await rows.locator("pre").first().waitFor();

  const [download] = await Promise.all([page.waitForEvent("download"), hands.click(page.getByRole("link", { name: "Export" }))]);
  const lines = readFileSync(await download.path(), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(lines.some((row) => row.target === key.id && row.action === "key.update"));

  await hands.click(button(page, "Verify the log"));
  await heading(page, "Is the log whole?").waitFor();
  await page.getByText("It is: each row is as it was written").waitFor();
});

site.flow("a request that might be made is explained", async (profile, hands, way) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: `explained ${way}`, allowed_ips: ["203.0.113.0/24"] });
  await hands.click(place(page, "Why refused?"));
  await heading(page, "Why refused?").waitFor();
  await hands.fill(page.locator("#key_id"), key.key);
  await hands.choose(page.getByLabel("Method"), "POST");
  await hands.fill(page.getByLabel("Path"), "/v1/chat/completions");
  await hands.fill(page.getByLabel("Client address"), "198.51.100.1");
  await hands.click(button(page, "Explain").first());
  await page.getByRole("heading", { name: /The request would be refused with 403/ }).waitFor();
  await page.locator(".steps .decides").waitFor();
  assert.ok(!(await page.content()).includes(key.key), "a key that was pasted is not shown again");
  assert.ok(!page.url().includes(key.key));
  assert.equal(await page.getByLabel("Client address").inputValue(), "198.51.100.1");

  await hands.fill(page.locator("#key_id"), key.id);
  await hands.fill(page.getByLabel("Client address"), "203.0.113.1");
  await hands.click(button(page, "Explain").first());
  await page.getByRole("heading", { name: /The request would be let through/ }).waitFor();
});

site.flow("a request that was refused is explained by its id", async (profile, hands, way) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: `refused ${way}`, scopes: ["models:read"] });
  const answer = await daemon.chat(key.key);
  assert.equal(answer.status, 403);
  await profile.go("/explain");
  await hands.fill(page.getByLabel("Request id"), answer.headers.get("x-request-id"));
  await hands.click(button(page, "Explain").nth(1));
  await page.getByRole("heading", { name: /The request was refused with 403/ }).waitFor();
  await page.getByText("insufficient_scope").waitFor();
});

site.flow("a question that has no answer is told so, with what was typed kept", async (profile, hands) => {
  const { page } = profile;
  profile.allowStatus("4[0-9][0-9]");
  await profile.go("/explain");
  const key = await daemon.makeKey({ name: "asked about" });
  await hands.fill(page.locator("#key_id"), key.id);
  await hands.fill(page.getByLabel("Client address"), "nowhere");
  await hands.fill(page.getByLabel("Model"), "echo");
  await hands.click(button(page, "Explain").first());
  const alert = page.getByRole("alert").filter({ hasText: "There is no answer to this." });
  await alert.waitFor();
  assert.ok(await alert.evaluate((element) => element === document.activeElement));
  assert.equal(await page.getByLabel("Model").inputValue(), "echo");
});

for (const [sort, name] of Object.entries(NAMES)) {
  site.test(`the audit log shows ${sort} as it was typed, and fits a telephone`, async (profile) => {
    const { page } = profile;
    const key = await daemon.makeKey({ name: "plain" });
    await daemon.admin("PATCH", `/keys/${key.id}`, { name, metadata: { [name.slice(0, 64)]: name } });
    await profile.go(`/audit?target=${key.id}`);
    assert.ok((await page.locator("ins").allTextContents()).includes(name));
    for (const summary of await page.locator("tbody summary").all()) if (await summary.isVisible()) await summary.click();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it is too wide");
    assert.equal(await page.locator("b[onmouseover], script:not([src])").count(), 0);
  }, { profile: { viewport: NARROW } });
}
