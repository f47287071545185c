// What the charts show: a table. A row is a chart; each of its series is a function of one second's sample.

const requests = (name) => (s) => s.sources?.[name] ?? 0;
const outcomes = (...names) => (s) => names.reduce((sum, name) => sum + (s.outcomes?.[name] ?? 0), 0);
const share = (name) => (s) => (s[name] ? s[name] : null);
const percentiles = (name) => [
  { label: "p50", color: "rank-1", width: 2, value: (s) => share(name)(s)?.p50 ?? null },
  { label: "p90", color: "rank-2", width: 1.5, value: (s) => share(name)(s)?.p90 ?? null },
  { label: "p99", color: "rank-3", width: 1, value: (s) => share(name)(s)?.p99 ?? null },
];
const fleet = (name, scale = 1) => (s) => (s.fleet ? s.fleet[name] * scale : null);

/** Of more workers than there are colours, the mean or sum of all. */
export const WORKER_COLORS = 6;

const perWorker = (place, scale, whole) => (workers) => {
  if (!workers.length || workers.length > WORKER_COLORS) {
    return [{ label: "all", color: "s1", value: fleet(whole, scale) }];
  }
  return workers.map((name, number) => ({
    label: name,
    color: `s${number + 1}`,
    value: (s) => (s.fleet?.gpus?.[name] ? s.fleet.gpus[name][place] * scale : null),
  }));
};

/** `needs` is what has to be there for the chart to say anything. `series` may depend on the workers. */
export const CHARTS = [
  {
    id: "sources", title: "Requests by source", unit: "/s", kind: "stacked",
    help: "Finished requests, by where their answer came from: a cassette (HIT), an upstream (LIVE), made here (SYNTH), a fault.",
    series: [
      { label: "SYNTH", color: "s3", value: requests("SYNTH") },
      { label: "HIT", color: "s2", value: requests("HIT") },
      { label: "LIVE", color: "s1", value: requests("LIVE") },
      { label: "FAULT", color: "s4", value: requests("FAULT") },
      { label: "refused", color: "s5", value: requests("none") },
    ],
  },
  {
    id: "outcomes", title: "Requests by status", unit: "/s", kind: "stacked",
    help: "Finished requests by HTTP status. broken: cut by us, or the client went away.",
    series: [
      { label: "2xx", color: "s1", value: outcomes("1xx", "2xx", "3xx") },
      { label: "4xx", color: "s6", value: outcomes("4xx") },
      { label: "429", color: "s5", value: outcomes("429") },
      { label: "5xx", color: "s4", value: outcomes("5xx") },
      { label: "broken", color: "s3", value: outcomes("cut", "client_gone", "0xx") },
    ],
  },
  {
    id: "ttft", title: "First token", unit: "ms", kind: "lines", series: percentiles("ttft_ms"),
    help: "From a request's arrival to the first chunk of its stream. Streams only.",
  },
  {
    id: "itl", title: "Between tokens", unit: "ms", kind: "lines", series: percentiles("itl_ms"),
    help: "The mean gap within each stream; percentiles are over the streams that ended in that second.",
  },
  {
    id: "total", title: "Whole answer", unit: "ms", kind: "lines", series: percentiles("total_ms"),
    help: "From a request's arrival to the last byte of its answer.",
  },
  {
    id: "tokens", title: "Tokens", unit: "/s", kind: "lines",
    help: "As the fleet's engines work on them; without a fleet, those of finished answers.",
    series: [
      { label: "output", color: "s1", width: 2, fill: true, value: (s) => s.fleet?.tokens_s ?? s.output_tokens ?? 0 },
      { label: "prompt", color: "s3", value: (s) => s.fleet?.prompt_tokens_s ?? s.prompt_tokens ?? 0 },
    ],
  },
  {
    id: "batch", title: "Batch and queue", unit: "", kind: "lines", needs: "fleet",
    help: "Sequences that the engines work on, and requests that wait for a place.",
    series: [
      { label: "running", color: "s1", width: 2, fill: true, value: fleet("running") },
      { label: "waiting", color: "s5", width: 2, value: fleet("waiting") },
    ],
  },
  {
    id: "kv", title: "KV cache", unit: "%", kind: "lines", needs: "fleet", max: 100,
    help: "Blocks in use, and the share of prompt tokens that were found in the cache.",
    series: [
      { label: "in use", color: "s1", width: 2, fill: true, value: fleet("kv_usage", 100) },
      {
        label: "hit rate", color: "s2",
        value: (s) => (s.prompt_tokens ? (100 * s.cached_tokens) / s.prompt_tokens : null),
      },
    ],
  },
  {
    id: "limited", title: "Limits and faults", unit: "/s", kind: "lines",
    help: "Requests that were refused with 429, and those to which a fault was applied on purpose.",
    series: [
      { label: "429", color: "s5", width: 2, value: outcomes("429") },
      { label: "with a fault", color: "s4", width: 2, value: (s) => s.faulty ?? 0 },
    ],
  },
  {
    id: "gpu", title: "GPU utilisation", unit: "%", kind: "lines", needs: "fleet", max: 100,
    help: "Share of the last second in which the GPUs computed.",
    series: perWorker(0, 100, "utilization"),
  },
  {
    id: "power", title: "GPU power", unit: "W", kind: "lines", needs: "fleet",
    help: "Of all GPUs of a worker.",
    series: perWorker(1, 1, "power_w"),
  },
  {
    id: "heat", title: "GPU temperature", unit: "°C", kind: "lines", needs: "fleet", floating: true,
    help: "Of the hottest GPU of a worker.",
    series: perWorker(2, 1, "temperature_c"),
  },
  {
    id: "cost", title: "Cost", unit: "$/h", kind: "lines",
    help: "What the answers of the last minute would cost by their models' price lists, as a rate.",
    series: [{ label: "rate", color: "s2", width: 2, fill: true, value: (s) => s.cost_rate ?? null }],
  },
];
