-- Calls that stand in a phase of a handler in which they raise. For plugin_check.lua.
-- Reads blanked source (source.lua): what a phase calls through helpers or hands on as a function is not followed.
-- Invariant: which phases a function of the PDK is for is asked of the PDK itself.

local unit = require "moongate.spec.unit"

local _M = {}

local PHASES = { init_worker = true, configure = true, certificate = true, rewrite = true, access = true, response = true,
  header_filter = true, body_filter = true, log = true }
local OPENS = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true }

-- Namespaces whose functions say in which phases they may be called, before they do anything.
local CHECKED = { "^kong%.request%.", "^kong%.service%.", "^kong%.response%.", "^kong%.client%.", "^kong%.router%.",
  "^kong%.log%.serialize$" }

local WAITING = { "init_worker", "configure", "response", "header_filter", "body_filter", "log" }
local SENDING = { "init_worker", "configure", "header_filter", "body_filter", "log" }
local NGX = { ["ngx.sleep"] = WAITING, ["ngx.socket.tcp"] = WAITING, ["ngx.socket.udp"] = WAITING,
  ["ngx.socket.connect"] = WAITING, ["ngx.say"] = SENDING, ["ngx.print"] = SENDING, ["ngx.flush"] = SENDING }

local function contains(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then
      return true
    end
  end
  return false
end

local function is_checked(path)
  for _, pattern in ipairs(CHECKED) do
    if path:find(pattern) then
      return true
    end
  end
  return false
end

-- What is wrong with calling `path` in `phase`, or nil.
local function judge(path, phase)
  local refused = NGX[path]
  if refused and contains(refused, phase) then
    return refused == WAITING and ("%s: nothing may wait in %s; start it with ngx.timer.at(0, f)"):format(path, phase)
      or ("%s: no body can be sent in %s"):format(path, phase)
  end
  local only = is_checked(path) and unit.allowed_phases(path)
  if only and not contains(only, phase) then
    return ("%s: it raises in %s (only in: %s)"):format(path, phase, table.concat(only, ", "))
  end
end

-- Names of the file's top that stand for something of kong or ngx: `local response = kong.response`.
local function aliases_of(bare)
  local out = {}
  for name, root, rest in bare:gmatch("%f[%w_]local%s+([%a_][%w_]*)%s*=%s*(%a+)(%.[%w_.]+)%s*[\n;]") do
    if root == "kong" or root == "ngx" then
      out[name] = root .. rest
    end
  end
  return out
end

-- Where the bodies of phases begin: fn(position, phase, line of the definition).
local function each_phase(bare, fn)
  for _, pattern in ipairs({ "()function%s+[%w_]+[.:]([%w_]+)%s*%(", "%f[%w_]([%w_]+)%s*=%s*()function%f[%W]" }) do
    for a, b in bare:gmatch(pattern) do
      local at, phase = a, b
      if type(a) == "string" then
        at, phase = b, a
      end
      if PHASES[phase] then
        fn(at, phase)
      end
    end
  end
end

-- Names under kong. and ngx. from a `function` to its `end`, without functions in it: fn(position, path).
local function each_name(bare, from, aliases, fn)
  local stack, inner, at = {}, 0, from
  repeat
    local first, last, word = bare:find("%f[%w_]([%a_][%w_]*)", at)
    if not first then
      return
    end
    at = last + 1
    if OPENS[word] then
      stack[#stack + 1] = word
      inner = inner + (word == "function" and 1 or 0)
    elseif CLOSES[word] then
      inner = inner - (table.remove(stack) == "function" and 1 or 0)
    elseif inner == 1 and not bare:find("^[.:]", first - 1) then
      local rest = bare:match("^[%w_.]*", at)
      local root = aliases[word] or (word == "kong" or word == "ngx") and word
      if root then
        fn(first, root .. rest)
        at = at + #rest
      end
    end
  until #stack == 0
end

local function line_of(text, position)
  local _, breaks = text:sub(1, position - 1):gsub("\n", "")
  return breaks + 1
end

--- add(line, text) for each call that raises where it stands.
function _M.check(bare, add)
  local aliases = aliases_of(bare)
  each_phase(bare, function(at, phase)
    each_name(bare, at, aliases, function(position, path)
      local wrong = judge(path, phase)
      if wrong then
        add(line_of(bare, position), wrong)
      end
    end)
  end)
end

--- add(line, text) for each phase that is defined with a dot and does not take the plugin itself first.
function _M.check_self(bare, add)
  for at, owner, phase, first in bare:gmatch("()function%s+([%w_]+)%.([%w_]+)%s*%(%s*([%w_]*)") do
    if PHASES[phase] and (first == "conf" or first == "config" or first == "plugin_conf") then
      add(line_of(bare, at), ("%s.%s(%s) gets the plugin itself first: write function %s:%s(%s)"):format(
        owner, phase, first, owner, phase, first))
    end
  end
end

return _M
