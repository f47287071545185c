// The control API: one place that knows the token and how an error is told.

const BASE = "/_fakeai/v1/";
const TOKEN = "fakeai-token";
let token = remembered();

function remembered() {
  try { return sessionStorage.getItem(TOKEN) || ""; } catch { return ""; }
}

export const currentToken = () => token;

export function setToken(value) {
  token = value;
  try { sessionStorage.setItem(TOKEN, value); } catch { /* lasts as long as this page, then */ }
}

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { ...(options.body === undefined ? {} : { "content-type": "application/json" }) };
  if (token) headers["x-fakeai-token"] = token;
  const reply = await fetch(BASE + path, {
    ...options,
    headers,
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
    cache: "no-store",
  });
  if (reply.ok) return reply;
  let message = `The server answered ${reply.status}.`;
  try { message = (await reply.json()).error.message; } catch { /* not ours */ }
  throw new ApiError(reply.status, message);
}

export const get = async (path) => (await ask(path)).json();
export const post = async (path, body = {}) => (await ask(path, { method: "POST", body })).json();
export const put = async (path, body) => (await ask(path, { method: "PUT", body })).json();
export const remove = async (path) => (await ask(path, { method: "DELETE" })).json();

/** The events of a stream as [name, data], "open" before them all; ends with the connection. EventSource could send no token. */
export async function* events(path, signal) {
  const reply = await ask(path, { signal });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let first = true; ; first = false) {
    const { done, value } = await reader.read();
    if (done) return;
    if (first) yield ["open", null];
    rest += value;
    const frames = rest.split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      let name = "message";
      let data = "";
      for (const line of frame.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data) yield [name, JSON.parse(data)];
    }
  }
}
