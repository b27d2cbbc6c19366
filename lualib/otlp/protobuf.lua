-- Writes the protobuf wire format: varints, fixed numbers, strings, messages. No schemas, no reading.
-- Invariant: every function returns the bytes of a whole field, tag included; zero values that proto3
-- leaves out are the caller's to leave out.

local char, floor = string.char, math.floor

local _M = {}

local VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
local TWO_32, TWO_64 = 2 ^ 32, 2 ^ 64

-- n: an integer from 0 up to 2^53.
local function varint(n)
  if n < 0x80 then
    return char(n)
  end
  local out = {}
  while n >= 0x80 do
    out[#out + 1] = char(n % 0x80 + 0x80)
    n = floor(n / 0x80)
  end
  out[#out + 1] = char(n)
  return table.concat(out)
end

local function tag(field, kind)
  return varint(field * 8 + kind)
end

local function little_endian(n, bytes)
  local out = {}
  for i = 1, bytes do
    out[i] = char(n % 256)
    n = floor(n / 256)
  end
  return table.concat(out)
end

-- Negative numbers are 64-bit two's complement: seven bits of each byte from the low half up.
local function negative(n)
  local low = n % TWO_32
  local high = floor(n / TWO_32) % TWO_32
  local out = {}
  for i = 1, 9 do
    out[i] = char(low % 0x80 + 0x80)
    low = floor(low / 0x80) + (high % 0x80) * 2 ^ 25
    high = floor(high / 0x80)
  end
  out[10] = char(1)
  return table.concat(out)
end

-- An integer (int64, enum), from -2^53 to 2^53.
function _M.int(field, n)
  return tag(field, VARINT) .. (n < 0 and negative(n) or varint(n))
end

function _M.bool(field, value)
  return tag(field, VARINT) .. char(value and 1 or 0)
end

-- A string, bytes or an encoded message.
function _M.bytes(field, text)
  return tag(field, LENGTH) .. varint(#text) .. text
end

-- A number of 8 bytes without sign; n up to 2^64, as exact as a double is.
function _M.fixed64(field, n)
  n = n % TWO_64
  return tag(field, FIXED64) .. little_endian(n % TWO_32, 4) .. little_endian(floor(n / TWO_32), 4)
end

function _M.fixed32(field, n)
  return tag(field, FIXED32) .. little_endian(n, 4)
end

-- The halves of a double's bits: mantissa's low 32, sign, exponent and the rest.
local function halves(n)
  if n ~= n then
    return 0, 0x7FF80000
  end
  local sign = (n < 0 or 1 / n < 0) and 0x80000000 or 0
  n = math.abs(n)
  if n == 0 then
    return 0, sign
  elseif n == math.huge then
    return 0, sign + 0x7FF00000
  end
  local mantissa, exponent = math.frexp(n)
  exponent = exponent + 1022
  if exponent <= 0 then -- subnormal
    mantissa, exponent = mantissa * 2 ^ (exponent - 1), 0
    mantissa = mantissa * 2 ^ 53
  else
    mantissa = (mantissa * 2 - 1) * 2 ^ 52
  end
  return mantissa % TWO_32, sign + exponent * 2 ^ 20 + floor(mantissa / TWO_32)
end

function _M.double(field, n)
  local low, high = halves(n)
  return tag(field, FIXED64) .. little_endian(low, 4) .. little_endian(high, 4)
end

return _M
