// What holds for every page.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 360, height: 740 };

/** The profile for `lookAt`: axe is a script of ours, which the pages' policy would not let run. */
export const LOOKING = { bypassCSP: true };

/** Returns all that is wrong with the page as it is shown: wide and narrow, light and dark. */
export async function lookAt(page) {
  const wrong = [];
  await page.evaluate(AXE);
  for (const [size, viewport] of [["wide", WIDE], ["narrow", NARROW]]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      // What is where, and what it is called, does not depend on the colours.
      const rules = colorScheme === "light" ? { type: "tag", values: TAGS } : { type: "rule", values: ["color-contrast"] };
      const found = await page.evaluate(axeFinds, rules);
      wrong.push(...found.map((one) => `${size}, ${colorScheme}: ${one}`));
    }
    wrong.push(...(await page.evaluate(looksWrong)).map((one) => `${size}: ${one}`));
  }
  return wrong;
}

async function axeFinds(runOnly) {
  const { violations } = await window.axe.run(document, { runOnly, resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) =>
    `axe ${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} (${node.failureSummary})`).join("; ")}`);
}

/** Runs in the page, at the size that it has. */
function looksWrong() {
  const wrong = [];
  const root = document.documentElement;
  if (root.lang !== "en") wrong.push(`its language is "${root.lang}"`);
  if (!/^\S.* · mcpd$/.test(document.title)) wrong.push(`its title is "${document.title}"`);
  const heads = document.querySelectorAll("h1").length;
  if (heads !== 1) wrong.push(`it has ${heads} h1`);
  const inline = document.querySelectorAll("[style], style, script:not([src])").length;
  if (inline > 0) wrong.push("it has styles or scripts in it");
  if (root.scrollWidth > innerWidth) {
    const isWide = (element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll");
    const wide = [...document.querySelectorAll("body *")].filter(isWide).slice(0, 3);
    wrong.push(`it is ${root.scrollWidth} px wide: ${wide.map((element) => element.outerHTML.slice(0, 120)).join("; ")}`);
  }
  return wrong;
}
