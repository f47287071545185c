// The Vercel AI SDK over chat and over responses: text, streams, objects, tool loops, and the media.
import { createOpenAI } from "@ai-sdk/openai";
import * as ai from "ai";
import { z } from "zod";

const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const prompt = process.argv[2];
const schema = z.object({
  recipe: z.object({
    name: z.string(),
    minutes: z.number().int().min(1).max(600),
    ingredients: z.array(z.object({ name: z.string(), amount: z.string() })).min(1),
    course: z.enum(["starter", "main", "dessert"]),
  }),
});

async function speak(model) {
  const said = {};
  const whole = await ai.generateText({ model, prompt });
  Object.assign(said, { text: whole.text, usage: whole.usage, finish: whole.finishReason });

  const stream = ai.streamText({ model, prompt });
  said.pieces = [];
  for await (const piece of stream.textStream) said.pieces.push(piece);
  said.stream_usage = await stream.usage;

  said.object = (await ai.generateObject({ model, schema, prompt: "A recipe for pancakes" })).object;
  const growing = ai.streamObject({ model, schema, prompt: "A recipe for pancakes" });
  said.growth = 0;
  for await (const _ of growing.partialObjectStream) said.growth += 1;
  said.streamed_object = await growing.object;

  const called = [];
  const tools = {
    get_weather: ai.tool({
      description: "The weather in a city",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => {
        called.push(city);
        return { city, degrees: 21, sky: "sunny" };
      },
    }),
  };
  const loop = { model, tools, stopWhen: ai.stepCountIs(6), prompt: "What is the weather in Paris?" };
  const ended = await ai.generateText(loop);
  said.loop = { text: ended.text, finish: ended.finishReason, steps: ended.steps.length };
  said.loop.called = called.splice(0);
  const streaming = ai.streamText(loop);
  await streaming.consumeStream();
  said.stream_loop = { text: await streaming.text, finish: await streaming.finishReason };
  said.stream_loop.called = called.splice(0);
  return said;
}

const said = { chat: await speak(openai.chat("gpt-4o-mini")), responses: await speak(openai("gpt-4o-mini")) };
const embedding = openai.embedding("text-embedding-3-small");
said.vector = (await ai.embed({ model: embedding, value: "a lighthouse" })).embedding.length;
said.vectors = (await ai.embedMany({ model: embedding, values: ["one", "two"] })).embeddings.length;
const { image } = await ai.generateImage({
  model: openai.image("gpt-image-1"),
  prompt: "a red lighthouse",
  size: "1024x1024",
});
said.image = { type: image.mediaType, start: Buffer.from(image.uint8Array.slice(0, 8)).toString("hex") };
const { audio } = await ai.experimental_generateSpeech({
  model: openai.speech("tts-1"),
  text: "The lighthouse stands by the sea.",
  outputFormat: "wav",
});
said.speech = Buffer.from(audio.uint8Array.slice(0, 4)).toString("latin1");
const heard = await ai.experimental_transcribe({
  model: openai.transcription("whisper-1"),
  audio: audio.uint8Array,
});
said.heard = { text: heard.text, seconds: heard.durationInSeconds };
try {
  await ai.generateText({ model: openai("no-such-model"), prompt, maxRetries: 0 });
} catch (error) {
  said.error = { name: error.name, status: error.statusCode, retryable: error.isRetryable };
}
console.log(JSON.stringify(said));
