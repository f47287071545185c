// The page: its head, its sections, its keys.

import { post, remove, setToken } from "./api.js";
import { Cassettes } from "./cassettes.js";
import { Chart, view } from "./chart.js";
import { Faults, Limits, Scenario, Settings } from "./controls.js";
import { Exchanges } from "./exchanges.js";
import { Fleet } from "./fleet.js";
import { clock } from "./format.js";
import { Drawer, report, toasts } from "./parts.js";
import { CHARTS } from "./series.js";
import { Start } from "./start.js";
import { retry, run, state, tell, useTopics } from "./store.js";
import { Tiles } from "./tiles.js";
import { html, render, useEffect, useMemo, useState } from "./vendor/preact.js";

/** So many workers stand beside the charts; more are above them. */
const FEW = 4;
const RANGES = [[60, "1"], [300, "5"], [900, "15"]];
const LINKS = { connecting: "connecting", live: "live", lost: "reconnecting", denied: "locked" };
const KEYS = [
  ["m", "Mark an incident"], ["Space", "Stop and go on"], ["/", "Filter the exchanges"],
  ["1 2 3", "One, five, fifteen minutes"], ["f c e x", "To the fleet, charts, exchanges, faults"],
  ["↑ ↓ or k j", "Move in the exchanges"], ["Enter", "Open an exchange or a worker"], ["t", "Light or dark"], ["?", "These keys"],
];

function useTheme() {
  const page = document.documentElement.dataset;
  const [now, set] = useState(page.theme);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => set(page.theme);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  const toggle = () => {
    page.theme = page.chosen = page.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("fakeai-theme", page.chosen); } catch { /* until the page is closed, then */ }
    set(page.theme);
  };
  return [now, toggle];
}

function Head({ pause, toggle, theme: now, mark, help, range, setRange }) {
  useTopics("link", "status", "paused");
  const { status } = state;
  const link = state.paused ? "paused" : state.link;
  return html`<header class="top">
    <a class="brand" href="#app" aria-label="To the top"><svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8" />
      <path d="M7 20h4l3-10 4 14 3-9 1.500 5H25" /></svg><span>fakeai-proxy</span></a>
    ${status && html`<span class="chip" title="Mode">${status.mode}</span>${status.profile && html`<span class="chip profile" title="Profile">${status.profile}</span>`}`}
    <span class=${`link ${link}`} role="status"><i></i>${state.paused ? "stopped" : LINKS[state.link]}</span>
    <span class="gap"></span>
    <div class="choices" role="group" aria-label="How far back the charts go">
      ${RANGES.map(([seconds, label]) => html`<button aria-pressed=${range === seconds} aria-label=${`${label} min`}
        onClick=${() => setRange(seconds)}>${label}<span class="wide"> min</span></button>`)}
    </div>
    <button id="mark" onClick=${mark} aria-label="Mark an incident" title="Mark an incident on all charts (m)"><span aria-hidden="true">⚑</span><span class="wide"> Mark</span></button>
    <button class="icon" onClick=${pause} aria-pressed=${state.paused} aria-label=${state.paused ? "Go on" : "Stop"} title="Stop and go on (space)">
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d=${state.paused ? "M4 2.500v11l9-5.500z" : "M4 3h3v10H4zM9 3h3v10H9z"} /></svg></button>
    <button class="icon" onClick=${toggle} aria-label=${now === "dark" ? "Light theme" : "Dark theme"} title="Light or dark (t)">
      <svg viewBox="0 0 16 16" aria-hidden="true">${now === "dark"
        ? html`<circle cx="8" cy="8" r="3.200" /><path d="M8 .8v2M8 13.200v2M.8 8h2M13.200 8h2M2.900 2.900l1.400 1.400M11.700 11.700l1.400 1.400M13.100 2.900l-1.400 1.400M4.300 11.700l-1.400 1.400" class="rays" />`
        : html`<path d="M13.500 10A6 6 0 0 1 6 2.500 6 6 0 1 0 13.500 10z" />`}</svg></button>
    <button class="icon help" onClick=${help} aria-label="Keys" title="Keys (?)">?</button>
  </header>`;
}

function Charts({ theme: now }) {
  useTopics("fleet");
  const workers = (state.fleet?.workers ?? []).filter((each) => each.gpu).map((each) => each.name).sort().join("|");
  const hasFleet = state.fleet !== null;
  const charts = useMemo(() => CHARTS
    .filter((chart) => chart.needs !== "fleet" || hasFleet)
    .map((chart) => [chart, typeof chart.series === "function" ? chart.series(workers ? workers.split("|") : []) : chart.series]),
  [workers, hasFleet]);
  return html`<section class="panel" id="charts" aria-labelledby="charts-title">
    <h2 id="charts-title" class="unseen">Charts</h2>
    <div class="charts">${charts.map(([chart, series]) => html`<${Chart} key=${chart.id} chart=${chart} series=${series} theme=${now} />`)}</div>
    <${Marked} />
  </section>`;
}

function Marked() {
  useTopics("marks");
  if (!state.marks.length) return null;
  return html`<ul class="marks" aria-label="Marks">${state.marks.slice(-8).reverse().map((mark) => html`<li key=${mark.id} class=${mark.kind}>
    <span class="at">${clock(mark.wall)}</span> ${mark.note || "incident"}
    <button class="quiet" aria-label=${`Remove the mark ${mark.note}`} onClick=${async () => {
      if (await report(remove(`marks/${mark.id}`))) { state.marks = state.marks.filter((each) => each.id !== mark.id); tell("marks"); }
    }}>✕</button></li>`)}</ul>`;
}

function MarkDialog({ close }) {
  const [note, setNote] = useState("");
  const save = async (event) => {
    event.preventDefault();
    const mark = await report(post("marks", { note }), "Marked on all charts");
    if (mark) { state.marks = [...state.marks.filter((each) => each.id !== mark.id), mark]; tell("marks"); close(); }
  };
  return html`<${Drawer} kind="dialog" title="Mark an incident" close=${close}>
    <form onSubmit=${save}>
      <p class="hint">A line on every chart at this second, for everybody who looks.</p>
      <input id="mark-note" autofocus maxlength="200" placeholder="What happened?" aria-label="Note" value=${note} onInput=${(event) => setNote(event.target.value)} />
      <div class="buttons end"><button type="button" onClick=${close}>Cancel</button><button class="strong" type="submit">Mark</button></div>
    </form>
  <//>`;
}

function TokenDialog() {
  useTopics("link");
  const [token, set] = useState("");
  if (state.link !== "denied") return null;
  return html`<${Drawer} kind="dialog" title="This server asks for a token">
    <form onSubmit=${(event) => { event.preventDefault(); setToken(token.trim()); retry(); }}>
      <p class="hint">${state.denied}</p>
      <input id="token" type="password" autofocus autocomplete="off" aria-label="Admin token" placeholder="What --admin-token was given" value=${token} onInput=${(event) => set(event.target.value)} />
      <p class="hint">It is kept for this tab only.</p>
      <div class="buttons end"><button class="strong" type="submit">Open</button></div>
    </form>
  <//>`;
}

function Toasts() {
  useTopics("toasts");
  return html`<div class="toasts" role="status" aria-live="polite">${toasts.map((each) => html`<p key=${each.id} class=${each.kind}>${each.text}</p>`)}</div>`;
}

function jump(id) {
  const found = document.getElementById(id);
  const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  found?.scrollIntoView({ block: "start", behavior: smooth ? "smooth" : "auto" });
}

function App() {
  useTopics("status", "fleet");
  const few = state.fleet !== null && state.fleet.workers.length <= FEW;
  const [now, toggle] = useTheme();
  const [dialog, show] = useState(null);
  const [range, setRange_] = useState(view.range);
  const setRange = (seconds) => { view.range = seconds; setRange_(seconds); tell("view"); };
  const pause = () => {
    state.paused = !state.paused;
    view.frozen = state.paused ? state.now : null;
    tell("paused");
    tell("view");
  };
  useEffect(() => {
    const keys = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      if (event.key === " " && event.target.tagName === "BUTTON") return;
      const act = {
        m: () => show("mark"), " ": pause, t: toggle, "?": () => show("help"),
        "/": () => document.getElementById("filter")?.focus(),
        1: () => setRange(60), 2: () => setRange(300), 3: () => setRange(900),
        f: () => jump("fleet"), c: () => jump("charts"), e: () => jump("exchanges"), x: () => jump("faults"),
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, []);
  const close = () => show(null);
  return html`
    <${Head} pause=${pause} toggle=${toggle} theme=${now} mark=${() => show("mark")} help=${() => show("help")} range=${range} setRange=${setRange} />
    <main>
      <${Start} />
      <${Tiles} />
      <div class=${`watch ${few ? "few" : ""}`}>
        <${Fleet} />
        <${Charts} theme=${now} />
      </div>
      <div class="columns">
        <${Exchanges} />
        <div class="side"><${Cassettes} /><${Faults} /><${Scenario} /><${Limits} /><${Settings} /></div>
      </div>
    </main>
    ${dialog === "mark" && html`<${MarkDialog} close=${close} />`}
    ${dialog === "help" && html`<${Drawer} kind="dialog" title="Keys" close=${close}><dl class="keys">
      ${KEYS.map(([key, does]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl><//>`}
    <${TokenDialog} /><${Toasts} />`;
}

render(html`<${App} />`, document.getElementById("app"));
run();
if (location.pathname.endsWith("/dynamo")) setTimeout(() => jump("fleet"), 600);
