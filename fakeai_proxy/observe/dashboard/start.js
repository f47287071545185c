// What a page with nothing on it says: what to run next.

import { state, useTopics } from "./store.js";
import { Copy } from "./parts.js";
import { html } from "./vendor/preact.js";

const curl = (origin) => `curl -N ${origin}/v1/chat/completions -H 'Authorization: Bearer any' -H 'Content-Type: application/json' \\
  -d '{"model": "gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "Tell me about lighthouses"}]}'`;
const python = (origin) => `OpenAI(base_url="${origin}/v1", api_key="any")`;

const SAYS = {
  synth: "Everything is answered here, with nothing behind it.",
  record: "What you ask goes to the upstream and is recorded.",
  replay: "What was recorded is answered again; anything else is told what is nearest to it.",
  auto: "What was recorded is answered again; anything else goes to the upstream and is recorded.",
  hybrid: "What was recorded is answered again; anything else is made up.",
  pass: "What you ask goes to the upstream.",
};

export function Start() {
  useTopics("status", "sample");
  const { status } = state;
  if (!status || Object.keys(status.exchanges).length || state.seen) return null;
  if ([...state.samples.values()].some((sample) => sample.requests)) return null;
  const { origin } = location;
  return html`<section class="panel start" aria-labelledby="start-title">
    <h2 id="start-title">Nothing has been asked yet</h2>
    <p>${SAYS[status.mode] ?? ""} In another terminal:</p>
    <div class="command"><code>${curl(origin)}</code><${Copy} text=${curl(origin)} /></div>
    <p>or from a program:</p>
    <div class="command"><code>${python(origin)}</code><${Copy} text=${python(origin)} /></div>
    <p class="hint">It shows up here within a second: as a line on the charts, a dot in a worker's batch, and a row that opens as a timeline.
      Then try a fault, or a scenario, below. Press <kbd>?</kbd> for the keys.</p>
  </section>`;
}
