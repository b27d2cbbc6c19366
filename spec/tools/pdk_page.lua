-- Writes the tables of docs/pdk.md: every function of the PDK with the phases it is allowed in.
--   luajit spec/tools/pdk_page.lua        from the repository's root; what stands above the marker line stays
-- Texts are the doc comments of lualib/pdk; phases are what the functions really refuse, asked one by one.
-- Not the check that the page is up to date: spec/lualib/pdk/page_spec.lua.

local M = {}

M.PATH = "docs/pdk.md"
M.MARKER = "<!-- The tables below are made by spec/tools/pdk_page.lua from lualib/pdk. -->"

-- Namespace, its file, and the table whose functions are its (when that is not _M).
local PAGES = {
  { "kong.request", "request" }, { "kong.service", "service" }, { "kong.service.request", "service_request" },
  { "kong.service.response", "service_response" }, { "kong.response", "response" }, { "kong.client", "client" },
  { "kong.client.tls", "client_tls" }, { "kong.router", "router" }, { "kong.plugin", "plugin" }, { "kong.ip", "ip" },
  { "kong.node", "node" }, { "kong.nginx", "nginx" }, { "kong.cluster", "cluster" }, { "kong.table", "table" },
  { "kong.vault", "vault" }, { "kong.dns", "dns" }, { "kong.cache", "cache", "Cache" }, { "kong.timer", "timer" },
  { "kong.worker_events", "events" }, { "kong.tracing", "tracing" }, { "kong.telemetry", "telemetry" },
}

local PHASES = {
  "init_worker", "certificate", "rewrite", "access", "balancer", "response", "header_filter", "body_filter", "log", "timer",
}

-- What is made by functions in a loop, so that no doc comment stands at it.
local EXTRA = {
  ["kong.log"] = {
    { "kong.log(...)", "A line of level notice under the plugin's name; arguments are joined." },
    { "kong.log.debug(...)", "A line of that level; also info, notice, warn, err (error), crit, alert, emerg." },
    { "kong.log.inspect(...)", "A line of level debug with the contents of tables; kong.log.inspect.off() and .on()." },
    { "kong.log.deprecation(..., options)", "A warning; options: after, removal (versions)." },
    { "kong.log.new(namespace, format)", "Another facade under that name." },
    { "kong.log.set_format(text)", "The form of this facade's lines: %file_src %line_src %func_name %namespace %message." },
    { "kong.log.set_serialize_value(key, value, options)", "Sets a value in the request's record, the access log included; "
      .. "a dot in the key goes inside (request.headers.x). options.mode: set (default), add (only when absent), replace "
      .. "(only when present).", "kong.log.set_serialize_value" },
    { "kong.log.serialize()", "The request's record as a new table.", "kong.log.serialize" },
  },
}

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  return text
end

-- ---- doc comments ----

local function cleaned(lines)
  local text = table.concat(lines, " ")
  text = text:gsub("phases: [^.]*%.%s*", ""):gsub("All phases%.%s*", ""):gsub("%s*Example: .*$", "")
  return (text:gsub("|", "\\|"):gsub("%s+$", ""))
end

-- "name(arguments)" of the line after a doc comment, or nil.
local function signature(line, owner)
  local sign, name, arguments = line:match("^function " .. owner .. "([.:])([%w_]+)%((.-)%)")
  if name then
    return name, sign .. name .. "(" .. arguments .. ")"
  end
  name = line:match("^" .. owner .. "%.([%w_]+) = ")
  return name, name and (owner == "_M" and "." or ":") .. name .. "(...)"
end

-- { {name, text of the call, sentence} ... } of one file, in its order.
local function functions_in(file, owner)
  local out, doc = {}, nil
  for line in read("lualib/pdk/" .. file .. ".lua"):gmatch("([^\n]*)\n") do
    local first, more = line:match("^%-%-%- ?(.*)$"), line:match("^%-%- (.*)$")
    if first then
      doc = { first }
    elseif more and doc then
      doc[#doc + 1] = more
    else
      local name, call = signature(line, owner)
      if name and doc then
        out[#out + 1] = { name, call, cleaned(doc) }
      end
      doc = nil
    end
  end
  return out
end

-- ---- phases ----

local function resolve(kong, name)
  local found = { kong = kong }
  for part in name:gmatch("[^.]+") do
    found = found[part]
  end
  return found
end

--- The phases in which a function does not refuse to be called: "all", or their names.
function M.phases_of(fn, fake)
  local allowed = {}
  for _, phase in ipairs(PHASES) do
    fake:reset()
    fake:phase(phase)
    local ok, err = pcall(fn)
    if ok or not tostring(err):find("function cannot be called in", 1, true) then
      allowed[#allowed + 1] = phase
    end
  end
  fake:reset()
  return #allowed == #PHASES and "all" or table.concat(allowed, ", ")
end

-- ---- the page ----

local function row(call, phases, text)
  return ("| `%s` | %s | %s |"):format(call, phases, text)
end

--- Rows of all functions: { {name = "kong.request.get_path", line = "| ..."} ... } by namespace, in order.
function M.rows(kong, fake)
  local out = {}
  for _, page in ipairs(PAGES) do
    local rows = {}
    for _, item in ipairs(functions_in(page[2], page[3] or "_M")) do
      local name = page[1] .. "." .. item[1]
      rows[#rows + 1] = { name = name, line = row(page[1] .. item[2], M.phases_of(resolve(kong, name), fake), item[3]) }
    end
    out[#out + 1] = { page[1], rows }
  end
  local extra = {}
  for _, item in ipairs(EXTRA["kong.log"]) do
    local phases = item[3] and M.phases_of(resolve(kong, item[3]), fake) or "all"
    extra[#extra + 1] = { name = item[1]:match("^[%w_.]+"), line = row(item[1], phases, item[2]) }
  end
  out[#out + 1] = { "kong.log", extra }
  return out
end

function M.tables(kong, fake)
  local out = {}
  for _, group in ipairs(M.rows(kong, fake)) do
    out[#out + 1] = "\n## " .. group[1] .. "\n\n| function | phases | what |\n|---|---|---|"
    for _, item in ipairs(group[2]) do
      out[#out + 1] = item.line
    end
  end
  return table.concat(out, "\n") .. "\n"
end

local function main()
  dofile("spec/helper.lua")
  local kong, fake = require("lualib.pdk.fake_abi").install()
  local text = read(M.PATH)
  local _, stop = assert(text:find(M.MARKER, 1, true))
  local page = text:sub(1, stop) .. "\n" .. M.tables(kong, fake)
  local file = assert(io.open(M.PATH, "w"))
  file:write(page)
  file:close()
end

if not pcall(debug.getlocal, 4, 1) then
  main()
end

return M
