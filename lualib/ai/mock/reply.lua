-- What the mock provider says: reads a request, makes up texts, tool calls and vectors, and counts
-- words as tokens. Formats are in openai.lua and anthropic.lua beside this file.
-- It is NOT a model: equal requests get equal answers.
-- Invariant: nothing in a request, however odd its types, raises an error.

local cjson = require "cjson"

local _M = {}

local DIMENSIONS_DEFAULT, DIMENSIONS_MAX = 8, 4096
local CHOICES_MAX = 16

-- Words of a text; what the mock calls tokens.
function _M.count(text)
  return select(2, text:gsub("%S+", ""))
end

-- The text of a message's content: a string, or the texts of its parts.
function _M.text_of(content)
  if type(content) == "string" then
    return content
  end
  local out = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if type(part) == "table" and type(part.text) == "string" then
      out[#out + 1] = part.text
    elseif type(part) == "string" then
      out[#out + 1] = part
    end
  end
  return table.concat(out, " ")
end

local function each_message(request)
  return ipairs(type(request.messages) == "table" and request.messages or {})
end

-- Tokens of all that the client said.
function _M.count_prompt(request)
  local total = _M.count(_M.text_of(request.prompt)) + _M.count(_M.text_of(request.system))
  for _, message in each_message(request) do
    if type(message) == "table" then
      total = total + _M.count(_M.text_of(message.content))
    end
  end
  return total
end

local function last_words(request)
  local found = _M.text_of(request.prompt)
  for _, message in each_message(request) do
    if type(message) == "table" and message.role == "user" then
      found = _M.text_of(message.content)
    end
  end
  return found
end

local function limit_of(request)
  local limit = type(request.max_completion_tokens) == "number" and request.max_completion_tokens
    or type(request.max_tokens) == "number" and request.max_tokens
  return limit and limit >= 0 and limit or math.huge
end

-- The answer as pieces of one word each, and whether max_tokens cut it short.
function _M.words(request, reply)
  reply = reply or "Hello from Moongate's mock model. You said: \"" .. last_words(request) .. '"'
  local pieces = {}
  local limit = limit_of(request)
  for piece in reply:gmatch("%s*%S+") do
    if #pieces >= limit then
      return pieces, true
    end
    pieces[#pieces + 1] = piece
  end
  return pieces, false
end

-- How many choices the client wants.
function _M.choices(request)
  local n = type(request.n) == "number" and math.floor(request.n) or 1
  return math.max(1, math.min(n, CHOICES_MAX))
end

local function name_of(tool)
  local definition = type(tool) == "table" and (tool["function"] or tool)
  return type(definition) == "table" and type(definition.name) == "string" and definition.name
    or nil
end

-- The name of the tool the client forces to be called (tool_choice names one, or requires any), or
-- nil. Takes OpenAI's and Anthropic's spelling.
function _M.forced_tool(request)
  local choice, tools = request.tool_choice, request.tools
  if type(tools) ~= "table" or not tools[1] then
    return nil
  end
  local kind = type(choice) == "table" and choice.type or choice
  if kind == "required" or kind == "any" then
    return name_of(tools[1])
  elseif kind == "function" or kind == "tool" then
    return name_of(choice)
  end
end

local function hash(text)
  local value = 5381
  for i = 1, #text do
    value = (value * 33 + text:byte(i)) % 4294967296
  end
  return value
end

-- A unit vector that depends on the text alone.
function _M.vector(text, dimensions)
  dimensions = type(dimensions) == "number" and math.floor(dimensions) or DIMENSIONS_DEFAULT
  dimensions = math.max(1, math.min(dimensions, DIMENSIONS_MAX))
  local seed, out, square = hash(text), {}, 0
  for i = 1, dimensions do
    seed = (seed * 1103515 + 12345) % 2147483648
    out[i] = seed / 1073741824 - 1
    square = square + out[i] * out[i]
  end
  local length = math.sqrt(square)
  for i = 1, dimensions do
    out[i] = length > 0 and out[i] / length or 1
  end
  return out
end

-- The texts of an embeddings request: a string, strings, tokens, or lists of tokens.
function _M.inputs(request)
  local input = request.input
  if type(input) == "string" then
    return { input }
  elseif type(input) ~= "table" or input[1] == nil then
    return nil
  elseif type(input[1]) == "number" then
    return { table.concat(input, " ") }
  end
  local out = {}
  for i, each in ipairs(input) do
    local ok, text = pcall(cjson.encode, each)
    out[i] = type(each) == "string" and each or ok and text or ""
  end
  return out
end

return _M
