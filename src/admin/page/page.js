// Keeps the status page as it is on the server: an event says that something changed, the page is
// asked for again, and what differs is changed in place. So focus, scroll position, what is typed,
// chosen and unfolded stay as they are. Everything works without this script but that.
"use strict";

const PATIENCE = 10000;
const live = document.getElementById("live");
const news = document.getElementById("news");
let source = null;
let again = 0;
let asking = false;
let missed = false;
let told = null;

/** Makes the node what the other is; only nodes without an id may come to mean something else. */
function morph(node, other) {
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (node.data !== other.data) node.data = other.data;
    return;
  }
  for (const { name, value } of other.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  for (const name of node.getAttributeNames()) {
    // Whoever looks at the page has unfolded the one and uncovered the other.
    if (!other.hasAttribute(name) && name !== "open") node.removeAttribute(name);
  }
  const wanted = new Set(Array.from(other.childNodes, (child) => child.id).filter(Boolean));
  for (const child of Array.from(node.childNodes)) {
    if (child.id && !wanted.has(child.id)) child.remove();
  }
  let at = node.firstChild;
  for (const child of Array.from(other.childNodes)) {
    if (at && isSame(at, child)) {
      morph(at, child);
      at = at.nextSibling;
      continue;
    }
    const known = child.id && document.getElementById(child.id);
    if (known && known.parentNode === node && isSame(known, child)) {
      // What is moved loses the focus, so what is in between goes instead.
      while (at && at !== known && !at.id) {
        const next = at.nextSibling;
        at.remove();
        at = next;
      }
      if (at === known) at = at.nextSibling;
      else node.insertBefore(known, at);
      morph(known, child);
    } else if (at && !at.id && !child.id) {
      const next = at.nextSibling;
      at.replaceWith(document.importNode(child, true));
      at = next;
    } else {
      node.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function isSame(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

/** Asks for the page and shows it; once more when something changed meanwhile. */
async function refresh() {
  if (asking) {
    missed = true;
    return;
  }
  asking = true;
  try {
    do {
      missed = false;
      const response = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!response.ok) throw new Error(response.status);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      morph(document.getElementById("main"), page.getElementById("main"));
      morph(document.getElementById("at"), page.getElementById("at"));
      document.title = page.title;
      offerEvery();
      setLost(false);
    } while (missed);
  } catch {
    setLost(true);
  } finally {
    asking = false;
  }
}

function setLost(isLost) {
  live.classList.toggle("lost", isLost);
  const note = document.getElementById("lost");
  if (isLost && !note) {
    const text = document.createElement("span");
    text.id = "lost";
    text.textContent = ": the daemon does not answer";
    live.append(text);
    say("The daemon does not answer.");
  } else if (!isLost && note) {
    note.remove();
    say("The daemon answers again.");
  }
}

/** Tells screen readers. */
function say(text) {
  news.textContent = text;
}

/** Tells what changed, but not that a poll found what was known. */
function tell(change) {
  const words = `Generation ${change.generation ?? "none"}, ${change.errors} errors, ${change.warnings} warnings, ` +
    `${change.holds} held removals.`;
  if (told !== null && told !== words) say(words);
  told = words;
}

/** The box that chooses all held removals works with this script only. */
function offerEvery() {
  const every = document.getElementById("every");
  if (!every) return;
  every.hidden = false;
  every.onchange = ({ target }) => {
    for (const box of document.querySelectorAll("#holds input[name=name]")) box.checked = target.checked;
  };
}

/** Listens for events; the browser comes back by itself when a stream ends. */
function listen() {
  clearTimeout(again);
  source?.close();
  source = new EventSource("/api/v1/events");
  source.addEventListener("change", (event) => {
    tell(JSON.parse(event.data));
    refresh();
  });
  source.addEventListener("error", () => {
    // Closed for good: refused, because too many listen. Otherwise it is tried again.
    if (source.readyState === EventSource.CLOSED) again = setTimeout(() => { refresh(); listen(); }, PATIENCE);
    // The end of a stream is nothing to tell; a daemon that is not there is.
    else refresh();
  });
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(again);
    source?.close();
  } else {
    listen();
  }
});

// Loading the page again does not tell once more what was done.
if (location.search) history.replaceState(null, "", location.pathname === "/" ? "/" : location.href);
offerEvery();
listen();
