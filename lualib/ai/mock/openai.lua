-- The mock provider in OpenAI's formats: chat, completions, embeddings, models; whole or streamed.
-- It is NOT where words come from (reply.lua), and writes to no socket (plugins/ai-mock).
-- Invariant: the joined deltas of a stream are the message of the whole answer.

local json = require "moongate.util.json_encode"
local reply = require "moongate.ai.mock.reply"

local array, null = json.array, json.null

local _M = {}

local CALL_ARGUMENTS = "{}"

local function usage_of(prompt, completion)
  return {
    prompt_tokens = prompt, completion_tokens = completion, total_tokens = prompt + completion,
    prompt_tokens_details = { cached_tokens = 0 },
  }
end

local function call_of(name, index)
  return {
    id = "call_mock_" .. index, type = "function",
    ["function"] = { name = name, arguments = CALL_ARGUMENTS },
  }
end

-- Everything an answer of either manner is made of.
local function plan(request, conf)
  local is_chat = request.messages ~= nil
  local tool = is_chat and reply.forced_tool(request)
  local pieces, cut
  if tool then
    pieces, cut = {}, false
  else
    pieces, cut = reply.words(request, conf.reply)
  end
  local n = reply.choices(request)
  return {
    is_chat = is_chat, tool = tool, pieces = pieces, n = n,
    finish = tool and "tool_calls" or cut and "length" or "stop",
    usage = usage_of(reply.count_prompt(request), n * (tool and 1 or #pieces)),
  }
end

local function head(how, request, object)
  return {
    id = how.id, created = how.created, object = object,
    model = type(request.model) == "string" and request.model or how.model,
  }
end

-- The whole answer of a chat or completions request. conf = {reply}; how = {id, created, model}.
function _M.whole(request, conf, how)
  local parts = plan(request, conf)
  local text = table.concat(parts.pieces)
  local out = head(how, request, parts.is_chat and "chat.completion" or "text_completion")
  out.choices = array({})
  for i = 1, parts.n do
    local choice = { index = i - 1, finish_reason = parts.finish, logprobs = null }
    if parts.is_chat then
      choice.message = {
        role = "assistant", content = parts.tool and null or text, refusal = null,
        tool_calls = parts.tool and array({ call_of(parts.tool, i - 1) }) or nil,
      }
    else
      choice.text = text
    end
    out.choices[i] = choice
  end
  out.usage = parts.usage
  return json.encode(out)
end

-- The deltas of one choice, in order.
local function deltas_of(parts, choice_index)
  if not parts.is_chat then
    return parts.pieces
  end
  local out = { { role = "assistant", content = parts.tool and null or "" } }
  if parts.tool then
    local call = call_of(parts.tool, choice_index)
    call.index, call["function"].arguments = 0, ""
    out[2] = { tool_calls = array({ call }) }
    out[3] = { tool_calls = array({
      { index = 0, ["function"] = { arguments = CALL_ARGUMENTS } },
    }) }
  end
  for _, piece in ipairs(parts.pieces) do
    out[#out + 1] = { content = piece }
  end
  return out
end

local function wants_usage(request)
  local options = request.stream_options
  return type(options) == "table" and options.include_usage == true
end

-- The events of a streamed answer as a list of texts, the last one is [DONE].
function _M.events(request, conf, how)
  local parts = plan(request, conf)
  local with_usage = wants_usage(request)
  local object = parts.is_chat and "chat.completion.chunk" or "text_completion"
  local out = {}
  local function event(choices, usage)
    local chunk = head(how, request, object)
    chunk.choices = array(choices)
    chunk.usage = usage or with_usage and null or nil
    out[#out + 1] = "data: " .. json.encode(chunk) .. "\n\n"
  end
  local function piece(index, delta, finish)
    local choice = { index = index, logprobs = null, finish_reason = finish or null }
    choice[parts.is_chat and "delta" or "text"] = delta
    event({ choice })
  end
  local deltas = {}
  for i = 1, parts.n do
    deltas[i] = deltas_of(parts, i - 1)
  end
  for step = 1, #deltas[1] do
    for i = 1, parts.n do
      piece(i - 1, deltas[i][step])
    end
  end
  for i = 1, parts.n do
    piece(i - 1, parts.is_chat and {} or "", parts.finish)
  end
  if with_usage then
    event({}, parts.usage)
  end
  out[#out + 1] = "data: [DONE]\n\n"
  return out
end

-- The answer of an embeddings request, or nil, error.
function _M.embeddings(request, conf, how)
  local inputs = reply.inputs(request)
  if not inputs then
    return nil, "input must be a string or a non-empty array"
  end
  local data, tokens = array({}), 0
  for i, text in ipairs(inputs) do
    data[i] = {
      object = "embedding", index = i - 1,
      embedding = array(reply.vector(text, request.dimensions or conf.embedding_dimensions)),
    }
    tokens = tokens + reply.count(text)
  end
  return json.encode({
    object = "list", data = data,
    model = type(request.model) == "string" and request.model or how.model,
    usage = { prompt_tokens = tokens, total_tokens = tokens },
  })
end

-- The answer to GET /v1/models.
function _M.models(names, how)
  local data = array({})
  for i, name in ipairs(names) do
    data[i] = { id = name, object = "model", created = how.created, owned_by = "moongate" }
  end
  return json.encode({ object = "list", data = data })
end

-- An error object; `kind` is its type.
function _M.error(message, kind)
  return json.encode({ error = { message = message, type = kind, param = null, code = null } })
end

return _M
