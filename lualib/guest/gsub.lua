-- string.gsub that does not multiply a text by another beyond a bound: that happens within one C function, which
-- nothing can stop. For all Lua code, since methods of strings are one table. Not a bound on memory as such: runtime/lua/heap.c.

local gsub, type = string.gsub, type

local RESULT_MAX_BYTES = 64 * 1024 * 1024

local function result_max(text, pattern, replacement, n)
  local _, matches = gsub(text, pattern, "", n)
  local _, parts = gsub(replacement, "%%", "")
  return #text + matches * #replacement + parts * #text
end

return function(text, pattern, replacement, n)
  local kind = type(replacement)
  if type(text) ~= "string" or kind == "function" then
    return gsub(text, pattern, replacement, n)
  elseif kind == "table" then
    local values = replacement
    -- A function can be stopped between two calls.
    return gsub(text, pattern, #text < 1024 and values or function(key)
      return values[key]
    end, n)
  elseif kind == "string" and #text * #replacement > RESULT_MAX_BYTES
    and result_max(text, pattern, replacement, n) > RESULT_MAX_BYTES then
    error("the result of string.gsub would be over 64 MB", 2)
  end
  return gsub(text, pattern, replacement, n)
end
