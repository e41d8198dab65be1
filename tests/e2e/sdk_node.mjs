// OpenAI's own Node SDK against a gateway: run by test_sdk_node.py, which says where it listens.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

const require = createRequire(process.env.NODE_DEPS + "/");
const OpenAI = require("openai");
const { BASE_URL, KEY } = process.env;
const client = new OpenAI({ baseURL: BASE_URL, apiKey: KEY, maxRetries: 0, timeout: 20000 });
const user = (text) => [{ role: "user", content: text }];
const PIECES = "One, two, three. Gruesse: \u00fc\u00df, \u4f60\u597d, \u{1f680}.";
const tools = [{
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
}];

test("a whole reply", async () => {
  const { data, response } = await client.chat.completions
    .create({ model: "gpt", messages: user("say hello") }).withResponse();
  assert.equal(data.choices[0].message.content, "Hello from the other side of the gateway.");
  assert.equal(data.model, "gpt-4o-mini");
  assert.ok(data.usage.total_tokens > 0);
  assert.ok(response.headers.get("x-request-id"));
});

test("several choices", async () => {
  const r = await client.chat.completions.create({ model: "echo", n: 2, messages: user("twice") });
  assert.deepEqual(r.choices.map((c) => [c.index, c.message.content]), [[0, "twice"], [1, "twice"]]);
});

test("a stream, without usage and with it", async () => {
  for (const ask of [false, true]) {
    const chunks = [];
    const stream = await client.chat.completions.create({
      model: "gpt", messages: user("in pieces"), stream: true,
      ...(ask ? { stream_options: { include_usage: true } } : {}),
    });
    for await (const c of stream) chunks.push(c);
    assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? "").join(""), PIECES);
    assert.equal(chunks.at(-1).usage?.total_tokens, ask ? 34 : undefined);
    assert.equal(new Set(chunks.map((c) => c.id)).size, 1);
  }
});

test("the stream helper", async () => {
  const s = client.chat.completions.stream({ model: "gpt", messages: user("in pieces") });
  let text = "";
  s.on("content", (delta) => { text += delta; });
  assert.equal((await s.finalChatCompletion()).choices[0].message.content, PIECES);
  assert.equal(text, PIECES);
});

test("a stream that the client leaves", async () => {
  const s = await client.chat.completions.create({ model: "gpt", messages: user("in pieces"), stream: true });
  for await (const _ of s) break; // aborts the request
  assert.ok((await client.chat.completions.create({ model: "echo", messages: user("on") })).id);
});

test("tools, there and back", async () => {
  const messages = user("weather");
  const first = await client.chat.completions.create({ model: "gpt", messages, tools });
  const call = first.choices[0].message.tool_calls[0];
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "SF" });
  messages.push(first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "21" });
  const second = await client.chat.completions.create({ model: "gpt", messages, tools });
  assert.equal(second.choices[0].message.content, "It is 21 degrees in SF.");
});

test("the tool runner, streamed, with two calls at once", async () => {
  const cities = [];
  const runner = client.chat.completions.runTools({
    model: "gpt", stream: true, messages: user("weather in two cities"),
    tools: [{
      type: "function",
      function: {
        name: "get_weather", parse: JSON.parse, parameters: tools[0].function.parameters,
        function: ({ city }) => { cities.push(city); return "18"; },
      },
    }],
  });
  assert.equal(await runner.finalContent(), "Paris 18, Rome 25.");
  assert.deepEqual(cities, ["Paris", "Rome"]);
});

test("structured output", async () => {
  const r = await client.chat.completions.parse({
    model: "gpt", messages: user("an event"),
    response_format: {
      type: "json_schema",
      json_schema: { name: "event", strict: true, schema: {
        type: "object", additionalProperties: false, required: ["name", "date", "people"],
        properties: { name: { type: "string" }, date: { type: "string" },
          people: { type: "array", items: { type: "string" } } } } },
    },
  });
  assert.deepEqual(JSON.parse(r.choices[0].message.content),
    { name: "Fair", date: "Friday", people: ["Ann", "Bo"] });
});

const fails = (body, type, more = {}) => async () => {
  for (const stream of [false, true])
    await assert.rejects(client.chat.completions.create({ messages: user("hi"), ...body, stream }), (e) => {
      assert.ok(e instanceof type, `${e.constructor.name}: ${e.message}`);
      for (const [k, v] of Object.entries(more)) assert.equal(e[k], v, k);
      return true;
    });
};

test("unknown model", fails({ model: "gtp" }, OpenAI.NotFoundError, { code: "model_not_found" }));
test("bad parameter", fails({ model: "gpt", temperature: "hot" }, OpenAI.BadRequestError,
  { param: "temperature", status: 400 }));
test("bad message", fails({ model: "gpt", messages: [{ role: "x", content: "" }] },
  OpenAI.BadRequestError, { param: "messages[0].role" }));
test("what the upstream refuses", fails({ model: "gpt", messages: user("bad temperature") },
  OpenAI.BadRequestError, { param: "temperature", code: "unsupported_value" }));
test("rate limit", fails({ model: "gpt", messages: user("chaos limit") }, OpenAI.RateLimitError));
test("upstream fails", fails({ model: "gpt", messages: user("chaos drop") },
  OpenAI.InternalServerError, { status: 502 }));
test("upstream sends garbage", fails({ model: "gpt", messages: user("chaos malformed") },
  OpenAI.InternalServerError, { status: 502 }));
test("upstream hangs up", fails({ model: "gpt", messages: user("chaos disconnect") },
  OpenAI.InternalServerError));

test("wrong key", async () => {
  const c = new OpenAI({ baseURL: BASE_URL, apiKey: "tp_live_" + "x".repeat(43), maxRetries: 0 });
  await assert.rejects(c.chat.completions.create({ model: "echo", messages: user("hi") }),
    OpenAI.AuthenticationError);
});

test("the client's own time-out", async () => {
  await assert.rejects(client.chat.completions.create({ model: "gpt", messages: user("slow") },
    { timeout: 300 }), OpenAI.APIConnectionTimeoutError);
});

test("a stream cut in its middle ends with an error", async () => {
  for (const how of ["chaos truncate", "chaos cut"]) {
    let text = "";
    await assert.rejects(async () => {
      const s = await client.chat.completions.create({ model: "gpt", messages: user(how), stream: true });
      for await (const c of s) text += c.choices[0]?.delta.content ?? "";
    }, (e) => e instanceof OpenAI.APIError && !(e instanceof OpenAI.APIConnectionError));
    assert.ok(text.startsWith("This") && !text.endsWith("about it."));
  }
});

test("models", async () => {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.deepEqual(ids.sort(), ["echo", "gpt"]);
  assert.equal((await client.models.retrieve("echo")).id, "echo");
  await assert.rejects(client.models.retrieve("gtp"), OpenAI.NotFoundError);
});
