-- kong.log: the log under the name of the plugin that runs, and the fields of the request's record.
-- kong.log(...) is notice. Lines: "[kong] handler.lua:42 [my-plugin] message".
-- Invariant: a line that will not be written costs no more than the question whether it will be.

local node = require("moongate.abi.node")
local task = require("moongate.abi.task")
local inspect = require("moongate.pdk.inspect")
local record = require("moongate.pdk.log_record")

local log_wants, write = node.log_wants, node.log
local current = task.current
local concat, select, tostring, type = table.concat, select, tostring, type
local getinfo = debug.getinfo

local NOTICE, DEBUG = 6, 8
local LEVELS = {
  emerg = 1, alert = 2, crit = 3, err = 4, error = 4, warn = 5, notice = NOTICE, info = 7, debug = DEBUG,
}
local DEFAULT_FORMAT = "%file_src:%line_src %namespace%message"

local function text_of(n, ...)
  local first = ...
  if n == 1 then
    return tostring(first)
  end
  local parts = { ... }
  for i = 1, n do
    parts[i] = tostring(parts[i])
  end
  return concat(parts)
end

-- "[name] " of the namespace, or of the plugin that runs.
local function name_of(facade)
  local name = facade.namespace
  if not name then
    local plugin = current()
    name = plugin and plugin.name
  end
  return name and "[" .. name .. "] " or ""
end

local function write_line(facade, level, message, stack_level)
  local info = getinfo(stack_level + 1, "Sln") or { short_src = "?", currentline = 0 }
  local values = {
    file_src = info.short_src:match("[^/]*$"),
    line_src = info.currentline,
    func_name = info.name or "?",
    namespace = name_of(facade),
    message = message,
  }
  local line = facade.format:gsub("%%([a-z_]+)", function(name)
    return values[name] and tostring(values[name]) or nil
  end)
  write(level, "[kong] " .. line)
end

-- The functions of one facade. Made once for each name, not for each request.
local function make_level(facade, level)
  return function(...)
    if log_wants(level) then
      write_line(facade, level, text_of(select("#", ...), ...), 2)
    end
  end
end

local function make_inspect(facade)
  local on = true
  local t = {
    on = function()
      on = true
    end,
    off = function()
      on = false
    end,
  }
  return setmetatable(t, { __call = function(_, ...)
    if on and log_wants(DEBUG) then
      local parts = {}
      for i = 1, select("#", ...) do
        parts[i] = inspect((select(i, ...)))
      end
      write_line(facade, DEBUG, concat(parts, " "), 2)
    end
  end })
end

local function make_deprecation(facade)
  return function(...)
    local n = select("#", ...)
    local last = select(n, ...)
    local options = type(last) == "table" and last or nil
    if not log_wants(LEVELS.warn) then
      return
    end
    local message = text_of(options and n - 1 or n, ...)
    if options and (options.after or options.removal) then
      message = message .. (" (%s%s%s)"):format(
        options.after and "deprecated after " .. options.after or "",
        options.after and options.removal and ", " or "",
        options.removal and "scheduled for removal in " .. options.removal or "")
    end
    write_line(facade, LEVELS.warn, message, 2)
  end
end

local make

local function new(namespace, format)
  if type(namespace) ~= "string" or namespace == "" then
    error("namespace must be a non-empty string", 2)
  elseif format ~= nil and (type(format) ~= "string" or format == "") then
    error("format must be a non-empty string if specified", 2)
  end
  return make(namespace, format)
end

-- namespace nil: the plugin that runs.
function make(namespace, format)
  local facade = { namespace = namespace, format = format or DEFAULT_FORMAT }
  local log = {}
  for name, level in pairs(LEVELS) do
    log[name] = make_level(facade, level)
  end
  log.inspect = make_inspect(facade)
  log.deprecation = make_deprecation(facade)
  --- Another facade with a name of its own. format: %file_src %line_src %func_name %namespace %message.
  log.new = new
  --- Changes the format of this facade's lines.
  function log.set_format(text)
    if type(text) ~= "string" or text == "" then
      error("format must be a non-empty string", 2)
    end
    facade.format = text
  end
  log.set_serialize_value = record.set_serialize_value
  log.serialize = record.serialize
  local notice = make_level(facade, NOTICE)
  return setmetatable(log, { __call = function(_, ...)
    if log_wants(NOTICE) then
      return notice(...)
    end
  end })
end

return make()
