// Node's own fetch: an answer, and a stream piece by piece.
const url = "https://api.openai.com/v1/chat/completions";
const call = { model: "gpt-4o", messages: [{ role: "user", content: process.argv[2] }] };
const post = (body) =>
  fetch(url, {
    method: "POST",
    headers: { authorization: "Bearer sk-test", "content-type": "application/json" },
    body: JSON.stringify(body),
  });

const answer = await (await post(call)).json();
let stream = "";
const decoder = new TextDecoder();
for await (const piece of (await post({ ...call, stream: true })).body) {
  stream += decoder.decode(piece, { stream: true });
}
console.log(JSON.stringify({
  text: answer.choices[0].message.content,
  last_line: stream.trim().split("\n").at(-1),
}));
