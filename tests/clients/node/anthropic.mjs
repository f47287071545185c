// The npm package @anthropic-ai/sdk.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
const said = {};
try {
  const answer = await client.messages.create({
    model: "claude-opus-4-6",
    max_tokens: 100,
    messages: [{ role: "user", content: process.argv[2] }],
  });
  Object.assign(said, { text: answer.content[0].text, id: answer.id });
} catch (error) {
  Object.assign(said, { error: error.constructor.name, status: error.status, body: error.error });
}
console.log(JSON.stringify(said));
