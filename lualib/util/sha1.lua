-- SHA-1 in plain Lua, for names of entities (UUID version 5). Not for secrets or signatures:
-- those use OpenSSL in C, which the gateway also hands to the loader in place of this.
-- Invariant: hex(text) gives 40 lower-case digits for any byte string.

local bit = require("bit")

local band, bor, bxor, bnot = bit.band, bit.bor, bit.bxor, bit.bnot
local rol, tobit, tohex = bit.rol, bit.tobit, bit.tohex
local byte, char = string.byte, string.char

local M = {}

local words = {}

local function load_block(text, at)
  for i = 0, 15 do
    local a, b, c, d = byte(text, at + i * 4, at + i * 4 + 3)
    words[i] = bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
  end
  for i = 16, 79 do
    words[i] = rol(bxor(words[i - 3], words[i - 8], words[i - 14], words[i - 16]), 1)
  end
end

local function mix(i, b, c, d)
  if i < 20 then
    return bor(band(b, c), band(bnot(b), d)), 0x5a827999
  elseif i < 40 then
    return bxor(b, c, d), 0x6ed9eba1
  elseif i < 60 then
    return bor(band(b, c), band(b, d), band(c, d)), 0x8f1bbcdc
  end
  return bxor(b, c, d), 0xca62c1d6
end

local function pad(text)
  local bits = #text * 8
  local high, low = math.floor(bits / 2 ^ 32), bits % 2 ^ 32
  local function big_endian(value)
    return char(math.floor(value / 2 ^ 24) % 256, math.floor(value / 2 ^ 16) % 256,
      math.floor(value / 256) % 256, value % 256)
  end
  return text .. "\128" .. ("\0"):rep((55 - #text) % 64) .. big_endian(high) .. big_endian(low)
end

--- The SHA-1 of `text` in hexadecimal.
function M.hex(text)
  local h0, h1, h2, h3, h4 = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0
  local padded = pad(text)
  for at = 1, #padded, 64 do
    load_block(padded, at)
    local a, b, c, d, e = h0, h1, h2, h3, h4
    for i = 0, 79 do
      local f, k = mix(i, b, c, d)
      a, b, c, d, e = tobit(rol(a, 5) + f + e + k + words[i]), a, rol(b, 30), c, d
    end
    h0, h1, h2, h3, h4 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d), tobit(h4 + e)
  end
  return tohex(h0) .. tohex(h1) .. tohex(h2) .. tohex(h3) .. tohex(h4)
end

return M
