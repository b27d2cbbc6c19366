-- A chat request from OpenAI's format to Anthropic's Messages format.
-- It is NOT the way back (response.lua, stream.lua); parts of a message are in content.lua.
-- Invariant: tool schemas, arguments and texts are forwarded as raw JSON text, digits intact.

local content = require "moongate.ai.anthropic.content"
local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"

local array, object, quote = json_text.array, json_text.object, json_text.quote

local _M = {}

local MAX_TOKENS_DEFAULT = 4096

-- Members with a meaning here; everything else a client sends is reported as dropped.
local KNOWN = {
  model = true, messages = true, stream = true, stream_options = true, max_tokens = true,
  max_completion_tokens = true, temperature = true, top_p = true, top_k = true, stop = true,
  tools = true, tool_choice = true, parallel_tool_calls = true, user = true, n = true,
  thinking = true, extra_body = true,
}

local function fail(index, why)
  return nil, "messages[" .. (index - 1) .. "]: " .. why
end

-- System texts -----------------------------------------------------------------------------------

-- Plain texts are joined to one string; a block with cache_control forces the array form.
local function system_of(blocks)
  if #blocks == 0 then
    return nil
  end
  local texts = {}
  for i, block in ipairs(blocks) do
    local members = span.object(block)
    if members.cache_control or span.type(members.text) ~= "string" then
      return array(blocks)
    end
    texts[i] = members.text
  end
  return json_text.join_strings(texts, "\\n\\n")
end

-- Messages ---------------------------------------------------------------------------------------

local function tool_use(raw, where)
  local name = span.path(raw, "function", "name")
  local id = span.path(raw, "id")
  if span.type(name) ~= "string" or span.type(id) ~= "string" then
    return nil, where .. " needs id and function.name"
  end
  local arguments = span.path(raw, "function", "arguments")
  local input = arguments and json_text.unquote(arguments) or ""
  input = input:match("^%s*(.-)%s*$")
  if input == "" then
    input = "{}"
  end
  if not span.object(input) then
    return nil, where .. ".function.arguments is no JSON object"
  end
  return object({ "type", '"tool_use"', "id", id, "name", name, "input", input })
end

local function append(list, more)
  for i = 1, #more do
    list[#list + 1] = more[i]
  end
end

-- Thinking blocks a client got from us come back in front, signatures untouched.
local function assistant_blocks(message)
  local out = {}
  if span.type(message.thinking_blocks) == "array" then
    append(out, span.array(message.thinking_blocks))
  end
  local blocks, err = content.blocks(message.content, message.cache_control)
  if not blocks then
    return nil, err
  end
  append(out, blocks)
  if span.type(message.tool_calls) == "array" then
    for i, call in ipairs(span.array(message.tool_calls)) do
      local block, why = tool_use(call, "tool_calls[" .. (i - 1) .. "]")
      if not block then
        return nil, why
      end
      out[#out + 1] = block
    end
  end
  return out
end

local function tool_blocks(message)
  if span.type(message.tool_call_id) ~= "string" then
    return nil, "a tool message needs tool_call_id"
  end
  local value, err = content.value(message.content)
  if not value then
    return nil, err
  end
  return { object({
    "type", '"tool_result"', "tool_use_id", message.tool_call_id, "content", value,
    "cache_control", message.cache_control or false,
  }) }
end

local function user_blocks(message)
  return content.blocks(message.content, message.cache_control)
end

-- OpenAI's role -> Anthropic's role and the function that makes its blocks. All answers to parallel
-- tool calls must stand in one user message, so neighbours of one role become one message.
local ROLES = {
  user = { role = "user", blocks = user_blocks },
  tool = { role = "user", blocks = tool_blocks },
  assistant = { role = "assistant", blocks = assistant_blocks },
}

-- {raw message, ...}, {raw system block, ...} or nil, error.
local function read_messages(raw)
  local turns, system = {}, {}
  local list, why = span.array(raw)
  if not list then
    return nil, why
  end
  for i, text in ipairs(list) do
    local message, bad = span.object(text)
    if not message then
      return fail(i, bad)
    end
    local role = json_text.unquote(message.role)
    local kind = ROLES[role]
    local is_system = role == "system" or role == "developer"
    if not kind and not is_system then
      return fail(i, "role '" .. tostring(role) .. "' is not supported")
    end
    local blocks, err = (is_system and user_blocks or kind.blocks)(message)
    if not blocks then
      return fail(i, err)
    end
    local last = turns[#turns]
    if is_system then
      append(system, blocks)
    elseif last and last.role == kind.role then
      append(last.blocks, blocks)
      last.plain = false
    elseif #blocks > 0 then
      local plain = role == "user" and span.type(message.content) == "string"
        and not message.cache_control and message.content
      turns[#turns + 1] = { role = kind.role, blocks = blocks, plain = plain }
    end
  end
  return turns, system
end

local function write_turns(turns)
  local out = {}
  for i, turn in ipairs(turns) do
    out[i] = object({ "role", quote(turn.role), "content", turn.plain or array(turn.blocks) })
  end
  return array(out)
end

-- Tools ------------------------------------------------------------------------------------------

local function tools_of(raw)
  local list, err = span.array(raw)
  if not list then
    return nil, "tools is " .. err
  end
  for i, text in ipairs(list) do
    local tool = span.object(text)
    local definition = tool and span.type(tool["function"]) == "object"
      and span.object(tool["function"])
    if not tool then
      return nil, "tools[" .. (i - 1) .. "] is not an object"
    elseif definition then
      if span.type(definition.name) ~= "string" then
        return nil, "tools[" .. (i - 1) .. "].function.name must be a string"
      end
      local schema = span.type(definition.parameters) == "object" and definition.parameters
      list[i] = object({
        "name", definition.name,
        "description", span.type(definition.description) == "string" and definition.description,
        "input_schema", schema or '{"type":"object","properties":{}}',
        "cache_control", tool.cache_control or definition.cache_control or false,
      })
    elseif json_text.unquote(tool.type) == "function" then
      return nil, "tools[" .. (i - 1) .. "].function is missing"
    end -- any other type is one of Anthropic's own tools and passes as it is
  end
  return array(list)
end

local CHOICES = { auto = '"auto"', none = '"none"', required = '"any"' }

local function tool_choice_of(raw, parallel, has_tools)
  local single = parallel == "false" and "true"
  local kind = span.type(raw)
  if kind == nil or kind == "null" then
    return single and has_tools
      and object({ "type", '"auto"', "disable_parallel_tool_use", single }) or nil
  elseif kind == "string" then
    local choice = CHOICES[json_text.unquote(raw)]
    if not choice then
      return nil, "tool_choice " .. raw .. " is not supported"
    end
    return object({
      "type", choice, "disable_parallel_tool_use", choice ~= '"none"' and single,
    })
  end
  local name = span.path(raw, "function", "name")
  if span.type(name) ~= "string" then
    return nil, "tool_choice must be auto, none, required or name a function"
  end
  return object({ "type", '"tool"', "name", name, "disable_parallel_tool_use", single })
end

-- The rest ---------------------------------------------------------------------------------------

local function present(raw)
  return raw ~= nil and raw ~= "null" and raw
end

local function number_of(options, name, raw)
  return options[name] and json_text.number(options[name]) or present(raw)
end

local function stop_of(raw)
  if span.type(raw) == "string" then
    return array({ raw })
  end
  return span.type(raw) == "array" and raw
end

local function extras(members, body, dropped)
  local taken = {}
  for i = 1, #members, 2 do
    taken[members[i]] = true
  end
  local at, names = nil, nil
  if span.type(body.extra_body) == "object" then
    at, names = span.object(body.extra_body)
  end
  for _, name in ipairs(names or {}) do
    if not taken[name] then
      members[#members + 1] = name
      members[#members + 1] = at[name]
    end
  end
  for name in pairs(body) do
    if not KNOWN[name] then
      dropped[#dropped + 1] = name
    end
  end
  table.sort(dropped)
end

-- The body for POST /v1/messages. how = {model = name, stream = bool, options = model.options}.
-- Returns text, {names of members that have no counterpart}; or nil, error text for the client.
function _M.convert(text, how)
  local body, err = span.object(text)
  if not body then
    return nil, err
  end
  if present(body.n) and body.n ~= "1" then
    return nil, "n must be 1: Anthropic answers with one choice"
  end
  local turns, system = read_messages(body.messages or "null")
  if not turns then
    return nil, system
  end
  if #turns == 0 then
    return nil, "at least one user message is needed beside system messages"
  end
  local tools, tool_choice
  if present(body.tools) and body.tools ~= "[]" then
    tools, err = tools_of(body.tools)
    if not tools then
      return nil, err
    end
  end
  tool_choice, err = tool_choice_of(body.tool_choice, body.parallel_tool_calls, tools)
  if err then
    return nil, err
  end
  local options = how.options or {}
  local user = span.type(body.user) == "string" and object({ "user_id", body.user })
  local members = {
    "model", quote(how.model),
    "max_tokens", number_of(options, "max_tokens",
      present(body.max_completion_tokens) or body.max_tokens) or tostring(MAX_TOKENS_DEFAULT),
    "system", system_of(system) or false,
    "messages", write_turns(turns),
    "temperature", number_of(options, "temperature", body.temperature),
    "top_p", number_of(options, "top_p", body.top_p),
    "top_k", number_of(options, "top_k", body.top_k),
    "stop_sequences", stop_of(body.stop),
    "tools", tools or false,
    "tool_choice", tools and tool_choice or false,
    "thinking", present(body.thinking),
    "metadata", user,
    "stream", how.stream and "true" or "false",
  }
  local dropped = {}
  extras(members, body, dropped)
  return object(members), dropped
end

return _M
