// Signing in and out.

import assert from "node:assert/strict";
import { stage } from "./stage.mjs";

const site = await stage();
const { daemon } = site;

async function enter(profile, hands, token) {
  const { page } = profile;
  await hands.fill(page.getByLabel("Admin token"), token);
  await hands.click(page.getByRole("button", { name: "Sign in" }));
}

site.flow("the admin token signs in, and one can sign out", async (profile, hands) => {
  const { page } = profile;
  await profile.go("/");
  assert.equal(profile.path, "/sign-in");
  await enter(profile, hands, daemon.token);
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  assert.equal(profile.path, "/");

  await hands.click(page.getByRole("button", { name: "Sign out" }));
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  await profile.go("/keys");
  assert.equal(profile.path, "/sign-in?next=%2Fkeys");
}, { isStranger: true });

site.flow("a wrong token is told after a while, and the right one works then", async (profile, hands) => {
  const { page } = profile;
  profile.allowStatus(401);
  await profile.go("/sign-in");
  const start = performance.now();
  await enter(profile, hands, "mcp_admin_wrong");
  await page.getByRole("alert").getByText("This is not the admin token.").waitFor();
  assert.ok(performance.now() - start > 900, "guesses are slow");
  assert.equal(await page.getByLabel("Admin token").inputValue(), "", "a token is not sent back");
  assert.ok(!(await page.content()).includes("mcp_admin_wrong"));

  await enter(profile, hands, daemon.token);
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}, { isStranger: true });

site.flow("a link signs in once", async (profile, hands) => {
  const { page } = profile;
  profile.allowStatus(401);
  const url = (await daemon.command("dashboard")).trim();
  await page.goto(url);
  assert.equal(profile.path, "/", "the link's secret does not stay in the address");
  await hands.click(page.getByRole("button", { name: "Sign out" }));
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();

  await page.goto(url);
  await page.getByRole("alert").getByText("This link was used already").waitFor();
  await profile.go("/");
  assert.equal(profile.path, "/sign-in");
}, { isStranger: true });

site.flow("who was signed out by a restart comes back to where they were", async (profile, hands) => {
  const { page } = profile;
  await profile.go("/keys?search=alice");
  await page.context().clearCookies({ name: /session/ });
  await hands.click(page.getByRole("button", { name: "Show" }));
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  await enter(profile, hands, daemon.token);
  await page.getByRole("heading", { level: 1, name: "API keys" }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("search"), "alice");
});

site.test("a form that is sent after the session's end changes nothing", async (profile) => {
  const { page } = profile;
  await profile.go("/keys/new");
  await page.getByLabel("Name", { exact: true }).fill("too late");
  await page.context().clearCookies({ name: /session/ });
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  assert.equal(await daemon.keyNamed("too late"), undefined);
});

// The last: nobody can sign in for a minute after it.
site.test("many wrong tokens keep the right one out for a while", async (profile) => {
  const { page } = profile;
  profile.allowStatus("(401|429)");
  const guess = () => fetch(`${daemon.site}/sign-in`, { method: "POST", body: new URLSearchParams({ token: "wrong" }) });
  await Promise.all(Array.from({ length: 12 }, guess));
  await profile.go("/sign-in");
  await page.getByLabel("Admin token").fill(daemon.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText(/too many wrong tokens. Try again in \d+ s/).waitFor();
}, { isStranger: true });
