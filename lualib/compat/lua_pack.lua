-- The name guests know: require "lua_pack": integers and strings as bytes, by a format of letters: "<" ">" "=" order
-- (little, big, the machine's, little) | b C unsigned, c signed byte | H h 2 bytes | I i 4 | L l 8 | An n bytes of text |
-- z text up to a zero byte. A letter may be followed by a count: it stands for that many values.

local floor = math.floor

local _M = {}

local SIZES = { b = 1, C = 1, c = 1, H = 2, h = 2, I = 4, i = 4, L = 8, l = 8 }
local SIGNED = { c = true, h = true, i = true, l = true }

local function write_integer(value, size, big)
  local bytes = {}
  for i = 1, size do
    bytes[big and size + 1 - i or i] = string.char(value % 256)
    value = floor(value / 256)
  end
  return table.concat(bytes)
end

local function read_integer(text, from, size, big, signed)
  if from + size - 1 > #text then
    return nil
  end
  local value = 0
  for i = 0, size - 1 do
    value = value * 256 + text:byte(from + (big and i or size - 1 - i))
  end
  return signed and value >= 2 ^ (8 * size - 1) and value - 2 ^ (8 * size) or value
end

-- Calls fn(letter, count, big-endian?) for each letter of a format; ends when it returns false.
local function each(format, fn)
  local big = false
  for letter, count in format:gmatch("([%a<>=])(%d*)") do
    if letter == ">" then
      big = true
    elseif letter == "<" or letter == "=" then
      big = false
    elseif not SIZES[letter] and letter ~= "A" and letter ~= "z" then
      error("the format letter '" .. letter .. "' is not supported", 3)
    elseif fn(letter, tonumber(count) or 1, big) == false then
      return
    end
  end
end

--- The bytes of the values. Too few values, or none of their kind, raise.
function _M.pack(format, ...)
  local values, at, out = { ... }, 0, {}
  each(format, function(letter, count, big)
    for _ = 1, letter == "A" and 1 or count do
      at = at + 1
      if SIZES[letter] then
        out[#out + 1] = write_integer(values[at], SIZES[letter], big)
      else
        out[#out + 1] = values[at] .. (letter == "z" and "\0" or "")
      end
    end
  end)
  return table.concat(out)
end

local function read(text, letter, count, big, from)
  if SIZES[letter] then
    return read_integer(text, from, SIZES[letter], big, SIGNED[letter]), from + SIZES[letter]
  elseif letter == "A" then
    return from + count - 1 <= #text and text:sub(from, from + count - 1) or nil, from + count
  end
  local stop = text:find("\0", from, true)
  return stop and text:sub(from, stop - 1), (stop or 0) + 1
end

--- Where what was read ends (the next byte), then the values, from byte `from` (1). Stops where the text does.
function _M.unpack(text, format, from)
  local out = { from or 1 }
  each(format, function(letter, count, big)
    for _ = 1, letter == "A" and 1 or count do
      local value, behind = read(text, letter, count, big, out[1])
      if value == nil then
        return false
      end
      out[#out + 1], out[1] = value, behind
    end
  end)
  return unpack(out)
end

return _M
