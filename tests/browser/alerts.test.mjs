// Alerts and the rules that raise them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after } from "node:test";
import { until } from "./daemon.mjs";
import { NAMES } from "./life.mjs";
import { NARROW } from "./look.mjs";
import { stage } from "./stage.mjs";

const site = await stage();
const { daemon } = site;

const delivered = [];
const receiver = createServer((request, response) => {
  let body = "";
  request.on("data", (data) => { body += data; });
  request.on("end", () => {
    delivered.push({ path: request.url, body });
    response.writeHead(request.url === "/broken" ? 500 : 204).end();
  });
}).listen(0, "127.0.0.1");
await once(receiver, "listening");
const webhook = `http://127.0.0.1:${receiver.address().port}`;
after(() => receiver.close());

const heading = (page, name) => page.getByRole("heading", { level: 1, name, exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const tab = (page, name) => page.getByRole("main").getByRole("link", { name, exact: true });

/** Makes a key whose requests all fail, and waits for the alert. */
async function alertOf(name) {
  const key = await daemon.makeKey({ name });
  for (let count = 0; count < 12; count += 1) await daemon.call(key.key, "/nothing-here");
  let found;
  assert.ok(await until(async () => {
    found = (await daemon.admin("GET", `/alerts?key=${key.id}`)).data.find((alert) => alert.kind === "error_rate");
    return Boolean(found);
  }), "there is an alert");
  return { key, alert: found };
}

const statusOf = async ({ id }) => (await daemon.admin("GET", "/alerts?limit=100")).data.find((one) => one.id === id).status;

site.flow("an alert is found, read and acknowledged", async (profile, hands, way) => {
  const { page } = profile;
  const { key, alert } = await alertOf(`failing ${way}`);
  await hands.click(page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: /^Alerts/ }));
  await heading(page, "Alerts").waitFor();
  await hands.fill(page.getByLabel("Key", { exact: true }), key.id);
  await hands.choose(page.getByLabel("Kind"), "error_rate");
  await hands.click(button(page, "Show"));
  await page.waitForURL(/key=key_/);
  const row = page.locator("#alerts li").filter({ has: page.locator(`#says-${alert.id}`) });
  await hands.click(row.locator("summary"));
  await row.getByText(alert.id).waitFor();
  await hands.click(row.getByRole("button", { name: "Acknowledge" }));
  await page.getByRole("status").waitFor();
  assert.equal(await statusOf(alert), "acknowledged");
  assert.equal(new URL(page.url()).searchParams.get("key"), key.id, "the filter stays");
});

site.flow("a rule is made, tried out, changed, turned off and on, and deleted", async (profile, hands, way) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: `ruled ${way}` });
  const rules = async () => (await daemon.admin("GET", "/alert-rules?limit=100")).data.filter((rule) => rule.key === key.id);
  const path = `/${way.replaceAll(" ", "-")}`;
  await profile.go("/alerts");
  await hands.click(tab(page, "Rules"));
  await heading(page, "Alert rules").waitFor();
  await hands.click(tab(page, "Create rule").first());
  await hands.click(page.locator('a[href*="kind=error_rate"]'));
  await hands.fill(page.getByLabel("Key", { exact: true }), key.id);
  await hands.fill(page.locator("#window"), "10m");
  await hands.fill(page.getByLabel("URL"), webhook + path);
  await hands.fill(page.getByLabel("Secret"), "a secret of ours");
  await hands.click(button(page, "Create rule"));
  await heading(page, "Alert rules").waitFor();
  const [rule] = await rules();
  assert.deepEqual([rule.kind, rule.window, rule.webhook.signed], ["error_rate", "10m", true]);

  const row = page.getByRole("row").filter({ hasText: `ruled ${way}` });
  await hands.click(row.getByRole("button", { name: "Test" }));
  await page.getByRole("status").first().waitFor();
  assert.equal(delivered.filter((one) => one.path === path).length, 1);

  await hands.click(row.getByRole("button", { name: "Turn off" }));
  await row.getByRole("button", { name: "Turn on" }).waitFor();
  assert.equal((await rules())[0].enabled, false);
  await hands.click(row.getByRole("button", { name: "Turn on" }));
  await row.getByRole("button", { name: "Turn off" }).waitFor();

  await hands.click(row.locator('th a'));
  await page.getByLabel("Another secret").waitFor();
  assert.ok(!(await page.content()).includes("a secret of ours"));
  await hands.fill(page.locator("#window"), "20m");
  await hands.click(button(page, "Save"));
  await heading(page, "Alert rules").waitFor();
  const [changed] = await rules();
  assert.deepEqual([changed.window, changed.webhook.signed], ["20m", true], "the secret stays");

  await hands.click(row.locator("th a"));
  await hands.click(page.getByRole("link", { name: "Delete rule" }));
  await heading(page, "Delete this rule?").waitFor();
  await hands.click(button(page, "Delete rule"));
  await page.getByRole("status").waitFor();
  assert.deepEqual(await rules(), []);
});

site.flow("a rule with a mistake is told what, with what was typed kept", async (profile, hands, way) => {
  const { page } = profile;
  profile.allowStatus(422);
  await profile.go("/alerts/rules/new?kind=error_rate");
  await hands.fill(page.locator("#window"), "a while");
  await hands.fill(page.getByLabel("URL"), `${webhook}/${way.length}`);
  await hands.click(button(page, "Create rule"));
  const alert = page.getByRole("alert").filter({ hasText: "Nothing was saved." });
  await alert.waitFor();
  assert.ok(await alert.evaluate((element) => element === document.activeElement));
  assert.equal(await page.locator("#window").inputValue(), "a while");
  assert.equal(await page.getByLabel("URL").inputValue(), `${webhook}/${way.length}`);
});

site.test("a webhook that does not take what it is sent is told of", async (profile) => {
  const { page } = profile;
  profile.allowStatus("(4|5)[0-9][0-9]");
  profile.allow(/answered 502/);
  const key = await daemon.makeKey({ name: "broken webhook" });
  await daemon.admin("POST", "/alert-rules", { kind: "error_rate", key: key.id, webhook: { url: `${webhook}/broken` } });
  await profile.go("/alerts/rules");
  await page.getByRole("row").filter({ hasText: "broken webhook" }).getByRole("button", { name: "Test" }).click();
  await page.getByRole("alert").getByText(/500/).waitFor();
});

for (const [sort, name] of Object.entries(NAMES)) {
  site.test(`alerts and rules about a key show ${sort} in its name as it was typed, and fit a telephone`, async (profile) => {
    const { page } = profile;
    const { key } = await alertOf(name);
    await daemon.admin("POST", "/alert-rules", { kind: "rate_limited", key: key.id });
    for (const path of ["/alerts", `/alerts?key=${key.id}`, "/alerts/rules", "/"]) {
      await profile.go(path);
      const names = await page.locator("main bdi").allTextContents();
      assert.ok(names.some((one) => one.includes(name)), `${path} has no ${name}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} is too wide`);
    }
  }, { profile: { viewport: NARROW } });
}
