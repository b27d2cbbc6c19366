-- Content of one message, from OpenAI's parts to Anthropic's blocks.
-- It is NOT the message list (request.lua) and decodes no text: strings are forwarded as they came.
-- Invariant: values in and out are raw JSON text.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"

local object, quote = json_text.object, json_text.quote

local _M = {}

local TEXT = quote("text")

-- Parts in Anthropic's own shape, which clients may send through an OpenAI client.
local NATIVE = { image = true, document = true, search_result = true }

local function source_of_url(raw)
  local url = json_text.unquote(raw)
  local media, data = url:match("^data:([%w.+/-]+)[^,]*;base64,(.*)$")
  if media then
    return object({ "type", '"base64"', "media_type", quote(media:lower()), "data", quote(data) })
  elseif url:find("^data:") then
    return nil, "data: URL of an image must be base64 encoded and name its media type"
  elseif not url:find("^[hH][tT][tT][pP][sS]?://.") then
    return nil, "URL of an image must begin with data:, http:// or https://"
  end
  return object({ "type", '"url"', "url", raw })
end

local function text_block(raw, cache_control)
  return object({ "type", TEXT, "text", raw, "cache_control", cache_control or false })
end

local function image_block(part)
  local image = part.image_url
  local url = span.type(image) == "string" and image or span.path(image, "url")
  if span.type(url) ~= "string" then
    return nil, "message part type is 'image_url' but is missing .image_url.url block"
  end
  local source, err = source_of_url(url)
  if not source then
    return nil, err
  end
  return object({
    "type", '"image"', "source", source, "cache_control", part.cache_control or false,
  })
end

local function file_block(part)
  local data = json_text.unquote(span.path(part.file, "file_data"))
  local media, base64 = (data or ""):match("^data:([%w.+/-]+)[^,]*;base64,(.*)$")
  if not media then
    return nil, "message part type is 'file' but .file.file_data is no base64 data: URL"
  end
  local source = object({ "type", '"base64"', "media_type", quote(media), "data", quote(base64) })
  return object({
    "type", '"document"', "source", source, "title", span.path(part.file, "filename") or false,
    "cache_control", part.cache_control or false,
  })
end

local function block_of(raw)
  local part, err = span.object(raw)
  if not part then
    return nil, "message part is " .. err
  end
  local kind = json_text.unquote(part.type)
  if kind == "text" then
    if span.type(part.text) ~= "string" then
      return nil, "message part type is 'text' but is missing .text block"
    end
    return part.text ~= '""' and text_block(part.text, part.cache_control)
  elseif kind == "refusal" and span.type(part.refusal) == "string" then
    return text_block(part.refusal)
  elseif kind == "image_url" then
    return image_block(part)
  elseif kind == "file" then
    return file_block(part)
  elseif NATIVE[kind] then
    return raw
  end
  return nil, "cannot transform part of type '" .. tostring(kind) .. "' to Anthropic format"
end

-- Raw content (string, array of parts, null or absent) as a list of raw blocks. Empty texts, which
-- Anthropic refuses, are left out. cache_control: raw, for the last block, or nil.
function _M.blocks(raw, cache_control)
  local kind = span.type(raw)
  if kind == nil or kind == "null" then
    return {}
  elseif kind == "string" then
    return raw ~= '""' and { text_block(raw, cache_control) } or {}
  elseif kind ~= "array" then
    return nil, "message content must be a string or an array"
  end
  local parts, why = span.array(raw)
  if not parts then
    return nil, why
  end
  local out = {}
  for i = 1, #parts do
    local block, err = block_of(parts[i])
    if err then
      return nil, err
    end
    out[#out + 1] = block or nil
  end
  return out
end

-- The same as one raw value: a string stays a string, parts become an array of blocks.
function _M.value(raw)
  if span.type(raw) == "string" then
    return raw
  end
  local blocks, err = _M.blocks(raw)
  return blocks and json_text.array(blocks), err
end

return _M
