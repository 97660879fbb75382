// A browser that nothing escapes: what a page says to its console, loads, or may not do fails the test.

import { chromium } from "playwright-core";

const AS_ROOT = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // The rest keeps it from asking for anything of its own.
    args: [...AS_ROOT, "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** A browser's profile, gone with the test, and what was wrong in it. */
export class Profile {
  static async open(browser, site, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(8_000);
    return new Profile(context, site).watch();
  }

  constructor(context, site) {
    Object.assign(this, { context, site, wrong: [], allowed: [] });
  }

  async watch() {
    const { context } = this;
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) =>
        console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
    context.on("console", (message) => this.note(`console ${message.type()}: ${message.text()}`));
    context.on("weberror", (error) => this.note(`error: ${error.error().message}`));
    context.on("dialog", (dialog) => {
      this.note(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (url.origin !== this.site && url.protocol !== "data:") this.note(`a request to ${url.origin}`);
    });
    context.on("requestfailed", (request) => {
      const { errorText } = request.failure();
      // A page that is left gives up what it was asking for, and a download is no page.
      if (errorText !== "net::ERR_ABORTED") this.note(`${request.method()} ${request.url()} failed: ${errorText}`);
    });
    context.on("response", (response) => {
      if (response.status() >= 500) this.note(`${response.url()} answered ${response.status()}`);
    });
    this.page = await context.newPage();
    return this;
  }

  note(what) { this.wrong.push(what); }

  /** What is wrong on purpose, such as the browser's own note that an answer was a 422. */
  allow(pattern) { this.allowed.push(pattern); }

  allowStatus(status) { this.allow(new RegExp(`the server responded with a status of ${status}`)); }

  /** Fails if anything was wrong. */
  async close() {
    await this.context.close();
    const wrong = this.wrong.filter((what) => !this.allowed.some((pattern) => pattern.test(what)));
    if (wrong.length > 0) throw new Error(`in the browser:\n${wrong.join("\n")}`);
  }

  go(path) { return this.page.goto(this.site + path); }

  get path() { return this.page.url().slice(this.site.length); }

  /** Signs in by a link, as `mcpd dashboard` prints one. */
  async signIn(daemon) {
    const link = await daemon.admin("POST", "/sign-in-links", {});
    await this.page.goto(link.url);
    if (this.path !== "/") throw new Error(`signed in at ${this.path}`);
  }
}
