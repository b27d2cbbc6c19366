// A fake model provider that speaks OpenAI's and Anthropic's wire formats well enough for their own clients.
// Not a model: what it says is scripted by the request's last message.
import http from "node:http";

export const seen = []; // {path, headers, body, closedAt} of every request

const WORDS = ["Hello", " from", " the", " fake", " model", "."];
const USAGE = { prompt_tokens: 7, completion_tokens: 6, total_tokens: 13 };

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function lastText(body) {
  const last = body.messages?.at(-1)?.content;
  return typeof last === "string" ? last : (last?.find((part) => part.type === "text")?.text ?? "");
}

function sendJson(res, status, value, headers = {}) {
  const text = JSON.stringify(value);
  res.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), ...headers });
  res.end(text);
}

const openaiBase = (body, object) => ({ id: "chatcmpl-1", object, created: 1700000000, model: body.model });

function openaiChunk(body, delta, finish = null) {
  return { ...openaiBase(body, "chat.completion.chunk"), choices: [{ index: 0, delta, finish_reason: finish }] };
}

async function openaiStream(res, body, text, entry) {
  res.writeHead(200, { "Content-Type": "text/event-stream" });
  const send = (value) => res.write(`data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`);
  send(openaiChunk(body, { role: "assistant", content: "" }));
  for (let i = 0; text === "forever" ? !entry.closedAt : i < WORDS.length; i++) {
    send(openaiChunk(body, { content: WORDS[i % WORDS.length] }));
    await wait(text === "slowly" || text === "forever" ? 40 : 1);
    if (text === "cut" && i === 2) return res.destroy();
  }
  send(openaiChunk(body, {}, "stop"));
  if (body.stream_options?.include_usage) send({ ...openaiBase(body, "chat.completion.chunk"), choices: [], usage: USAGE });
  send("[DONE]");
  res.end();
}

export const CALL_ARGUMENTS = '{"city":"Łódź"}';
const CALL = { id: "call_1", type: "function", function: { name: "weather", arguments: CALL_ARGUMENTS } };

// The call in three chunks.
async function openaiToolStream(res, body) {
  res.writeHead(200, { "Content-Type": "text/event-stream" });
  const send = (value) => res.write(`data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`);
  const part = (call) => send(openaiChunk(body, { tool_calls: [{ index: 0, ...call }] }));
  send(openaiChunk(body, { role: "assistant", content: null }));
  part({ id: CALL.id, type: "function", function: { name: "weather", arguments: "" } });
  for (const text of [CALL_ARGUMENTS.slice(0, 9), CALL_ARGUMENTS.slice(9)]) {
    part({ function: { arguments: text } });
    await wait(1);
  }
  send(openaiChunk(body, {}, "tool_calls"));
  if (body.stream_options?.include_usage) send({ ...openaiBase(body, "chat.completion.chunk"), choices: [], usage: USAGE });
  send("[DONE]");
  res.end();
}

const VECTORS = [[0.5, -1], [1, 0.25]];

function openaiEmbeddings(res, body) {
  const base64 = (v) => Buffer.from(new Float32Array(v).buffer).toString("base64");
  const inputs = [body.input].flat();
  const data = inputs.map((_, index) => ({
    object: "embedding", index, embedding: body.encoding_format === "base64" ? base64(VECTORS[index]) : VECTORS[index],
  }));
  sendJson(res, 200, { object: "list", data, model: body.model, usage: { prompt_tokens: inputs.length, total_tokens: inputs.length } });
}

function openaiAnswer(res, body, text) {
  const message = body.tools
    ? { role: "assistant", content: null, tool_calls: [CALL] }
    : { role: "assistant", content: WORDS.join("") };
  const finish_reason = body.tools ? "tool_calls" : "stop";
  sendJson(res, 200, { ...openaiBase(body, "chat.completion"), choices: [{ index: 0, message, finish_reason }], usage: USAGE });
}

const OPENAI_ERRORS = {
  unauthorized: [401, { error: { message: "Incorrect API key provided", type: "invalid_request_error", code: "invalid_api_key" } }],
  limited: [429, { error: { message: "Rate limit reached", type: "requests", code: "rate_limit_exceeded" } }],
  broken: [500, { error: { message: "The server had an error", type: "server_error" } }],
};

function openai(res, body, entry) {
  const text = lastText(body);
  if (OPENAI_ERRORS[text]) return sendJson(res, ...OPENAI_ERRORS[text]);
  if (text === "never") return undefined;
  if (body.input) return openaiEmbeddings(res, body);
  if (body.stream && body.tools && body.messages.at(-1).role !== "tool") return openaiToolStream(res, body);
  return body.stream ? openaiStream(res, body, text, entry) : openaiAnswer(res, body, text);
}

function anthropicMessage(body, content) {
  return {
    id: "msg_1", type: "message", role: "assistant", model: body.model, content,
    stop_reason: "end_turn", stop_sequence: null, usage: { input_tokens: 7, output_tokens: 6 },
  };
}

async function anthropicStream(res, body) {
  res.writeHead(200, { "Content-Type": "text/event-stream" });
  const send = (value) => res.write(`event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`);
  send({ type: "message_start", message: { ...anthropicMessage(body, []), stop_reason: null } });
  send({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } });
  send({ type: "ping" });
  for (const text of WORDS) {
    send({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } });
    await wait(1);
  }
  send({ type: "content_block_stop", index: 0 });
  send({ type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 6 } });
  send({ type: "message_stop" });
  res.end();
}

function anthropic(res, body) {
  if (body.stream) return anthropicStream(res, body);
  return sendJson(res, 200, anthropicMessage(body, [{ type: "text", text: WORDS.join("") }]));
}

async function handle(req, res) {
  const parts = [];
  for await (const part of req) parts.push(part);
  const body = JSON.parse(Buffer.concat(parts).toString("utf8") || "{}");
  const entry = { path: req.url, headers: req.headers, body };
  res.on("close", () => (entry.closedAt = performance.now()));
  seen.push(entry);
  return req.url.startsWith("/v1/messages") ? anthropic(res, body) : openai(res, body, entry);
}

export function startProvider() {
  const server = http.createServer((req, res) => handle(req, res).catch?.(() => res.destroy()));
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}
