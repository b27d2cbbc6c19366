-- Answers: exit, redirect, say, print, flush, eof, send_headers. What writes is abi/response.

local phase = require "moongate.abi.phase"
local response = require "moongate.abi.response"

local _M = {}

local MAIN_STATE = { [phase.BODY_FILTER] = true, [phase.LOG] = true }

local function append(value, out, level, fname)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = value
  elseif kind == "table" then
    local n = #value
    for key in pairs(value) do
      if type(key) ~= "number" or key < 1 or key > n then
        error("bad argument #1 to '" .. fname .. "' (non-array table found)", level)
      end
    end
    for _, inner in ipairs(value) do
      append(inner, out, level + 1, fname)
    end
  elseif kind == "userdata" then
    out[#out + 1] = "null"
  else
    out[#out + 1] = tostring(value)
  end
end

local function gather(fname, ...)
  local out = {}
  for i = 1, select("#", ...) do
    append((select(i, ...)), out, 4, fname)
  end
  return out
end

local function succeed(ok, err)
  if ok then
    return 1
  end
  return nil, err
end

local function check_request()
  if not phase.has_request() then
    error("API disabled in the context of " .. phase.context(phase.current()), 3)
  end
end

local function exit(status)
  if type(status) ~= "number" then
    error("bad argument #1 to 'exit' (number expected, got " .. type(status) .. ")", 2)
  end
  if MAIN_STATE[phase.current()] then
    return
  elseif not phase.has_request() or status == 0 or status == -4 or status == -5 then
    return response.stop()
  elseif status == -1 then
    return response.error(500)
  elseif response.head_sent() or status < 400 or status == 444 then
    return response.exit(status < 100 and 500 or status)
  end
  return response.error(status > 599 and 500 or status)
end

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local function redirect(uri, status)
  check_request()
  status = status or 302
  if not REDIRECTS[status] then
    error("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, "
      .. "ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed", 2)
  end
  local bad = uri:match("[%c]")
  if bad then
    error(('unsafe byte "0x%02x" in redirect uri "%s"'):format(bad:byte(), uri:gsub("%c", "?")), 2)
  end
  response.set_header("Location", uri)
  return response.exit(status)
end

function _M.fill(ngx)
  ngx.exit, ngx.redirect = exit, redirect

  function ngx.print(...)
    check_request()
    local out = gather("print", ...)
    return succeed(response.print(table.concat(out)))
  end

  function ngx.say(...)
    check_request()
    local out = gather("say", ...)
    out[#out + 1] = "\n"
    return succeed(response.print(table.concat(out)))
  end

  function ngx.flush(wait)
    check_request()
    return succeed(response.flush(wait))
  end

  function ngx.eof()
    check_request()
    return succeed(response.finish())
  end

  function ngx.send_headers()
    check_request()
    if response.head_sent() then
      return 1
    end
    return succeed(response.begin())
  end

  function ngx.on_abort()
    return nil, "lua_check_client_abort is off"
  end
end


return _M
