// A new key: made, shown once, and used.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { stage } from "./stage.mjs";

const site = await stage(`[log]\nlevel = "trace"\n`);
const { daemon } = site;

const KEY = /mcp_sk_[A-Za-z0-9]{32}/;

const button = (page, name) => page.getByRole("button", { name, exact: true });
const addresses = (page) => page.getByRole("textbox", { name: "Allowed addresses" });
const nameField = (page) => page.getByLabel("Name", { exact: true });

/** Returns the key that the page shows. */
async function shownKey(page) {
  await page.getByRole("heading", { name: "Copy the key now: it is not shown again" }).waitFor();
  const key = await page.locator("#key").textContent();
  assert.match(key, KEY);
  return key;
}

site.flow("a restricted key is made from a blank start, and does what its restrictions say", async (profile, hands, way) => {
  const { page } = profile;
  const name = `restricted ${way}`;
  await hands.click(page.getByRole("link", { name: "Create key" }).first());
  await page.getByRole("heading", { level: 1, name: "Create a key" }).waitFor();
  await hands.fill(nameField(page), name);
  await hands.choose(page.getByLabel("Expires", { exact: true }), "30d");
  for (const box of await page.locator("[name=scope]").all()) {
    const isWanted = ["chats:create", "models:read"].includes(await box.getAttribute("value"));
    if ((await box.isChecked()) !== isWanted) await hands.tick(box);
  }
  await hands.click(page.getByText("Advanced options").locator("xpath=ancestor-or-self::summary"));
  await hands.fill(addresses(page), "203.0.113.0/24\n2001:db8::/32");
  await hands.fill(page.getByLabel("Name of note 1"), "team");
  await hands.fill(page.getByLabel("Value of note 1"), "physics");
  await hands.click(button(page, "Create key"));

  const key = await shownKey(page);
  assert.equal((await daemon.chat(key, { address: "203.0.113.7" })).status, 200);
  assert.equal((await daemon.chat(key, { address: "2001:db8::1" })).status, 200);
  assert.equal((await daemon.chat(key, { address: "203.0.114.7" })).status, 403, "another network");
  assert.equal((await daemon.call(key, "/files", { address: "203.0.113.7" })).status, 403, "a scope that it has not");
  const made = await daemon.keyNamed(name);
  assert.deepEqual(made.metadata, { team: "physics" });
  const days = (Date.parse(made.expires_at) - Date.now()) / 86_400_000;
  assert.ok(days > 29.9 && days <= 30, made.expires_at);

  await hands.click(page.getByRole("link", { name: "Go to the key" }));
  await page.getByRole("heading", { level: 1, name }).waitFor();
});

site.flow("what was typed into a form with a mistake is kept, and the mistake is told first", async (profile, hands, way) => {
  const { page } = profile;
  profile.allowStatus(422);
  const name = `mistaken ${way}`;
  await profile.go("/keys/new");
  await hands.fill(nameField(page), name);
  await hands.choose(page.getByLabel("Plan"), "free");
  await hands.click(page.locator("summary"));
  await hands.fill(addresses(page), "10.0.0.0/8\nnowhere");
  await hands.fill(page.getByLabel("Value of note 1"), "a <b>\nsecond line");
  await hands.fill(page.getByLabel("Name of note 1"), "note");
  await hands.click(button(page, "Create key"));

  const summary = page.getByRole("alert").filter({ hasText: "Nothing was saved." });
  await summary.getByText("nowhere").waitFor();
  assert.ok(await summary.evaluate((element) => element === document.activeElement), "the focus is on what is wrong");
  assert.equal(await daemon.keyNamed(name), undefined);
  assert.equal(await nameField(page).inputValue(), name);
  assert.equal(await page.getByLabel("Plan").inputValue(), "free");
  assert.equal(await addresses(page).inputValue(), "10.0.0.0/8\nnowhere");
  assert.equal(await page.getByLabel("Value of note 1").inputValue(), "a <b>\nsecond line");
  const wrong = addresses(page);
  assert.equal(await wrong.getAttribute("aria-invalid"), "true");
  assert.match(await wrong.getAttribute("aria-describedby"), /allowed_ips-error/);

  // The link in the summary leads to the field.
  await hands.click(summary.getByRole("link"));
  assert.ok(await wrong.evaluate((element) => element.matches(":target")));
  await hands.fill(wrong, "10.0.0.0/8");
  await hands.click(button(page, "Create key"));
  await shownKey(page);
  assert.deepEqual((await daemon.keyNamed(name)).metadata, { note: "a <b>\nsecond line" });
});

site.test("an own end is in the reader's zone, and typing it chooses it", async (profile) => {
  const { page } = profile;
  await profile.go("/keys/new");
  await nameField(page).fill("ends in Kolkata");
  await page.getByLabel(/^Expires at/).fill("2098-02-03T04:05");
  assert.equal(await page.getByLabel("Expires", { exact: true }).inputValue(), "at");
  await button(page, "Create key").click();
  await shownKey(page);
  assert.equal((await daemon.keyNamed("ends in Kolkata")).expires_at, "2098-02-02T22:35:00Z");
}, { profile: { timezoneId: "Asia/Kolkata" } });

site.test("the buttons copy the key and the command, and say so", async (profile) => {
  const { page } = profile;
  await profile.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: daemon.site });
  await profile.go("/keys/new");
  await nameField(page).fill("copied");
  await button(page, "Create key").click();
  const key = await shownKey(page);
  const held = () => page.evaluate(() => navigator.clipboard.readText());
  await button(page, "Copy key").click();
  await page.getByRole("status").getByText("Copied").waitFor();
  assert.equal(await held(), key);
  await button(page, "Copy command").click();
  await page.getByRole("status").getByText("Copied").nth(1).waitFor();
  assert.match(await held(), new RegExp(`^curl ${daemon.url}/v1/chat/completions [^]*${key}`));
});

site.test("a new key is seen once: not by going back, forward or again, nor anywhere else", async (profile) => {
  const { page } = profile;
  const urls = [];
  page.on("framenavigated", (frame) => urls.push(frame.url()));
  const answers = [];
  page.on("response", (response) => answers.push(response));

  await profile.go("/keys/new");
  await nameField(page).fill("seen once");
  await button(page, "Create key").click();
  const key = await shownKey(page);
  const shownAt = page.url();
  const hasIt = async () => (await page.content()).includes(key);

  await page.getByRole("link", { name: "Go to the key" }).click();
  await page.getByRole("heading", { level: 1, name: "seen once" }).waitFor();
  assert.equal(await hasIt(), false, "the next page");
  await page.goBack();
  assert.equal(await hasIt(), false, "back");
  await page.goForward();
  assert.equal(await hasIt(), false, "forward");
  await page.goto(shownAt);
  await page.getByText("This key was shown already.").waitFor();
  assert.equal(await hasIt(), false, "once more");
  await page.reload();
  assert.equal(await hasIt(), false, "again");
  for (const path of ["/", "/keys", "/keys/new", "/keys?search=seen", `${new URL(shownAt).pathname.replace("/issued", "")}`]) {
    await profile.go(path);
    assert.equal(await hasIt(), false, path);
  }

  assert.ok(urls.length > 5 && urls.every((url) => !url.includes(key)), "no address has it");
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!stored.includes(key));
  assert.equal(await page.evaluate(async () => (await caches.keys()).length), 0);
  for (const answer of answers) {
    const path = new URL(answer.url()).pathname;
    if (!path.startsWith("/assets/")) assert.equal(answer.headers()["cache-control"], "no-store", path);
  }

  assert.equal((await daemon.chat(key)).status, 200);
  await daemon.halt();
  const files = readdirSync(daemon.folder, { withFileTypes: true, recursive: true }).filter((file) => file.isFile());
  const holding = files.map((file) => `${file.path ?? file.parentPath}/${file.name}`)
    .filter((file) => readFileSync(file).includes(key));
  assert.ok(files.some((file) => file.name === "mcpd.db") && daemon.log().includes("signed in to the dashboard"));
  assert.deepEqual(holding, [], "neither the database nor the log at its most talkative has it");
  await daemon.run();
});

site.test("a page with a key that is left is not kept to come back to", async (profile) => {
  const { page } = profile;
  await profile.go("/keys/new");
  await nameField(page).fill("left");
  await button(page, "Create key").click();
  const key = await shownKey(page);
  await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
  assert.ok(!(await page.content()).includes(key));
});
