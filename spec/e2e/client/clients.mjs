// The official clients against the gateway, as their users run them: only the base URL is ours.
// Prints `client: N passed, N failed`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { CALL_ARGUMENTS, seen, startProvider } from "./provider.mjs";

const SLOW = Number(process.env.SLOW || 1);
const TEXT = "Hello from the fake model.";

const config = (port) => `
_format_version: "3.0"
services:
- name: llm
  url: http://localhost:32000
  routes:
  - name: chat
    paths: ["/ai/chat"]
    plugins:
    - name: ai-proxy
      config:
        route_type: llm/v1/chat
        auth: { header_name: Authorization, header_value: "Bearer provider-key" }
        model:
          provider: openai
          name: gpt-4o
          options: { max_tokens: 512, upstream_url: "http://127.0.0.1:${port}/v1/chat/completions" }
  - name: locked
    paths: ["/locked"]
    plugins:
    - name: key-auth
      config: { key_names: [apikey] }
    - name: ai-proxy
      config:
        route_type: llm/v1/chat
        auth: { header_name: Authorization, header_value: "Bearer provider-key" }
        model:
          provider: openai
          name: gpt-4o
          options: { upstream_url: "http://127.0.0.1:${port}/v1/chat/completions" }
  - name: claude
    paths: ["/ai/claude"]
    plugins:
    - name: ai-proxy
      config:
        route_type: llm/v1/chat
        auth: { header_name: x-api-key, header_value: "provider-key" }
        model:
          provider: anthropic
          name: claude-test
          options: { max_tokens: 512, anthropic_version: "2023-06-01", upstream_url: "http://127.0.0.1:${port}/v1/messages" }
  - name: native
    paths: ["/native"]
    plugins:
    - name: ai-proxy
      config:
        route_type: llm/v1/chat
        llm_format: anthropic
        auth: { header_name: x-api-key, header_value: "provider-key" }
        model:
          provider: anthropic
          name: claude-test
          options: { max_tokens: 512, anthropic_version: "2023-06-01", upstream_url: "http://127.0.0.1:${port}/v1/messages" }
  - name: counted
    paths: ["/ai/counted"]
    plugins:
    - name: ai-proxy
      config:
        route_type: llm/v1/chat
        logging: { log_statistics: true }
        auth: { header_name: Authorization, header_value: "Bearer provider-key" }
        model:
          provider: openai
          name: gpt-4o
          options: { upstream_url: "http://127.0.0.1:${port}/v1/chat/completions" }
  - name: embeddings
    paths: ["/ai/embed"]
    plugins:
    - name: ai-proxy
      config:
        route_type: llm/v1/embeddings
        auth: { header_name: Authorization, header_value: "Bearer provider-key" }
        model:
          provider: openai
          name: text-embedding-3-small
          options: { upstream_url: "http://127.0.0.1:${port}/v1/embeddings" }
  - name: front
    paths: ["/front"]
    plugins:
    - name: ai-proxy
      config:
        route_type: llm/v1/chat
        llm_format: anthropic
        auth: { header_name: Authorization, header_value: "Bearer provider-key" }
        model:
          provider: openai
          name: gpt-4o
          options: { upstream_url: "http://127.0.0.1:${port}/v1/chat/completions" }
consumers:
- username: alice
  keyauth_credentials:
  - key: alice-secret
`;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(condition, what, limit = 5000 * SLOW) {
  const end = performance.now() + limit;
  for (let value; ; await wait(2)) {
    if ((value = await condition())) return value;
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
  }
}

const freePort = () =>
  new Promise((done) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

const connects = (port) =>
  new Promise((done) => {
    const socket = net.connect(port, "127.0.0.1", () => (socket.destroy(), done(true)));
    socket.on("error", () => done(false));
  });

async function startGateway(providerPort) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "moongate-client-"));
  fs.writeFileSync(path.join(dir, "kong.yaml"), config(providerPort));
  fs.mkdirSync(path.join(dir, "prefix"));
  const port = await freePort();
  const env = {
    ...process.env, MOONGATE_PROXY_LISTEN: `127.0.0.1:${port}`, MOONGATE_STATUS_LISTEN: "off", MOONGATE_ADMIN_LISTEN: "off",
    MOONGATE_WORKERS: "1", MOONGATE_PREFIX: path.join(dir, "prefix"), MOONGATE_ACCESS_LOG: "off",
  };
  const child = spawn(process.env.MOONGATE_BIN, ["start", "-c", path.join(dir, "kong.yaml")], { env });
  const gateway = { url: `http://127.0.0.1:${port}`, child, log: "", dir };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (gateway.log += data));
  gateway.ended = new Promise((done) => child.on("exit", (code, signal) => done(signal ?? code)));
  child.on("exit", () => (gateway.dead = true));
  await until(() => gateway.dead || connects(port), "the gateway listens");
  if (gateway.dead) throw new Error(`the gateway did not start:\n${gateway.log}`);
  return gateway;
}

const provider = await startProvider();
const gateway = await startGateway(provider.address().port).catch((error) => {
  console.log(`${error.message}\nclient: 0 passed, 1 failed`);
  process.exit(1);
});

const openai = (route, extra = {}) =>
  new OpenAI({ baseURL: gateway.url + route, apiKey: "client-key", maxRetries: 0, timeout: 10000 * SLOW, ...extra });
const say = (content) => [{ role: "user", content }];

async function collect(stream) {
  const all = { text: "", chunks: [], times: [] };
  for await (const chunk of stream) {
    all.chunks.push(chunk);
    all.times.push(performance.now());
    all.text += chunk.choices[0]?.delta?.content ?? "";
  }
  return all;
}

const rejects = (promise, kind, message) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error?.constructor?.name}: ${error?.message}`);
    assert.match(String(error.message), message);
    return true;
  });

const tests = {
  async "openai: a chat completion"() {
    const answer = await openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say("hi") });
    assert.equal(answer.choices[0].message.content, TEXT);
    assert.equal(answer.usage.total_tokens, 13);
    const request = seen.at(-1);
    assert.equal(request.path, "/v1/chat/completions");
    assert.equal(request.headers.authorization, "Bearer provider-key");
    assert.equal(request.body.max_tokens, 512);
    assert.equal(request.body.model, "gpt-4o");
  },

  async "openai: a long prompt in many languages arrives byte for byte"() {
    const content = "Zażółć gęślą jaźń 🌙 \" \\ \u0001 ".repeat(3000);
    await openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say(content) });
    assert.equal(seen.at(-1).body.messages[0].content, content);
  },

  async "openai: a stream"() {
    const stream = await openai("/ai/chat").chat.completions.create({
      model: "gpt-4o", messages: say("hi"), stream: true, stream_options: { include_usage: true },
    });
    const all = await collect(stream);
    assert.equal(all.text, TEXT);
    assert.equal(all.chunks.at(-1).usage.total_tokens, 13);
  },

  async "openai: a stream whose usage only the gateway wants"() {
    const stream = await openai("/ai/counted").chat.completions.create({ model: "gpt-4o", messages: say("hi"), stream: true });
    const all = await collect(stream);
    assert.equal(all.text, TEXT);
    assert.deepEqual(seen.at(-1).body.stream_options, { include_usage: true });
    for (const chunk of all.chunks) assert.equal(chunk.choices.length, 1);
    const asked = await collect(await openai("/ai/counted").chat.completions.create({
      model: "gpt-4o", messages: say("hi"), stream: true, stream_options: { include_usage: true },
    }));
    assert.equal(asked.chunks.at(-1).usage.total_tokens, 13);
  },

  async "openai: a stream put together by the client's own helper"() {
    const stream = openai("/ai/chat").chat.completions.stream({ model: "gpt-4o", messages: say("hi") });
    assert.equal(await stream.finalContent(), TEXT);
  },

  async "openai: a stream comes token by token"() {
    const stream = await openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say("slowly"), stream: true });
    const { times } = await collect(stream);
    assert.ok(times.at(-1) - times[0] > 150, `all within ${times.at(-1) - times[0]} ms`);
  },

  async "openai: thirty streams at once"() {
    const client = openai("/ai/chat");
    const one = async () =>
      collect(await client.chat.completions.create({ model: "gpt-4o", messages: say("hi"), stream: true }));
    for (const all of await Promise.all(Array.from({ length: 30 }, one))) assert.equal(all.text, TEXT);
  },

  async "openai: tool calls"() {
    const answer = await openai("/ai/chat").chat.completions.create({
      model: "gpt-4o", messages: say("weather?"),
      tools: [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {}, required: [] } } }],
    });
    assert.deepEqual(JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments), { city: "Łódź" });
    assert.deepEqual(seen.at(-1).body.tools[0].function.parameters, { type: "object", properties: {}, required: [] });
  },

  async "openai: tool calls in a stream, there and back"() {
    const ask = { model: "gpt-4o", messages: say("weather?"), tools: [{ type: "function", function: { name: "weather", parameters: { type: "object" } } }] };
    const message = await openai("/ai/chat").chat.completions.stream(ask).finalMessage();
    assert.equal(message.tool_calls[0].id, "call_1");
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Łódź" });
    const messages = [...ask.messages, message, { role: "tool", tool_call_id: "call_1", content: "20 °C" }];
    await openai("/ai/chat").chat.completions.create({ ...ask, messages });
    assert.equal(seen.at(-1).body.messages[1].tool_calls[0].function.arguments, CALL_ARGUMENTS);
    assert.equal(seen.at(-1).body.messages[2].content, "20 °C");
  },

  async "openai: embeddings"() {
    const answer = await openai("/ai/embed").embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"] });
    assert.deepEqual(answer.data.map((one) => one.embedding), [[0.5, -1], [1, 0.25]]);
    assert.equal(answer.usage.total_tokens, 2);
    assert.equal(seen.at(-1).path, "/v1/embeddings");
    assert.deepEqual(seen.at(-1).body.input, ["a", "b"]);
    const floats = await openai("/ai/embed").embeddings.create({ model: "text-embedding-3-small", input: "a", encoding_format: "float" });
    assert.deepEqual(floats.data[0].embedding, [0.5, -1]);
  },

  async "openai: headers and raw answers"() {
    const { data, response } = await openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say("hi") }).withResponse();
    assert.equal(data.choices[0].message.content, TEXT);
    assert.equal(response.headers.get("x-kong-llm-model"), "openai/gpt-4o");
    assert.match(response.headers.get("x-kong-request-id"), /^[0-9a-f]{32}$/);
    assert.ok(!Object.values(seen.at(-1).headers).some((value) => String(value).includes("client-key")));
  },

  async "openai: the gateway's own errors are errors of the client's kinds"() {
    const ask = (body) => openai("/ai/chat").chat.completions.create({ model: "gpt-4o", ...body });
    await rejects(ask({ messages: [] }), OpenAI.BadRequestError, /doesn't contain valid prompts/);
    await rejects(openai("/nowhere").models.list(), OpenAI.NotFoundError, /404/);
  },

  async "openai: the provider's errors are the client's errors"() {
    const ask = (content) => openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say(content) });
    await rejects(ask("unauthorized"), OpenAI.AuthenticationError, /Incorrect API key/);
    await rejects(ask("limited"), OpenAI.RateLimitError, /Rate limit reached/);
    await rejects(ask("broken"), OpenAI.InternalServerError, /server had an error/);
  },

  async "openai: another model than the configured one is refused"() {
    const ask = openai("/ai/chat").chat.completions.create({ model: "gpt-5", messages: say("hi") });
    await rejects(ask, OpenAI.BadRequestError, /cannot use own model - must be: gpt-4o/);
  },

  async "openai: a stream that the provider cuts is an error, not an end"() {
    const stream = await openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say("cut"), stream: true });
    await assert.rejects(collect(stream));
  },

  async "openai: an aborted stream ends at the provider too"() {
    const stream = await openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say("forever"), stream: true });
    let n = 0;
    for await (const chunk of stream) if (chunk && ++n === 3) break;
    const request = seen.at(-1);
    const from = performance.now();
    stream.controller.abort();
    await until(() => request.closedAt, "the provider's connection is closed");
    assert.ok(request.closedAt - from < 200 * SLOW, `${request.closedAt - from} ms`);
  },

  async "openai: an aborted wait ends at the provider too"() {
    const controller = new AbortController();
    const before = seen.length;
    const ask = openai("/ai/chat").chat.completions.create({ model: "gpt-4o", messages: say("never") }, { signal: controller.signal });
    const failed = assert.rejects(ask, OpenAI.APIUserAbortError);
    const request = await until(() => seen[before], "the request reaches the provider");
    controller.abort();
    await failed;
    await until(() => request.closedAt, "the provider's connection is closed", 1000 * SLOW);
  },

  async "openai: a key of the gateway's"() {
    const ask = (headers) =>
      openai("/locked", { defaultHeaders: headers }).chat.completions.create({ model: "gpt-4o", messages: say("hi") });
    await rejects(ask({}), OpenAI.AuthenticationError, /./);
    await rejects(ask({ apikey: "wrong" }), OpenAI.AuthenticationError, /./);
    assert.equal((await ask({ apikey: "alice-secret" })).choices[0].message.content, TEXT);
    assert.equal(seen.at(-1).headers.authorization, "Bearer provider-key");
  },

  async "openai's client, anthropic's model"() {
    const client = openai("/ai/claude");
    const messages = [{ role: "system", content: "Be kind." }, ...say("hi")];
    const answer = await client.chat.completions.create({ model: "claude-test", messages });
    assert.equal(answer.choices[0].message.content, TEXT);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.total_tokens, 13);
    const request = seen.at(-1);
    assert.equal(request.headers["x-api-key"], "provider-key");
    assert.equal(request.headers["anthropic-version"], "2023-06-01");
    assert.equal(request.body.system, "Be kind.");
    assert.deepEqual(request.body.messages.map((m) => m.role), ["user"]);
  },

  async "openai's client, anthropic's stream"() {
    const stream = await openai("/ai/claude").chat.completions.create({ model: "claude-test", messages: say("hi"), stream: true });
    const all = await collect(stream);
    assert.equal(all.text, TEXT);
    assert.equal(all.chunks.findLast((c) => c.choices[0]?.finish_reason)?.choices[0].finish_reason, "stop");
  },

  async "anthropic's client, openai's model"() {
    const client = new Anthropic({ baseURL: `${gateway.url}/front`, apiKey: "client-key", maxRetries: 0 });
    const ask = { model: "gpt-4o", max_tokens: 64, system: "Be kind.", messages: say("hi") };
    const answer = await client.messages.create(ask);
    assert.equal(answer.content[0].text, TEXT);
    assert.equal(answer.stop_reason, "end_turn");
    assert.equal(answer.usage.output_tokens, 6);
    assert.equal(seen.at(-1).headers.authorization, "Bearer provider-key");
    assert.equal(seen.at(-1).headers["x-api-key"], undefined);
    const message = await client.messages.stream(ask).finalMessage();
    assert.equal(message.content[0].text, TEXT);
    const tools = [{ name: "weather", input_schema: { type: "object" } }];
    const called = await client.messages.stream({ ...ask, tools }).finalMessage();
    assert.deepEqual(called.content.at(-1).input, { city: "Łódź" });
    assert.equal(called.stop_reason, "tool_use");
    await rejects(client.messages.create({ ...ask, messages: say("limited") }), Anthropic.RateLimitError, /Rate limit reached/);
    await rejects(client.messages.create({ ...ask, model: "other" }), Anthropic.BadRequestError, /cannot use own model/);
    await rejects(client.messages.stream({ ...ask, messages: say("cut") }).finalMessage(), Error, /./);
  },

  async "anthropic: a message and a stream in its own format"() {
    const client = new Anthropic({ baseURL: `${gateway.url}/native`, apiKey: "client-key", maxRetries: 0 });
    const ask = { model: "claude-test", max_tokens: 64, messages: say("hi") };
    const answer = await client.messages.create(ask);
    assert.equal(answer.content[0].text, TEXT);
    assert.equal(seen.at(-1).headers["x-api-key"], "provider-key");
    let text = "";
    for await (const event of await client.messages.create({ ...ask, stream: true })) text += event.delta?.text ?? "";
    assert.equal(text, TEXT);
  },
};

let passed = 0;
let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  let timer;
  const limit = new Promise((_, no) => (timer = setTimeout(() => no(new Error("time limit")), 20000 * SLOW)));
  try {
    await Promise.race([test(), limit]);
    passed++;
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}\n  ${String(error?.stack ?? error).split("\n").slice(0, 6).join("\n  ")}`);
  }
  clearTimeout(timer);
}

gateway.child.kill("SIGTERM");
const end = await Promise.race([gateway.ended, wait(10000 * SLOW).then(() => "time limit")]);
const sick = /AddressSanitizer|runtime error:|assertion failed|\[(crit|alert|emerg)\]/.test(gateway.log);
if (end !== 0 || sick) {
  failed++;
  gateway.child.kill("SIGKILL");
  console.log(`FAIL the gateway ended with ${end}\n${gateway.log.slice(-4000)}`);
}
fs.rmSync(gateway.dir, { recursive: true, force: true });
provider.closeAllConnections();
provider.close();
console.log(`client: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
