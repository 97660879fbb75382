// The list of keys, and all that can be done to one.

import assert from "node:assert/strict";
import { stage } from "./stage.mjs";

const site = await stage();
const { daemon } = site;

const button = (page, name) => page.getByRole("button", { name, exact: true });
const link = (page, name) => page.getByRole("link", { name, exact: true });
const heading = (page, name) => page.getByRole("heading", { level: 1, name, exact: true });
const notice = (page, text) => page.getByRole("status").getByText(text);
const statusOf = async (key) => (await daemon.admin("GET", `/keys/${key.id}`)).status;

/** Returns the names of the keys that are listed. */
const listed = (page) => page.locator("#keys tbody th bdi").allTextContents();

site.flow("keys are searched for and filtered by status", async (profile, hands, way) => {
  const { page } = profile;
  const word = `needle-${way.replaceAll(" ", "-")}`;
  const [one, two] = [await daemon.makeKey({ name: `${word} one` }), await daemon.makeKey({ name: "other", metadata: { team: word } })];
  await daemon.admin("POST", `/keys/${two.id}/revoke`, {});
  await hands.click(link(page, "API keys"));
  await heading(page, "API keys").waitFor();
  await hands.fill(page.getByLabel("Search"), word.toUpperCase());
  await hands.click(button(page, "Show"));
  await page.waitForURL(/search=/);
  assert.deepEqual((await listed(page)).sort(), ["other", `${word} one`].sort());

  await hands.choose(page.getByLabel("Status"), "revoked");
  await hands.click(button(page, "Show"));
  await page.waitForURL(/status=revoked/);
  assert.deepEqual(await listed(page), ["other"]);
  assert.equal(await page.getByLabel("Search").inputValue(), word.toUpperCase());

  await hands.fill(page.getByLabel("Search"), "there is no such key");
  await hands.click(button(page, "Show"));
  await page.getByRole("heading", { name: "No key matches" }).waitFor();
  await hands.click(link(page, "Show all keys"));
  await page.waitForURL(/\/keys$/);
  await hands.fill(page.getByLabel("Search"), one.id);
  await page.keyboard.press("Enter");
  await hands.click(link(page, `${word} one`));
  await heading(page, `${word} one`).waitFor();
});

site.flow("a key is edited: what is changed is in force at once, and the rest is as it was", async (profile, hands, way) => {
  const { page } = profile;
  const metadata = { note: "a <b>\nsecond line", "🗝️": "\"'&amp; مفتاح" };
  const key = await daemon.makeKey({ name: `edited ${way}`, metadata, allowed_models: ["echo"], expires_in: "30d" });
  await profile.go(`/keys/${key.id}`);
  await hands.click(link(page, "Edit").first());
  await heading(page, "Edit the key").waitFor();
  await hands.fill(page.getByLabel("Name", { exact: true }), `renamed ${way}`);
  await hands.fill(page.getByRole("textbox", { name: "Allowed addresses" }), "203.0.113.7");
  await hands.click(button(page, "Save"));
  await heading(page, `renamed ${way}`).waitFor();

  const now = await daemon.admin("GET", `/keys/${key.id}`);
  assert.deepEqual(now.metadata, metadata);
  assert.deepEqual([now.allowed_models, now.expires_at, now.plan], [key.allowed_models, key.expires_at, key.plan]);
  assert.equal((await daemon.chat(key.key, { address: "203.0.113.7" })).status, 200);
  assert.equal((await daemon.chat(key.key, { address: "203.0.113.8" })).status, 403);
  const { data: [entry] } = await daemon.admin("GET", `/audit?target=${key.id}&action=key.update`);
  assert.equal(entry.actor.via, "dashboard");
});

site.flow("a mistake in an edit is told, and what was typed is kept", async (profile, hands, way) => {
  const { page } = profile;
  profile.allowStatus(422);
  const key = await daemon.makeKey({ name: `kept ${way}` });
  await profile.go(`/keys/${key.id}/edit`);
  await hands.fill(page.getByLabel("Name", { exact: true }), "typed");
  await hands.click(page.locator("summary"));
  await hands.fill(page.getByRole("textbox", { name: "Allowed addresses" }), "nowhere");
  await hands.click(button(page, "Save"));
  const alert = page.getByRole("alert").filter({ hasText: "Nothing was saved." });
  await alert.waitFor();
  assert.ok(await alert.evaluate((element) => element === document.activeElement));
  assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "typed");
  assert.equal((await daemon.admin("GET", `/keys/${key.id}`)).name, `kept ${way}`);
});

site.flow("a key is rotated: both work, the new one is shown once, and the old one can be revoked", async (profile, hands, way) => {
  const { page } = profile;
  const old = await daemon.makeKey({ name: `turned ${way}` });
  await profile.go(`/keys/${old.id}`);
  await hands.click(link(page, "Rotate"));
  await heading(page, "Rotate the key").waitFor();
  await hands.choose(page.getByLabel("How long the old key goes on"), "24h");
  await hands.fill(page.getByLabel("Revoke it sooner, once it was quiet for"), "2h");
  await hands.click(page.getByRole("main").getByRole("button", { name: /rotate|new key/i }));
  await page.getByRole("heading", { name: "Copy the key now: it is not shown again" }).waitFor();
  const renewed = await page.locator("#key").textContent();
  for (const key of [old.key, renewed]) assert.equal((await daemon.chat(key)).status, 200);

  await profile.go(`/keys/${old.id}/cut-over`);
  await page.getByRole("heading", { name: "May the old key go?" }).waitFor();
  await page.getByText("2h", { exact: false }).first().waitFor();
  await hands.click(link(page, "Revoke the old key"));
  await hands.fill(page.getByLabel("Type its name, or its id"), old.id);
  await hands.click(button(page, "Revoke the key"));
  await heading(page, `turned ${way}`).waitFor();
  assert.equal((await daemon.chat(old.key)).status, 401);
  assert.equal((await daemon.chat(renewed)).status, 200);
});

for (const [verb, isOver] of [
  ["Revoke", async (key) => (await statusOf(key)) === "revoked"],
  ["Delete", (key) => statusOf(key).then(() => false, (error) => /404/.test(error.message))],
]) {
  site.flow(`${verb} asks for the key's name, and does nothing without it`, async (profile, hands, way) => {
    const { page } = profile;
    profile.allowStatus(422);
    const name = `${verb} me, ${way}`;
    const key = await daemon.makeKey({ name });
    await profile.go(`/keys/${key.id}`);
    await hands.click(link(page, verb));
    await heading(page, `${verb} the key`).waitFor();
    const field = page.getByLabel("Type its name, or its id");
    await hands.fill(field, `${verb} me`);
    await hands.click(button(page, `${verb} the key`));
    await page.getByRole("alert").getByText("Nothing was done.").waitFor();
    assert.ok(await field.evaluate((element) => element === document.activeElement), "the focus is on what is wrong");
    assert.equal((await daemon.chat(key.key)).status, 200, "nothing was done");

    await hands.fill(field, name);
    await hands.click(button(page, `${verb} the key`));
    await notice(page, new RegExp(`${verb.toLowerCase()}d`)).waitFor();
    assert.ok(await isOver(key));
    assert.equal((await daemon.chat(key.key)).status, 401);
  });
}

site.flow("a key is disabled and enabled again", async (profile, hands, way) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: `switched ${way}` });
  await profile.go(`/keys/${key.id}`);
  await hands.click(button(page, "Disable"));
  await button(page, "Enable").waitFor();
  assert.equal((await daemon.chat(key.key)).status, 401);
  await hands.click(button(page, "Enable"));
  await button(page, "Disable").waitFor();
  assert.equal((await daemon.chat(key.key)).status, 200);
});

site.flow("what is suggested for a key is applied by a button", async (profile, hands, way) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: `advised ${way}` });
  for (let count = 0; count < 120; count += 1) await daemon.chat(key.key, { address: "203.0.113.7" });
  await profile.go(`/keys/${key.id}`);
  await hands.click(link(page, "Advice"));
  await hands.click(page.getByRole("button", { name: /^Apply to/ }).first());
  await page.getByRole("status").first().waitFor();
  const { data } = await daemon.admin("GET", `/audit?target=${key.id}&action=key.update`);
  assert.equal(data.length, 1);
});

site.flow("the usage of a key is looked at over other times", async (profile, hands, way) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: `used ${way}` });
  await daemon.chat(key.key);
  await profile.go(`/keys/${key.id}`);
  await hands.click(page.getByRole("navigation", { name: "About this key" }).getByRole("link", { name: "Usage" }));
  for (const range of ["hour", "week", "month", "year"]) {
    await hands.click(page.locator(`nav a[href*="range=${range}"]`));
    await page.waitForURL(new RegExp(`range=${range}`));
    await page.locator('nav [aria-current="true"]').waitFor();
  }
  await hands.click(page.locator("details summary").first());
  assert.ok(await page.locator("details table").first().isVisible());
});
