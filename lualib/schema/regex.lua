-- Tells whether a regular expression can be compiled. The gateway hands in PCRE2 by use_compiler;
-- without it only the faults a short scan can see are found. It never matches anything.
-- Invariant: what the scan refuses, PCRE2 refuses too.

local M = {}

-- One compiler per process: schemas are plain data and have no way to carry it themselves.
local compiler

--- fn(pattern) -> true, or nil and PCRE's message. Pass nil to go back to the scan.
function M.use_compiler(fn)
  compiler = fn
end

local function skip_class(pattern, at)
  at = at + 1
  if pattern:sub(at, at) == "^" then
    at = at + 1
  end
  if pattern:sub(at, at) == "]" then
    at = at + 1 -- a first "]" is a member
  end
  while at <= #pattern do
    local char = pattern:sub(at, at)
    if char == "\\" then
      at = at + 1
    elseif char == "[" and pattern:find("^%[:%^?%a+:%]", at) then
      at = pattern:find(":]", at, true) + 1
    elseif char == "]" then
      return at
    end
    at = at + 1
  end
  return nil
end

local function is_repeat(pattern, at)
  return pattern:find("^[%*%+%?]", at) or pattern:find("^{%d+,?%d*}", at)
end

local function scan(pattern)
  local depth, at, repeatable = 0, 1, false
  while at <= #pattern do
    local char = pattern:sub(at, at)
    if char == "\\" then
      if at == #pattern then
        return nil, "\\ at end of pattern"
      end
      if pattern:sub(at + 1, at + 1) == "Q" then
        local _, literal_end = pattern:find("\\E", at, true)
        at = (literal_end or #pattern) - 1
      end
      at, repeatable = at + 1, true
    elseif char == "[" then
      at = skip_class(pattern, at)
      if not at then
        return nil, "missing terminating ] for character class"
      end
      repeatable = true
    elseif pattern:find("^%(%?#", at) then
      at = pattern:find(")", at, true) or #pattern
    elseif char == "(" then
      depth, repeatable = depth + 1, false
      at = pattern:find("^%(%?", at) and at + 1 or at
      at = pattern:find("^%(%*", at) and at + 1 or at
    elseif char == ")" then
      depth, repeatable = depth - 1, true
      if depth < 0 then
        return nil, "unmatched closing parenthesis"
      end
    elseif is_repeat(pattern, at) then
      if not repeatable then
        return nil, "quantifier does not follow a repeatable item"
      end
      local _, last = pattern:find("^{%d+,?%d*}", at)
      at = last or at
      at = pattern:find("^[%+%?]", at + 1) and at + 1 or at
      repeatable = last ~= nil
    else
      repeatable = char ~= "|"
    end
    at = at + 1
  end
  if depth > 0 then
    return nil, "missing closing parenthesis"
  end
  return true
end

--- true, or nil and why the pattern does not compile.
function M.check(pattern)
  return (compiler or scan)(pattern)
end

return M
