// Two ways to use a page: with a mouse, and with a keyboard alone.

import assert from "node:assert/strict";

/** Points at things. */
export class Mouse {
  constructor(page) { this.page = page; }

  click(target) { return target.click(); }
  fill(target, text) { return target.fill(text); }
  choose(target, value) { return target.selectOption(value); }
  tick(target) { return target.click(); }
}

const MOST_STOPS = 150;

/**
 * Walks from where it is to what it wants, with Tab or Shift-Tab. At each stop the focus must be seen, and must be
 * further on in reading order than the stop before.
 */
export class Keyboard {
  constructor(page) { this.page = page; }

  async click(target) {
    await this.reach(target);
    await this.page.keyboard.press("Enter");
  }

  async fill(target, text) {
    await this.reach(target);
    await this.page.keyboard.press("Control+a");
    if (text) await this.page.keyboard.type(text);
    else await this.page.keyboard.press("Delete");
  }

  async choose(target, value) {
    await this.reach(target);
    await this.page.keyboard.press("Home");
    for (let step = 0; (await target.inputValue()) !== value; step += 1) {
      assert.ok(step < 100, `the arrow keys do not get to ${value}`);
      await this.page.keyboard.press("ArrowDown");
    }
  }

  async tick(target) {
    await this.reach(target);
    await this.page.keyboard.press("Space");
  }

  async reach(target) {
    await target.waitFor();
    const isBehind = await target.evaluate((element) => {
      const { activeElement } = document;
      if (!activeElement || activeElement === document.body) return false;
      return Boolean(element.compareDocumentPosition(activeElement) & Node.DOCUMENT_POSITION_FOLLOWING);
    });
    const key = isBehind ? "Shift+Tab" : "Tab";
    const handle = await target.elementHandle();
    for (let stops = 0; ; stops += 1) {
      const { isThere, wrong } = await this.page.evaluate(lookAtFocus, { target: handle, isBehind, isFirst: stops === 0 });
      assert.equal(wrong, null, `after ${key} on the way to ${target}, on ${this.page.url()}`);
      if (isThere) return;
      assert.ok(stops < MOST_STOPS, `${key} does not get to ${target}`);
      await this.page.keyboard.press(key);
    }
  }
}

/** Runs in the page: tells whether the focus is on the target, and what is wrong with where it is. */
function lookAtFocus({ target, isBehind, isFirst }) {
  const element = document.activeElement;
  const before = isFirst ? null : window.lastStop;
  window.lastStop = element;
  const isThere = element === target;
  // Between the last thing of a page and the first there is nothing.
  if (!element || element === document.body) return { isThere, wrong: null };
  const tell = (wrong) => ({ isThere, wrong: `${wrong}: ${element.outerHTML.slice(0, 150)}` });
  if (before && before !== document.body && before !== element && before.isConnected) {
    const follows = Boolean(before.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
    if (follows === isBehind) return tell("out of reading order");
  }
  const box = element.getBoundingClientRect();
  const isSeen = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  if (!isSeen && (isThere || !isFirst)) return tell("out of sight");
  const style = getComputedStyle(element);
  const isOutlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  // Where the focus was before any key was pressed it may be on a heading or a message, and nothing is around that.
  if (!isOutlined && (isThere || !isFirst)) return tell("the focus is not seen");
  return { isThere, wrong: null };
}
