-- The front door for clients that speak Anthropic's Messages format: their request, as a chat
-- request in OpenAI's format.
-- It is NOT the answer (front_response.lua, front_stream.lua); request.lua goes the other way.
-- Invariant: tool schemas, inputs and texts are forwarded as raw JSON text, digits intact.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"

local array, object, quote = json_text.array, json_text.object, json_text.quote

local NO_CONTENT = "content must be a string or an array of blocks"

local _M = {}

local function present(raw)
  return raw ~= nil and raw ~= "null" and raw
end

-- Texts of a string or of text blocks, as one raw string; nil, error for other blocks.
local function text_of(raw, between)
  if span.type(raw) == "string" then
    return raw
  elseif span.type(raw) ~= "array" then
    return '""'
  end
  local texts = {}
  for _, block in ipairs(span.array(raw)) do
    local text = span.path(block, "text")
    if span.type(text) ~= "string" then
      return nil, "only text blocks are supported here"
    end
    texts[#texts + 1] = text
  end
  return json_text.join_strings(texts, between)
end

local function url_of(source)
  local kind = json_text.unquote(span.path(source, "type"))
  if kind == "url" then
    return span.path(source, "url")
  elseif kind == "base64" then
    return quote("data:" .. (json_text.unquote(span.path(source, "media_type")) or "") .. ";base64,"
      .. (json_text.unquote(span.path(source, "data")) or ""))
  end
end

local function document_part(block)
  local kind = json_text.unquote(span.path(block.source, "type"))
  local data = span.path(block.source, "data")
  if kind == "text" and span.type(data) == "string" then
    return object({ "type", '"text"', "text", data })
  end
  local url = kind == "base64" and url_of(block.source)
  if not url then
    return nil, "a document must be base64 or text"
  end
  return object({ "type", '"file"', "file", object({
    "filename", span.type(block.title) == "string" and block.title or '"document.pdf"',
    "file_data", url,
  }) })
end

-- What a block of a user message becomes: part, tool message, error.
local function user_block(raw)
  local block = span.object(raw)
  local kind = block and json_text.unquote(block.type)
  if kind == "text" and span.type(block.text) == "string" then
    return object({ "type", '"text"', "text", block.text })
  elseif kind == "image" then
    local url = url_of(block.source)
    if not url then
      return nil, nil, "an image needs a source of type base64 or url"
    end
    return object({ "type", '"image_url"', "image_url", object({ "url", url }) })
  elseif kind == "document" then
    local part, err = document_part(block)
    return part, nil, err
  elseif kind == "tool_result" then
    local text, err = text_of(block.content, "\\n")
    if not text then
      return nil, nil, "tool_result: " .. err
    end
    return nil, object({
      "role", '"tool"', "tool_call_id", block.tool_use_id or '""', "content", text,
    })
  end
  return nil, nil, "blocks of type '" .. tostring(kind) .. "' cannot be sent to this provider"
end

local function add_user(out, content)
  if span.type(content) == "string" then
    out[#out + 1] = object({ "role", '"user"', "content", content })
    return true
  end
  local parts, blocks = {}, span.array(content)
  if not blocks then
    return nil, NO_CONTENT
  end
  for _, raw in ipairs(blocks) do
    local part, answer, err = user_block(raw)
    if err then
      return nil, err
    end
    parts[#parts + 1] = part
    out[#out + 1] = answer
  end
  if #parts > 0 then
    out[#out + 1] = object({ "role", '"user"', "content", array(parts) })
  end
  return true
end

-- Thinking is left out: no provider of this format takes it back.
local function add_assistant(out, content)
  if span.type(content) == "string" then
    out[#out + 1] = object({ "role", '"assistant"', "content", content })
    return true
  end
  local texts, calls, blocks = {}, {}, span.array(content)
  if not blocks then
    return nil, NO_CONTENT
  end
  for _, raw in ipairs(blocks) do
    local block = span.object(raw) or {}
    local kind = json_text.unquote(block.type)
    if kind == "text" and span.type(block.text) == "string" then
      texts[#texts + 1] = block.text
    elseif kind == "tool_use" then
      calls[#calls + 1] = object({
        "id", block.id or '""', "type", '"function"', "function", object({
          "name", block.name or '""', "arguments", quote(block.input or "{}"),
        }),
      })
    end
  end
  out[#out + 1] = (#texts > 0 or #calls > 0) and object({
    "role", '"assistant"',
    "content", #texts > 0 and json_text.join_strings(texts) or "null",
    "tool_calls", #calls > 0 and array(calls),
  }) or nil
  return true
end

local function messages_of(body)
  local out = {}
  local system, err = text_of(body.system, "\\n\\n")
  if not system then
    return nil, "system: " .. err
  elseif system ~= '""' then
    out[1] = object({ "role", '"system"', "content", system })
  end
  for i, raw in ipairs(span.array(body.messages or "[]") or {}) do
    local message = span.object(raw) or {}
    local role = json_text.unquote(message.role)
    local add = role == "user" and add_user or role == "assistant" and add_assistant
    if not add then
      return nil, "messages." .. (i - 1) .. ": role '" .. tostring(role) .. "' is not supported"
    end
    local ok, why = add(out, message.content)
    if not ok then
      return nil, "messages." .. (i - 1) .. ": " .. why
    end
  end
  return array(out)
end

local function tools_of(raw)
  if span.type(raw) ~= "array" then
    return nil
  end
  local list = {}
  for i, text in ipairs(span.array(raw)) do
    local tool = span.object(text) or {}
    local kind = json_text.unquote(tool.type)
    if kind and kind ~= "custom" then
      return nil, "tools." .. (i - 1) .. ": tools of type '" .. kind .. "' need Anthropic"
    end
    list[i] = object({ "type", '"function"', "function", object({
      "name", tool.name or '""', "description", present(tool.description),
      "parameters", present(tool.input_schema),
    }) })
  end
  return #list > 0 and array(list) or nil
end

local CHOICES = { auto = '"auto"', any = '"required"', none = '"none"' }

local function choice_of(raw)
  local kind = json_text.unquote(span.path(raw, "type"))
  if kind == "tool" then
    return object({ "type", '"function"', "function", object({
      "name", span.path(raw, "name") or '""',
    }) })
  end
  return CHOICES[kind]
end

local function number_of(options, name, raw)
  return options[name] and json_text.number(options[name]) or present(raw)
end

-- The body for POST /v1/chat/completions. how = {model, stream, options, drop_top_k, newer_cap,
-- ask_usage}: newer_cap names the cap max_completion_tokens. Returns text, {}; or nil, error.
function _M.convert(text, how)
  local body, err = span.object(text)
  if not body then
    return nil, err
  end
  local messages, tools
  messages, err = messages_of(body)
  if not messages then
    return nil, err
  end
  tools, err = tools_of(body.tools)
  if err then
    return nil, err
  end
  local options = how.options or {}
  local single = span.path(body.tool_choice, "disable_parallel_tool_use") == "true"
  local cap = how.newer_cap and "max_completion_tokens" or "max_tokens"
  return object({
    "model", quote(how.model),
    "messages", messages,
    cap, number_of(options, "max_tokens", body.max_tokens),
    "temperature", number_of(options, "temperature", body.temperature),
    "top_p", number_of(options, "top_p", body.top_p),
    "top_k", not how.drop_top_k and number_of(options, "top_k", body.top_k),
    "stop", span.type(body.stop_sequences) == "array" and body.stop_sequences ~= "[]"
      and body.stop_sequences,
    "tools", tools or false,
    "tool_choice", tools and choice_of(body.tool_choice) or false,
    "parallel_tool_calls", tools and single and "false",
    "user", span.path(body.metadata, "user_id") or false,
    "stream", how.stream and "true" or "false",
    "stream_options", how.stream and how.ask_usage and '{"include_usage":true}',
  }), {}
end

return _M
