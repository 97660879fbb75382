// What every test file here plays on: an mcpd of its own and one Chromium.

import { after, test } from "node:test";
import { launch, Profile } from "./browser.mjs";
import { Daemon } from "./daemon.mjs";
import { Keyboard, Mouse } from "./hands.mjs";

const WAYS = [
  ["by mouse", Mouse, {}],
  ["by keyboard", Keyboard, {}],
  ["without JavaScript", Mouse, { javaScriptEnabled: false }],
];

/** Puts up the stage of a test file. */
export async function stage(config) {
  const [daemon, browser] = await Promise.all([Daemon.start(config), launch()]);
  after(async () => {
    await browser.close();
    await daemon.stop();
  });
  return new Stage(daemon, browser);
}

class Stage {
  constructor(daemon, browser) { Object.assign(this, { daemon, browser }); }

  /** Opens a profile that is signed in. */
  async signedIn(options) {
    const profile = await Profile.open(this.browser, this.daemon.site, options);
    await profile.signIn(this.daemon);
    return profile;
  }

  /** A test in a profile of its own that is signed in. */
  test(name, play, options = {}) {
    test(name, async (t) => {
      const profile = await Profile.open(this.browser, this.daemon.site, options.profile);
      try {
        if (!options.isStranger) await profile.signIn(this.daemon);
        await play(profile, t);
      } catch (error) {
        // What the browser says may be why.
        await profile.close().catch((also) => { error.message += `\n${also.message}`; });
        throw error;
      }
      await profile.close();
    });
  }

  /** The same test by mouse, by keyboard alone, and without JavaScript. `way` makes names that do not collide. */
  flow(name, play, options = {}) {
    for (const [way, Hands, profile] of WAYS) {
      this.test(`${name}, ${way}`, (opened) => play(opened, new Hands(opened.page), way),
        { ...options, profile: { ...options.profile, ...profile } });
    }
  }
}
