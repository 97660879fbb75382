// What changes while one looks: times in the reader's zone, and figures that refresh themselves.

import assert from "node:assert/strict";
import { until } from "./daemon.mjs";
import { stage } from "./stage.mjs";

const site = await stage();
const { daemon } = site;

const IN_KOLKATA = { profile: { timezoneId: "Asia/Kolkata" } };

site.test("times are in the reader's zone, and in UTC where one points at them", async (profile) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: "timed", expires_at: "2098-02-02T22:35:00Z" });
  await profile.go(`/keys/${key.id}`);
  const time = page.locator('time[datetime^="2098-02-02T22:35"]').first();
  assert.match(await time.textContent(), /^(3 Feb|Feb 3,) 2098,? 04:05/);
  assert.equal(await time.getAttribute("title"), "2 Feb 2098, 22:35 UTC");
  await page.getByText("Times in UTC+05:30").waitFor();
}, IN_KOLKATA);

site.test("without JavaScript times are in UTC and say so, until a zone is chosen", async (profile) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: "timed", expires_at: "2098-02-02T22:35:00Z" });
  await profile.go(`/keys/${key.id}`);
  const time = page.locator('time[datetime^="2098-02-02T22:35"]').first();
  assert.equal(await time.textContent(), "2 Feb 2098, 22:35 UTC");
  await page.getByRole("link", { name: "Times in UTC" }).click();
  await page.getByLabel("Tell times in").selectOption("+05:30");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").waitFor();
  await profile.go(`/keys/${key.id}`);
  assert.equal(await time.textContent(), "3 Feb 2098, 04:05");
}, { profile: { ...IN_KOLKATA.profile, javaScriptEnabled: false } });

site.flow("a zone is chosen, and the browser's own again", async (profile, hands) => {
  const { page } = profile;
  await hands.click(page.getByRole("link", { name: /^Times in/ }));
  await hands.choose(page.getByLabel("Tell times in"), "-03:30");
  await hands.click(page.getByRole("button", { name: "Save" }));
  await page.getByRole("link", { name: "Times in UTC-03:30" }).waitFor();
}, IN_KOLKATA);

site.test("figures change by themselves after traffic", async (profile) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: "busy" });
  await profile.go(`/keys/${key.id}`);
  const requests = page.locator("#figures-now dd").first();
  assert.equal(await requests.textContent(), "0");
  let pages = 0;
  page.on("framenavigated", () => { pages += 1; });
  for (let count = 0; count < 3; count += 1) await daemon.chat(key.key);
  assert.ok(await until(async () => (await requests.textContent()) === "3", 15_000), "the figures are fresh");
  assert.equal(pages, 0, "the page was not loaded anew");
});

site.test("while figures change, a field that is being typed into keeps its text and the focus", async (profile) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: "listed" });
  await profile.go("/keys");
  const row = page.locator("#keys tr").filter({ hasText: "listed" });
  assert.match(await row.textContent(), /never/);
  await page.getByLabel("Search").click();
  await page.keyboard.type("half a wo");
  await daemon.chat(key.key);
  const used = row.locator('[data-label="Last used"]');
  assert.ok(await until(async () => /ago|now/.test(await used.textContent()), 15_000), "the list is fresh");
  await page.keyboard.type("rd");
  assert.equal(await page.getByLabel("Search").inputValue(), "half a word");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
});

site.test("a page whose session has ended says so, and leads back to where one was", async (profile) => {
  const { page } = profile;
  await profile.go("/keys?search=listed");
  await page.getByLabel("Search").fill("half a word");
  await profile.context.clearCookies({ name: /session/ });
  const told = page.getByRole("alert").filter({ hasText: "You were signed out" });
  await told.waitFor({ timeout: 15_000 });
  assert.equal(await page.getByLabel("Search").inputValue(), "half a word");
  await told.getByRole("link", { name: "Sign in again" }).click();
  await page.getByLabel("Admin token").fill(daemon.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1, name: "API keys" }).waitFor();
  assert.equal(profile.path, "/keys?search=listed");
});
