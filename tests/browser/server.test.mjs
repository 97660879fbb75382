// The server, what was used, and what clients have stored.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { keepSomething } from "./life.mjs";
import { stage } from "./stage.mjs";

const site = await stage();
const { daemon } = site;

const heading = (page, name) => page.getByRole("heading", { level: 1, name, exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const place = (page, name) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name });

site.flow("each place is reached from the navigation, which says where one is", async (profile, hands) => {
  const { page } = profile;
  const names = (await page.getByRole("navigation", { name: "Main" }).getByRole("link").allTextContents())
    .map((name) => name.replace(/\s*\d*$/, "").trim());
  assert.ok(names.length >= 6);
  for (const name of names) {
    await hands.click(place(page, name));
    await heading(page, name).waitFor();
    assert.equal(await place(page, name).getAttribute("aria-current"), "page");
  }
});

site.test("the first thing that the Tab key gets to skips the navigation", async (profile) => {
  const { page } = profile;
  await profile.go("/server");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the page");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate(() => Boolean(document.activeElement.closest("main"))));
});

site.flow("usage is looked at over other times and by other parts, and proved", async (profile, hands) => {
  const { page } = profile;
  const key = await daemon.makeKey({ name: "used" });
  await daemon.chat(key.key);
  await hands.click(place(page, "Usage"));
  await hands.click(page.locator('nav a[href*="range=week"]'));
  await page.waitForURL(/range=week/);
  await hands.click(page.getByRole("link", { name: "By model" }));
  await page.waitForURL(/range=week.*by=model/);
  assert.ok((await page.locator("#part-rows th bdi").allTextContents()).includes("echo"));
  await hands.click(button(page, "Prove that it adds up"));
  await heading(page, "Does usage add up?").waitFor();
  await page.getByText("It does: whichever way it is summed up").waitFor();
});

site.flow("a backup is downloaded, and is a database", async (profile, hands) => {
  const { page } = profile;
  await hands.click(place(page, "Server"));
  const [download] = await Promise.all([page.waitForEvent("download"), hands.click(button(page, "Download a backup"))]);
  assert.match(download.suggestedFilename(), /^mcpd-.*\.db/);
  assert.match(readFileSync(await download.path()).subarray(0, 16).toString(), /^SQLite format 3/);
  assert.equal(profile.path, "/server");
});

for (const [kind, list, other] of [["file", "Files", "context"], ["context", "Contexts", "file"]]) {
  site.flow(`a ${kind} is deleted once that was confirmed`, async (profile, hands, way) => {
    const { page } = profile;
    const key = await daemon.makeKey({ name: `keeper ${way}` });
    const stored = await keepSomething(daemon, key.key);
    const { id } = stored[kind];
    await hands.click(place(page, list));
    await hands.click(page.locator(`a[href="/${kind}s/${id}/delete"]`));
    await heading(page, `Delete this ${kind}?`).waitFor();
    await hands.click(page.getByRole("link", { name: "Cancel" }));
    await heading(page, list).waitFor();
    assert.equal((await daemon.call(key.key, `/${kind}s/${id}`)).status, 200, "nothing was done yet");

    await hands.click(page.locator(`a[href="/${kind}s/${id}/delete"]`));
    await hands.click(button(page, `Delete ${kind}`));
    await page.getByRole("status").waitFor();
    assert.equal((await daemon.call(key.key, `/${kind}s/${id}`)).status, 404);
    assert.equal((await daemon.call(key.key, `/${other}s/${stored[other].id}`)).status, 200, "nothing else went");
  });
}
