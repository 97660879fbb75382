// What a page does beyond HTML: it copies, it tells times in the reader's zone, and it refreshes figures.
"use strict";

// ---- times

// As the server writes them: 3 Oct 2026, 07:05.
const thisYear = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

// A reader who chose a zone is told times in that, by the server.
const isChosen = document.cookie.split("; ").includes("mcpd-zone-chosen=1");

function localise(root) {
  if (isChosen) return;
  for (const time of root.querySelectorAll("time[data-at]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const isThisYear = at.getFullYear() === new Date().getFullYear();
    const form = isThisYear ? thisYear : { ...thisYear, year: "numeric" };
    time.textContent = new Intl.DateTimeFormat("en-GB", form).format(at);
  }
}

// Days and hours are summed up by the server, in the zone that it is told of. The next page is in it.
function tellZone() {
  if (!isChosen) document.cookie = `mcpd-zone=${offsetAt(new Date())}; path=/; max-age=31536000; samesite=strict`;
}

// Returns how far the reader's clock is from UTC at a point in time, which is not the same all year.
function offsetAt(time) {
  const minutes = -time.getTimezoneOffset();
  const pad = (number) => String(number).padStart(2, "0");
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

// ---- copying

function offerCopies(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      const status = document.getElementById(button.dataset.says);
      let said = "Copied";
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        said = "Could not copy: select the text instead";
      }
      if (status) status.textContent = said;
    });
  }
}

// A key is on the page once: not when the reader comes back to it.
window.addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-secret]")) secret.textContent = "";
});

// ---- a field that belongs to one of several choices chooses it

for (const field of document.querySelectorAll("[data-chooses]")) {
  const offset = document.getElementById(field.dataset.offset);
  field.addEventListener("input", () => {
    document.getElementById(field.dataset.chooses).value = "at";
    const time = new Date(field.value);
    if (!isChosen && !Number.isNaN(time.getTime())) offset.value = offsetAt(time);
  });
}

// ---- fresh figures

const EVERY = 5000;

// Replaces what is marked as live by what the server has for it now. All else stays, above all what is being typed.
// Returns whether there is more to come.
async function refresh() {
  if (document.hidden) return true;
  const headers = { "X-Refresh": "1", "Accept": "text/html" };
  const answer = await fetch(location.href, { headers, redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect") {
    tellSignedOut();
    return false;
  }
  if (!answer.ok) return true;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || part.contains(document.activeElement)) continue;
    // Nor what is being read: marked, or scrolled to.
    const selection = getSelection();
    if (!selection.isCollapsed && selection.containsNode(part, true)) continue;
    const open = new Set([...part.querySelectorAll("details[open]")].map(nameOf));
    for (const details of next.querySelectorAll("details")) details.open = open.has(nameOf(details));
    localise(next);
    if (part.innerHTML === next.innerHTML) continue;
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
    part.replaceChildren(...next.childNodes);
    [...part.querySelectorAll(".scroll")].forEach((box, at) => { [box.scrollLeft, box.scrollTop] = scrolled[at] ?? [0, 0]; });
    offerCopies(part);
  }
  return true;
}

// Tells details from others: by what they stand in, and what is written on them.
function nameOf(details) {
  const row = details.closest("[data-row], figure, section");
  return `${row?.dataset.row ?? row?.getAttribute("aria-labelledby") ?? ""} ${details.querySelector("summary").textContent}`;
}

// What stands on the page stays, for somebody may be reading it or typing. But it must not pass for what is going on.
function tellSignedOut() {
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "Sign in again";
  tell("You were signed out: these figures are no longer fresh. ", link, ".");
}

function tell(...words) {
  const notice = document.createElement("p");
  notice.className = "notice warn";
  notice.setAttribute("role", "alert");
  notice.append(...words);
  document.querySelector("main").prepend(notice);
  return notice;
}

function keepFresh() {
  if (!document.querySelector("[data-live]")) return;
  let failed = 0, notice;
  const tick = async () => {
    try {
      if (!(await refresh())) return;
      failed = 0;
      notice?.remove();
      notice = undefined;
    } catch {
      failed += 1;
      if (failed === 3) notice = tell("mcpd does not answer: these figures are no longer fresh.");
    }
    // A server that is gone is asked ever more seldom.
    setTimeout(tick, EVERY * Math.min(2 ** failed, 32));
  };
  setTimeout(tick, EVERY);
}

tellZone();
localise(document);
offerCopies(document);
keepFresh();
