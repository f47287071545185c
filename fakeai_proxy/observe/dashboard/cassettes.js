// Cassettes: what was found on them, what was not, and why not.

import { get } from "./api.js";
import { bytes, clock, count, percent, plural } from "./format.js";
import { has, state, useTopics } from "./store.js";
import { html, useEffect, useState } from "./vendor/preact.js";

const PLAYING = new Set(["replay", "auto", "hybrid", "diff"]);

/** Whether there are cassettes here that anything is looked for on, or recorded on. */
export const hasCassettes = () => has("cassettes") && (PLAYING.has(state.status?.mode) || state.status?.mode === "record");

/** Whether the answer to this exchange was looked for on a cassette, and may not have been there. */
export const mayBeMissed = (entry) => has("cassettes/misses/{id}") && PLAYING.has(state.status?.mode) && entry.source !== "HIT";

export function Cassettes() {
  useTopics("status", "link");
  const [held, setHeld] = useState(null);
  const [misses, setMisses] = useState([]);
  const there = hasCassettes();
  useEffect(() => {
    if (!there) return undefined;
    const load = () => {
      if (document.hidden) return;
      get("cassettes").then(setHeld, () => {});
      get("cassettes/misses?limit=20").then((page) => setMisses(page.data), () => {});
    };
    load();
    const timer = setInterval(load, 2000);
    return () => clearInterval(timer);
  }, [there, state.link]);
  if (!there || !held) return null;
  const asked = held.hits + held.misses;
  return html`<section class="panel" id="cassettes" aria-labelledby="cassettes-title">
    <header><h2 id="cassettes-title">Cassettes</h2>
      <p class="sub">${plural(held.hits, "hit")}, ${held.misses === 1 ? "1 miss" : `${count(held.misses)} misses`}${asked ? `: ${percent(held.hits / asked)} % found` : ""}</p></header>
    <div class="ratio" role="img" aria-label=${`${held.hits} hits and ${held.misses} misses`}>
      <i class="hits" ref=${(bar) => bar && (bar.style.flexGrow = asked ? held.hits : 0)}></i>
      <i class="misses" ref=${(bar) => bar && (bar.style.flexGrow = asked ? held.misses : 0)}></i></div>
    <ul class="rules">${held.data.map((one) => html`<li><code>${one.path}</code>
      <span class="times">${plural(one.recordings, "recording")}, ${count(one.hits)} hits, ${bytes(one.bytes)}</span></li>`)}</ul>
    ${misses.length > 0 && html`<h3>Misses</h3><ul class="misses-list">${misses.map((one) => html`<li key=${one.id}>
      <details><summary><span class="at">${clock(Date.parse(one.asked.slice(0, 23) + "Z") / 1000)}</span>${" "}
        <code>${one.method} ${one.path}</code></summary>
        <p>${one.explanation}${one.answered_by !== "error" && ` Answered by ${one.answered_by ?? "something else"}.`}</p></details></li>`)}</ul>`}
  </section>`;
}
