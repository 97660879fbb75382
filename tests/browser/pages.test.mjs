// What holds for every page: each is looked at that a link leads to.

import assert from "node:assert/strict";
import { test } from "node:test";
import { live } from "./life.mjs";
import { LOOKING, lookAt } from "./look.mjs";
import { stage } from "./stage.mjs";

const site = await stage();
const keys = await live(site.daemon);

/** What is looked at once: a page's path without ids, and the names of its parameters, with the tab that is open. */
function sortOf(url) {
  const path = url.pathname.replaceAll(/\/[a-z]+_[A-Za-z0-9]{20,}/g, "/{id}");
  const parameters = [...url.searchParams].map(([name, value]) => (["range", "by", "status"].includes(name) ? `${name}=${value}` : name));
  return `${path}?${parameters.sort().join("&")}`;
}

/** Returns the paths of all pages that links lead to from these, one of each sort. */
async function findPages(request, starts) {
  const sorts = new Set(), pages = [], waiting = [...starts], wrong = [];
  while (waiting.length > 0) {
    const path = waiting.shift();
    const answer = await request.get(site.daemon.site + path);
    if (answer.status() !== 200) wrong.push(`${path} is linked to and answers ${answer.status()}`);
    if (!answer.headers()["content-type"]?.startsWith("text/html")) continue;
    if (answer.headers()["cache-control"] !== "no-store") wrong.push(`${path} may be cached`);
    pages.push(path);
    assert.ok(pages.length < 300, "there is no end to the pages");
    for (const [, href] of (await answer.text()).matchAll(/<a [^>]*?href="([^"#]+)"/g)) {
      const url = new URL(href.replaceAll("&amp;", "&"), site.daemon.site);
      assert.equal(url.origin, site.daemon.site, `${path} leads to ${href}`);
      const sort = sortOf(url);
      if (starts.includes(url.pathname) || sorts.has(sort)) continue;
      sorts.add(sort);
      waiting.push(url.pathname + url.search);
    }
  }
  return { pages, wrong };
}

const explorer = await site.signedIn();
const special = ["HTML", "plain", "trial", "revoked", "disabled", "old", "new"].map((sort) => `/keys/${keys[sort].id}`);
const { pages, wrong: broken } = await findPages(explorer.context.request, ["/", ...special]);
await explorer.close();

/** Fails with all that is wrong, a line each. */
function assertRight(wrong) { assert.ok(wrong.length === 0, wrong.join("\n")); }

test("every link leads to a page, and no page is kept by the browser", () => assertRight(broken));

site.test("every page is in order: accessible, in its width, with a title and one heading", async (profile) => {
  const wrong = [];
  for (const path of pages) {
    await profile.go(path);
    wrong.push(...(await lookAt(profile.page)).map((one) => `${path} ${one}`));
  }
  assertRight(wrong);
}, { profile: LOOKING });

site.test("every page keeps to its policy, and nothing of it is said to the console", async (profile) => {
  for (const path of pages) {
    const answer = await profile.go(path);
    assert.match(answer.headers()["content-security-policy"], /^default-src 'none'; style-src 'self'; script-src 'self';/);
    profile.wrong.push(...profile.wrong.splice(0).map((what) => what.startsWith("/") ? what : `${path} ${what}`));
  }
});

site.test("without JavaScript nothing of a page is missing but buttons that copy", async (profile) => {
  const scripted = await site.signedIn();
  const text = () => [...document.querySelectorAll("main *, nav *")]
    .filter((element) => !element.closest("[data-copy], time, svg") && element.getClientRects().length > 0)
    .map((element) => element.tagName).join(" ");
  for (const path of pages) {
    await Promise.all([profile.go(path), scripted.go(path)]);
    assert.equal(await profile.page.locator("[data-copy]:visible").count(), 0, path);
    assert.equal(await profile.page.evaluate(text), await scripted.page.evaluate(text), path);
  }
  await scripted.close();
}, { profile: { javaScriptEnabled: false } });

/** Pages that no link leads to, as a form or a mistake does: what they are, and how one gets there. */
const OTHERS = {
  "a new key": async ({ page }) => {
    await page.goto(`${site.daemon.site}/keys/new`);
    await page.getByLabel("Name", { exact: true }).fill("looked at");
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByRole("heading", { name: /Copy the key now/ }).waitFor();
  },
  "a key that was shown already": (profile) => profile.page.reload(),
  "a form with a mistake": async ({ page }) => {
    await page.goto(`${site.daemon.site}/keys/new`);
    await page.locator("summary").click();
    await page.getByLabel("Name", { exact: true }).fill("mistaken");
    await page.getByRole("textbox", { name: "Allowed addresses" }).fill("nowhere");
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByText("Nothing was saved.").waitFor();
  },
  "a rule with a mistake": async ({ page }) => {
    await page.goto(`${site.daemon.site}/alerts/rules/new?kind=error_rate`);
    await page.locator("#window").fill("a while");
    await page.getByRole("button", { name: "Create rule" }).click();
    await page.getByText("Nothing was saved.").waitFor();
  },
  "a key that is not to be revoked yet": async ({ page }) => {
    await page.goto(`${site.daemon.site}/keys/${keys.plain.id}/revoke`);
    await page.getByLabel("Type its name, or its id").fill("another");
    await page.getByRole("button", { name: "Revoke the key" }).click();
    await page.getByText("Nothing was done.").waitFor();
  },
  "an explanation": async ({ page }) => {
    await page.goto(`${site.daemon.site}/explain`);
    await page.locator("#key_id").fill(keys.plain.id);
    await page.getByRole("button", { name: "Explain" }).first().click();
    await page.locator(".steps").waitFor();
  },
  "usage that was proved": async ({ page }) => {
    await page.goto(`${site.daemon.site}/usage`);
    await page.getByRole("button", { name: "Prove that it adds up" }).click();
    await page.getByRole("heading", { name: "Does usage add up?" }).waitFor();
  },
  "an audit log that was proved": async ({ page }) => {
    await page.goto(`${site.daemon.site}/audit`);
    await page.getByRole("button", { name: "Verify the log" }).click();
    await page.getByRole("heading", { name: "Is the log whole?" }).waitFor();
  },
  "a notice of what was done": async ({ page }) => {
    await page.goto(`${site.daemon.site}/zone`);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("status").first().waitFor();
  },
  "no such page": (profile) => profile.go("/nothing-here"),
  "no such key": (profile) => profile.go("/keys/key_000000000000000000000000"),
  "a list without a match": (profile) => profile.go("/keys?search=nobody+is+called+that"),
  "signing in": async (profile) => {
    await profile.context.clearCookies({ name: /session/ });
    await profile.go("/sign-in");
  },
  "a wrong token": async ({ page }) => {
    await page.getByLabel("Admin token").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This is not the admin token.").waitFor();
  },
};

site.test("so is every page that no link leads to", async (profile) => {
  profile.allowStatus("(401|404|422)");
  const wrong = [];
  for (const [what, reach] of Object.entries(OTHERS)) {
    await reach(profile);
    wrong.push(...(await lookAt(profile.page)).map((one) => `${what}: ${one}`));
  }
  assertRight(wrong);
}, { profile: LOOKING });
