// The npm package openai with a zod schema as the response format and as a tool.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const Author = z.object({ name: z.string(), born: z.number().int().min(1900).max(2020) });
const Book = z.object({
  title: z.string(),
  isbn: z.string().regex(/^97[89]-\d{10}$/),
  genre: z.enum(["novel", "essay"]),
  authors: z.array(Author).min(1).max(3),
  rating: z.number().nullable(),
  sequel: z.union([z.object({ kind: z.literal("sequel"), of: z.string() }), z.null()]),
});

const client = new OpenAI();
const messages = [{ role: "user", content: process.argv[2] }];
const answer = await client.chat.completions.parse({
  model: "gpt-4o",
  messages,
  response_format: zodResponseFormat(Book, "book"),
});
const called = await client.chat.completions.parse({
  model: "gpt-4o",
  messages,
  tools: [zodFunction({ name: "find_author", parameters: Author })],
  tool_choice: "required",
});
const stream = client.chat.completions.stream({
  model: "gpt-4o",
  messages,
  response_format: zodResponseFormat(Book, "book"),
});
const final = await stream.finalChatCompletion();
console.log(
  JSON.stringify({
    book: Book.parse(answer.choices[0].message.parsed),
    streamed: Book.parse(final.choices[0].message.parsed),
    author: Author.parse(called.choices[0].message.tool_calls[0].function.parsed_arguments),
  }),
);
