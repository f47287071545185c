// The npm package openai, streaming and not; nothing in it knows of a proxy.
import OpenAI from "openai";

const client = new OpenAI();
const call = { model: "gpt-4o", messages: [{ role: "user", content: process.argv[2] }] };
const said = {};
try {
  const answer = await client.chat.completions.create(call);
  Object.assign(said, { text: answer.choices[0].message.content, id: answer.id });
  said.stream = "";
  for await (const chunk of await client.chat.completions.create({ ...call, stream: true })) {
    said.stream += chunk.choices[0]?.delta?.content ?? "";
    said.stream_id = chunk.id;
  }
} catch (error) {
  Object.assign(said, {
    error: error.constructor.name,
    status: error.status,
    code: error.code,
  });
}
console.log(JSON.stringify(said));
