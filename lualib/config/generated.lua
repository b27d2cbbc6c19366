-- Values that the gateway makes when an entity does not say them: strings of fields that are `auto` (a credential's key, a secret).
-- Not ids (links.lua), which must be the same at each load; these must not be guessed.

local M = {}

local CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
local LENGTH = 32

--- n random bytes from the kernel.
function M.random_bytes(n)
  local file = assert(io.open("/dev/urandom", "rb"))
  file:setvbuf("no")
  local bytes = file:read(n)
  file:close()
  return bytes
end

-- Bytes past the last whole run of the characters are left out: each character is as likely as the others.
local function text(random_bytes)
  local out, n = {}, #CHARACTERS
  while #out < LENGTH do
    for _, byte in ipairs({ random_bytes(LENGTH):byte(1, -1) }) do
      if byte < 256 - 256 % n and #out < LENGTH then
        out[#out + 1] = CHARACTERS:sub(byte % n + 1, byte % n + 1)
      end
    end
  end
  return table.concat(out)
end

--- Fills in what the input does not say. fields: of an entity's definition. The names of what was made, as keys.
function M.fill(fields, input, random_bytes)
  local names = {}
  for _, item in ipairs(fields) do
    local name, field = next(item)
    if field.auto and field.type == "string" and not field.uuid and input[name] == nil then
      input[name] = text(random_bytes)
      names[name] = true
    end
  end
  return names
end

return M
