// Small pieces that several parts of the page are made of.

import { tell } from "./store.js";
import { html, useLayoutEffect, useRef, useState } from "./vendor/preact.js";

export const toasts = [];
let serial = 0;

/** A short message that goes away by itself. */
export function say(text, kind = "done") {
  const toast = { id: (serial += 1), text, kind };
  toasts.push(toast);
  tell("toasts");
  setTimeout(() => {
    toasts.splice(toasts.indexOf(toast), 1);
    tell("toasts");
  }, kind === "error" ? 8000 : 3000);
}

/** Tells how it went; gives what came of it, or null. */
export async function report(doing, done) {
  try {
    const found = await doing;
    if (done) say(done);
    return found;
  } catch (error) {
    say(error.message, "error");
    return null;
  }
}

export const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

export function Copy({ text, label = "Copy" }) {
  const [done, set] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not on a secure origin: the old way
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    set(true);
    setTimeout(() => set(false), 1500);
  };
  return html`<button class="copy" onClick=${copy}>${done ? "Copied" : label}</button>`;
}

/** What lies over the page: Escape and a click beside it close it, and the focus goes back. What has no
 *  `close` stays. */
export function Drawer({ title, close, children, kind = "drawer" }) {
  const box = useRef();
  useLayoutEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog class=${kind} ref=${box} aria-label=${title}
      onClose=${() => (close ? close() : box.current?.showModal())}
      onClick=${(event) => { if (event.target === box.current) close?.(); }}>
    <div class="sheet" tabindex="-1" autofocus=${kind === "drawer"}>
      <header><h2>${title}</h2>${close && html`<button class="quiet" aria-label="Close" onClick=${close}>✕</button>`}</header>
      ${children}
    </div>
  </dialog>`;
}
