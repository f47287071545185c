// What can be done to the server: faults, a scenario, limits. Each does what a request to the control API
// does, and shows what that says afterwards.

import { get, post, put, remove } from "./api.js";
import { hasCassettes } from "./cassettes.js";
import { compact, count, span } from "./format.js";
import { state, useTopics } from "./store.js";
import { Copy, report, say } from "./parts.js";
import { html, useEffect, useState } from "./vendor/preact.js";

const PRESETS = [
  ["429 storm", "status:code=429,p=0.3", "Three requests in ten are refused"],
  ["503 now and then", "status:code=503,p=0.1", "One request in ten fails"],
  ["Cut streams", "cut:after=20,p=0.2", "One stream in five breaks off after 20 tokens"],
  ["Slow first token", "latency:ms=2000,p=0.5", "Every other answer begins two seconds late"],
  ["Stall", "stall:after=10,p=0.2", "One stream in five stops for a while after 10 tokens"],
];

/** Asks again now and then while the page is looked at, and whenever `again` is called. */
function usePoll(path, seconds) {
  const [found, set] = useState(null);
  const load = () => state.link === "live" && !document.hidden && get(path).then(set, () => {});
  useEffect(() => {
    load();
    const timer = setInterval(load, seconds * 1000);
    return () => clearInterval(timer);
  }, [path, state.link]);
  return [found, load];
}

export function Faults() {
  useTopics("link");
  const [list, load] = usePoll("faults", 2);
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const add = async (rule) => {
    try {
      await post("faults", { rule });
      setWrong("");
      setText("");
      say(`Fault added: ${rule}`);
    } catch (error) { setWrong(error.message); }
    load();
  };
  const drop = async (id) => { await report(remove(`faults/${encodeURIComponent(id)}`), "Fault removed"); load(); };
  const rules = list?.data ?? [];
  return html`<section class="panel" id="faults" aria-labelledby="faults-title">
    <header><h2 id="faults-title">Faults</h2>
      <p class="sub">${rules.length ? `${rules.length} in force` : "Nothing goes wrong on purpose"}</p>
      ${rules.length > 1 && html`<button class="quiet" onClick=${async () => { await report(remove("faults"), "All faults removed"); load(); }}>Remove all</button>`}
    </header>
    ${rules.length > 0 && html`<ul class="rules">${rules.map((rule) => html`<li key=${rule.id}>
      <code>${rule.rule}</code><span class="times" title="How often it was applied">${count(rule.applied)} ×</span>
      <button class="quiet" aria-label=${`Remove ${rule.rule}`} onClick=${() => drop(rule.id)}>✕</button></li>`)}</ul>`}
    <div class="buttons presets">${PRESETS.map(([label, rule, help]) => html`<button title=${`${help}: ${rule}`} onClick=${() => add(rule)}>${label}</button>`)}</div>
    <form class="line" onSubmit=${(event) => { event.preventDefault(); if (text.trim()) add(text.trim()); }}>
      <input id="fault-rule" aria-label="A rule of your own" placeholder="cut:after=20,p=0.1,model=gpt-4o*" spellcheck="false"
             aria-invalid=${wrong !== ""} value=${text} onInput=${(event) => { setText(event.target.value); setWrong(""); }} />
      <button type="submit">Add</button>
    </form>
    ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
  </section>`;
}

export function Scenario() {
  useTopics("link");
  const [now, load] = usePoll("scenario", 1);
  const [known] = usePoll("scenarios", 3600);
  const [name, choose] = useState("");
  const shipped = known?.data ?? [];
  const chosen = shipped.find((each) => each.name === (name || shipped[0]?.name));
  const start = async () => { await report(put("scenario", { scenario: chosen.name }), `Scenario ${chosen.name} started`); load(); };
  const stop = async () => { await report(remove("scenario"), "Scenario stopped, its changes are taken back"); load(); };
  const running = now?.scenario && shipped.find((each) => each.name === now.scenario);
  return html`<section class="panel" id="scenario" aria-labelledby="scenario-title">
    <header><h2 id="scenario-title">Scenario</h2>
      <p class="sub">${now?.scenario ? `${now.scenario}, ${span(now.elapsed_s ?? 0)}` : "None is on"}</p></header>
    ${now?.scenario && html`<${Phases} now=${now} shipped=${running} />`}
    <div class="line">
      <select aria-label="Scenario" value=${chosen?.name} onChange=${(event) => choose(event.target.value)}>
        ${shipped.map((each) => html`<option value=${each.name}>${each.name}</option>`)}
      </select>
      <button class="strong" disabled=${!chosen} onClick=${start}>Start</button>
      ${now?.scenario && html`<button onClick=${stop}>Stop</button>`}
    </div>
    ${chosen && html`<p class="hint">${chosen.description}.</p>`}
  </section>`;
}

function Phases({ now, shipped }) {
  const phases = shipped?.phases ?? [];
  const done = now.left_s == null ? 0 : now.phase_elapsed_s / Math.max(0.001, now.phase_elapsed_s + now.left_s);
  const changes = now.changes;
  const said = [
    ...(changes.faults ?? []).map((fault) => (typeof fault === "string" ? fault : fault.fault ?? "a fault")),
    ...(changes.speed !== 1 ? [`speed × ${changes.speed}`] : []),
    ...(changes.limits.scale !== 1 ? [`limits × ${changes.limits.scale}`] : []),
    ...(changes.limits.exhaust ? ["quota used up"] : []),
    ...changes.fleet.map((action) => [action.do ?? "scale", action.code ?? action.factor ?? action.replicas].filter((part) => part != null).join(" ")),
  ];
  return html`<div class="phases">
    <ol>${phases.map((phase, at) => html`<li class=${at + 1 === now.number ? "on" : at + 1 < now.number ? "over" : ""}
        ref=${(item) => item && (item.style.flexGrow = phase.duration_s ?? 30)} title=${phase.name}>
      <i ref=${(bar) => bar && (bar.style.width = `${at + 1 === now.number ? done * 100 : at + 1 < now.number ? 100 : 0}%`)}></i></li>`)}</ol>
    <p class="hint"><strong>${now.over ? "Over" : now.phase ?? "Between phases"}</strong>${now.left_s == null ? "" : `, ${span(now.left_s)} left`}${said.length ? `: ${said.join(", ")}` : ""}</p>
  </div>`;
}

const SHIPPED = ["none", "openai:1", "openai:3", "openai:5", "azure:S0", "anthropic:1", "anthropic:2"];

export function Limits() {
  useTopics("link");
  const [now, load] = usePoll("limits?limit=6", 3);
  const change = async (body, done) => { await report(put("limits", body), done); load(); };
  const names = now?.limits ?? [];
  const exhausted = now?.exhausted ?? [];
  return html`<section class="panel" id="limits" aria-labelledby="limits-title">
    <header><h2 id="limits-title">Limits</h2>
      <p class="sub">${names.length ? names.join(", ") : "None in force"}${now && now.scale !== 1 ? `, × ${now.scale}` : ""}</p></header>
    <div class="line">
      <select aria-label="Limits in force" value=${names[0] ?? "none"} onChange=${(event) => {
        const chosen = event.target.value;
        change({ limits: chosen === "none" ? [] : [chosen] }, chosen === "none" ? "No limits" : `Limits of ${chosen}`);
      }}>${[...new Set([...SHIPPED, ...names])].map((name) => html`<option value=${name}>${name}</option>`)}</select>
      ${[1, 0.5, 0.1].map((scale) => html`<button aria-pressed=${now?.scale === scale} title=${`Grant ${scale * 100} % of every limit`}
        onClick=${() => change({ scale }, `Limits × ${scale}`)}>× ${scale}</button>`)}
      ${exhausted.length
        ? html`<button onClick=${() => change({ restore: exhausted }, "Quota is there again")}>Restore quota</button>`
        : html`<button title="Every key is answered insufficient_quota" onClick=${() => change({ exhaust: ["*"] }, "Quota used up")}>Use up quota</button>`}
    </div>
    ${now?.data?.length > 0 && html`<${Standing} rows=${now.data} />`}
  </section>`;
}

function Standing({ rows }) {
  return html`<ul class="standing">${rows.map((row) => {
    const used = row.limit ? 1 - row.remaining / row.limit : 0;
    return html`<li title=${`${row.profile} ${row.tier}, ${row.scope} ${row.owner}`}>
      <span>${row.model} <i>${row.amount}</i></span>
      <span class="meter"><i ref=${(bar) => bar && (bar.style.width = `${Math.max(0, Math.min(1, used)) * 100}%`)}></i></span>
      <b>${compact(row.remaining)} of ${compact(row.limit)} left</b></li>`;
  })}</ul>`;
}

/** As a word for a shell. */
const quoted = (word) => (/^[\w./:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const SPEEDS = [0.5, 1, 4, 20];

/** Profile and speed, where they may be changed; where only a start settles them, it is said how. */
export function Settings() {
  useTopics("status", "link");
  const [profile, load] = usePoll("profile", 5);
  const [paths, setPaths] = useState([]);
  const there = hasCassettes();
  useEffect(() => { if (there) get("cassettes").then((held) => setPaths(held.data.map((one) => one.path)), () => {}); }, [there, state.link]);
  const { status } = state;
  if (!status) return null;
  const change = async (body, done) => { await report(put("profile", body), done); load(); };
  const line = `fakeai-proxy --mode ${status.mode}${paths.map((path) => ` --cassette ${quoted(path)}`).join("")}${
    status.profile && ` --profile ${quoted(profile?.profile || status.profile)}`} --speed ${profile?.speed ?? 1}`;
  const free = profile?.choices.length > 0;
  const fixed = profile?.speed_changes ? "The mode is" : status.profile ? "Mode, profile and speed are" : "Mode and speed are";
  return html`<section class="panel" id="settings" aria-labelledby="settings-title">
    <header><h2 id="settings-title">Running as</h2><p class="sub">${status.version}, up ${span(status.uptime_s)}</p></header>
    ${profile?.speed_changes && html`<div class="line">
      ${free && html`<select aria-label="Profile" value=${profile.profile} onChange=${(event) => change({ profile: event.target.value }, `Profile ${event.target.value}`)}>
        ${[...new Set([...profile.choices, profile.profile])].map((name) => html`<option value=${name}>${name}</option>`)}</select>`}
      <div class="choices" role="group" aria-label="Speed">${SPEEDS.map((speed) => html`<button aria-pressed=${profile.speed === speed}
        onClick=${() => change({ speed }, `Speed × ${speed}`)}>× ${speed}</button>`)}</div></div>`}
    <dl class="facts">
      <div><dt>Mode</dt><dd>${status.mode}</dd></div>
      ${status.profile && html`<div><dt>Profile</dt><dd>${profile?.profile ?? status.profile}${profile?.description ? html`<br /><span class="hint">${profile.description}</span>` : ""}</dd></div>`}
      <div><dt>Speed</dt><dd>${profile ? `× ${profile.speed}` : "–"}</dd></div>
      <div><dt>Seed</dt><dd>${status.seed}</dd></div>
      ${status.store && html`<div><dt>Store</dt><dd>${status.store}</dd></div>`}
      <div><dt>Processes</dt><dd>${status.workers}</dd></div>
    </dl>
    <p class="hint">${fixed} settled at the start. To change ${fixed === "The mode is" ? "it" : "one"}, stop the server and run this with what else it was given:</p>
    <div class="command"><code>${line}</code><${Copy} text=${line} /></div>
  </section>`;
}
