// Names and notes that look like HTML, run from right to left, or have no end: shown as they were typed.

import assert from "node:assert/strict";
import { keepSomething, NAMES } from "./life.mjs";
import { NARROW } from "./look.mjs";
import { stage } from "./stage.mjs";

const site = await stage();
const { daemon } = site;
const keeper = await daemon.makeKey({ name: "keeper" });

const note = (name) => name.slice(0, 64);

/** Where a key's name stands, but for pages that only its link leads to. */
const places = ({ id }) => ["", "/edit", "/usage", "/advice", "/rotate", "/revoke", "/delete"].map((page) => `/keys/${id}${page}`);

for (const [sort, name] of Object.entries(NAMES)) {
  site.test(`${sort} in names and notes is shown as it was typed, and fits a telephone`, async (profile) => {
    const { page } = profile;
    await profile.go("/keys/new");
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.locator("summary").click();
    await page.getByLabel("Name of note 1").fill(note(name));
    await page.getByLabel("Value of note 1").fill(`${name}\n${name}`);
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByRole("heading", { name: "Copy the key now" }).waitFor();
    const key = await daemon.keyNamed(name);
    assert.deepEqual(key.metadata, { [note(name)]: `${name}\n${name}` });
    await keepSomething(daemon, keeper.key, name);

    for (const path of [...places(key), "/keys", "/files", "/contexts", "/audit", `/usage?key=${key.id}`, "/"]) {
      await profile.go(path);
      if (path !== "/audit" && path !== "/" && path !== "/files") await assertShown(page, name, path);
      await assertFits(page, path);
    }

    await profile.go(`/keys/${key.id}`);
    const notes = page.locator("dl.facts").filter({ has: page.locator("dt bdi") });
    assert.equal(await notes.locator("dt bdi").textContent(), note(name));
    assert.equal(await notes.locator("dd bdi").textContent(), `${name}\n${name}`);

    await profile.go(`/keys/${key.id}/edit`);
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), name);
    assert.equal(await page.getByLabel("Value of note 1").inputValue(), `${name}\n${name}`);
    await page.getByRole("button", { name: "Save" }).click();
    assert.deepEqual((await daemon.admin("GET", `/keys/${key.id}`)).metadata, key.metadata);
  }, { profile: { viewport: NARROW } });
}

/** The name stands on the page as typed, apart from what is around it. */
async function assertShown(page, name, path) {
  const shown = await page.locator("bdi, input").evaluateAll((found, wanted) =>
    found.some((one) => (one.value ?? one.textContent) === wanted), name);
  assert.ok(shown, `${path} has no ${name}`);
  const made = await page.locator("b[onmouseover], script:not([src])").count();
  assert.equal(made, 0, `${path} took a name for HTML`);
}

async function assertFits(page, path) {
  const wide = await page.evaluate(() => (document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > innerWidth)
      .slice(0, 3).map((one) => one.outerHTML.slice(0, 200))));
  assert.deepEqual(wide, [], `${path} is wider than the screen`);
}
