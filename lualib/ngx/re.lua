-- ngx.re: match, find, gmatch, sub, gsub over abi/regex.

local regex = require "moongate.abi.regex"

local _M = {}

local compile, exec = regex.compile, regex.exec

-- The captures table of a match: [0] whole, groups by number and name; false: took no part.
local function captures(re, subject, offsets, groups, into)
  local out = into or {}
  for i = 0, groups - 1 do
    local from = offsets[2 * i + 1]
    out[i] = from and subject:sub(from, offsets[2 * i + 2]) or false
  end
  local names = re.names
  for i = 1, #names, 2 do
    if not out[names[i + 1]] then
      out[names[i + 1]] = out[names[i]]
    end
  end
  return out
end

local function check(fname, subject, pattern)
  if type(subject) ~= "string" and type(subject) ~= "number" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(fname, type(subject)), 3)
  elseif type(pattern) ~= "string" then
    error(("bad argument #2 to '%s' (string expected, got %s)"):format(fname, type(pattern)), 3)
  end
  return tostring(subject)
end

local function match(subject, pattern, options, ctx, into)
  subject = check("match", subject, pattern)
  local re, err = compile(pattern, options)
  if not re then
    return nil, err
  end
  local offsets = {}
  local groups
  groups, err = exec(re, subject, ctx and ctx.pos or 1, offsets)
  if not groups then
    return nil, err
  end
  if ctx then
    ctx.pos = offsets[2] + 1
  end
  return captures(re, subject, offsets, groups, into)
end

local function find(subject, pattern, options, ctx, nth)
  subject = check("find", subject, pattern)
  local re, err = compile(pattern, options)
  if not re then
    return nil, nil, err
  end
  local offsets = {}
  local groups
  groups, err = exec(re, subject, ctx and ctx.pos or 1, offsets)
  if not groups then
    return nil, nil, err
  end
  if ctx then
    ctx.pos = offsets[2] + 1
  end
  nth = nth or 0
  if nth >= groups then
    error("nth out of bound", 2)
  end
  return offsets[2 * nth + 1] or nil, offsets[2 * nth + 2] or nil
end

-- Calls fn(offsets, groups) for each match in order until it returns false. nil, why on an error.
local function each(re, subject, fn)
  local from, after_empty = 1, false
  while from <= #subject + 1 do
    local offsets = {}
    local groups, err = exec(re, subject, from, offsets, after_empty)
    if not groups and err then
      return nil, err
    elseif not groups and not after_empty then
      return true
    elseif not groups then
      from, after_empty = from + 1, false
    else
      if fn(offsets, groups) == false then
        return true
      end
      after_empty = offsets[2] < offsets[1]
      from = offsets[2] + 1
    end
  end
  return true
end

local function gmatch(subject, pattern, options)
  subject = check("gmatch", subject, pattern)
  local re, err = compile(pattern, options)
  if not re then
    return nil, err
  end
  local from, after_empty = 1, false
  return function()
    while from <= #subject + 1 do
      local offsets = {}
      local groups, why = exec(re, subject, from, offsets, after_empty)
      if groups then
        after_empty = offsets[2] < offsets[1]
        from = offsets[2] + 1
        return captures(re, subject, offsets, groups)
      elseif why or not after_empty then
        from = #subject + 2
        return nil, why
      end
      from, after_empty = from + 1, false
    end
  end
end

-- Parses a replacement with $0, $1, ${1}, $$ into a list of texts and group numbers; nil, why.
local function parse_template(text)
  local parts, at = {}, 1
  while true do
    local dollar = text:find("$", at, true)
    if not dollar then
      parts[#parts + 1] = text:sub(at)
      return parts
    end
    parts[#parts + 1] = text:sub(at, dollar - 1)
    local rest = text:sub(dollar + 1)
    local number, length = rest:match("^(%d+)()")
    if not number then
      number, length = rest:match("^{(%d+)}()")
    end
    if number then
      parts[#parts + 1] = tonumber(number)
      at = dollar + length
    elseif rest:sub(1, 1) == "$" then
      parts[#parts + 1] = "$"
      at = dollar + 2
    else
      return nil, ("invalid capturing variable name found in \"%s\""):format(text)
    end
  end
end

local function expand(parts, subject, offsets, groups, out)
  for _, piece in ipairs(parts) do
    if type(piece) == "string" then
      out[#out + 1] = piece
    elseif piece < groups and offsets[2 * piece + 1] then
      out[#out + 1] = subject:sub(offsets[2 * piece + 1], offsets[2 * piece + 2])
    end
  end
end

local function substitute(fname, all, subject, pattern, replacement, options)
  subject = check(fname, subject, pattern)
  local re, err = compile(pattern, options)
  if not re then
    return nil, nil, err
  end
  local parts
  if type(replacement) ~= "function" then
    parts, err = parse_template(tostring(replacement))
    if not parts then
      return nil, nil, err
    end
  end
  local out, count, from = {}, 0, 1
  local ok
  ok, err = each(re, subject, function(offsets, groups)
    count = count + 1
    out[#out + 1] = subject:sub(from, offsets[1] - 1)
    if parts then
      expand(parts, subject, offsets, groups, out)
    else
      out[#out + 1] = tostring(replacement(captures(re, subject, offsets, groups)))
    end
    from = offsets[2] + 1
    return all
  end)
  if not ok then
    return nil, nil, err
  end
  out[#out + 1] = subject:sub(from)
  return table.concat(out), count
end

function _M.fill(ngx)
  ngx.re = {
    match = match,
    find = find,
    gmatch = gmatch,
    sub = function(subject, pattern, replacement, options)
      return substitute("sub", false, subject, pattern, replacement, options)
    end,
    gsub = function(subject, pattern, replacement, options)
      return substitute("gsub", true, subject, pattern, replacement, options)
    end,
    opt = function() end,
  }
end

return _M
