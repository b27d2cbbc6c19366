-- Lines of the StatsD protocol: name:value|type|@rate, with tags in the style of some servers; and
-- packets of lines. Not their sending (log/stream).
-- Invariant: a name, value or tag never holds what ends it (":", "|", "@", "#", ",", newline).

local concat = table.concat

local _M = {}

local TYPES = {
  counter = "c", gauge = "g", histogram = "h", meter = "m", set = "s", timer = "ms", distribution = "d",
}

-- A part of a name: what a server would take for punctuation becomes "_".
function _M.clean(text)
  return (tostring(text):gsub("[%s:|@#,%[%]]", "_"))
end

local function number(value)
  return type(value) == "number" and ("%.14g"):format(value) or _M.clean(value)
end

local function join(tags, mark)
  local out = {}
  for i = 1, #tags, 2 do
    out[#out + 1] = tags[i] .. mark .. _M.clean(tags[i + 1])
  end
  return concat(out, ",")
end

-- tags: {name, value, name, value, ...}.
local STYLES = {
  dogstatsd = function(name, rest, tags)
    return name .. rest .. "|#" .. join(tags, ":")
  end,
  influxdb = function(name, rest, tags)
    return name .. "," .. join(tags, "=") .. rest
  end,
  librato = function(name, rest, tags)
    return name .. "#" .. join(tags, "=") .. rest
  end,
  signalfx = function(name, rest, tags)
    return name .. "[" .. join(tags, "=") .. "]" .. rest
  end,
}

-- One line without newline. kind: "counter", "timer" ...; rate: nil or 1 for all; style and tags: optional.
function _M.make(name, value, kind, rate, style, tags)
  local rest = ":" .. number(value) .. "|" .. TYPES[kind]
  if rate and rate < 1 then
    rest = rest .. "|@" .. ("%.14g"):format(rate)
  end
  if style and tags and #tags > 0 then
    return STYLES[style](name, rest, tags)
  end
  return name .. rest
end

-- Packs texts of lines into packets of up to max_bytes (a longer text is a packet by itself); max_bytes 0:
-- each line is a packet.
function _M.pack(texts, max_bytes)
  local packets, parts, size = {}, {}, 0
  local function flush()
    if parts[1] then
      packets[#packets + 1] = concat(parts, "\n")
      parts, size = {}, 0
    end
  end
  for _, text in ipairs(texts) do
    for line in text:gmatch("[^\n]+") do
      if size + #line + 1 > max_bytes then
        flush()
      end
      parts[#parts + 1] = line
      size = size + #line + 1
    end
  end
  flush()
  return packets
end

return _M
