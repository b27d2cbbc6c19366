-- Stable identifiers (UUID version 5) for entities that were written without an id.
-- It does not decide which fields make an entity unique: config/entities.lua does.
-- Invariant: the same entity name and key give the same id on every machine.

local M = {}

-- Kong's namespace for declarative configurations: fd02801f-0957-4a15-a55a-c8d9606f30b5
local NAMESPACE = "\xfd\x02\x80\x1f\x09\x57\x4a\x15\xa5\x5a\xc8\xd9\x60\x6f\x30\xb5"
local VARIANT = { [0] = "8", "9", "a", "b" }

--- The id of entity `kind` with unique key `key`; sha1 is a function from bytes to hex digits.
function M.generate(kind, key, sha1)
  local hex = sha1(NAMESPACE .. kind .. ":" .. key)
  local variant = VARIANT[tonumber(hex:sub(17, 17), 16) % 4]
  return hex:sub(1, 8) .. "-" .. hex:sub(9, 12) .. "-5" .. hex:sub(14, 16) .. "-"
    .. variant .. hex:sub(18, 20) .. "-" .. hex:sub(21, 32)
end

return M
