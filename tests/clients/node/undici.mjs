// The npm package undici with a ProxyAgent set up in code, plain http through the tunnel included.
import { readFileSync } from "node:fs";
import { ProxyAgent, request } from "undici";

const dispatcher = new ProxyAgent({
  uri: process.env.HTTPS_PROXY,
  requestTls: { ca: readFileSync(process.env.NODE_EXTRA_CA_CERTS) },
});
const headers = { authorization: "Bearer sk-test" };
const models = async (scheme) => {
  const { statusCode, body } = await request(`${scheme}://api.openai.com/v1/models`, {
    dispatcher,
    headers,
  });
  return { status: statusCode, count: (await body.json()).data.length };
};
console.log(JSON.stringify({ https: await models("https"), http: await models("http") }));
await dispatcher.close();
