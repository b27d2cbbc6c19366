-- `moongate plugin new NAME [DIR]`: a plugin that runs at once, its specs, a configuration that uses it.
-- Laid out so that Kong finds it too. Invariant: no file is overwritten.

local lfs = require "lfs"

local HELP = [[
Usage: moongate plugin new NAME [DIR]
Writes into DIR (./NAME): kong/plugins/NAME/handler.lua and schema.lua, spec/NAME_spec.lua, kong.yaml.
NAME: lower-case letters, digits and dashes, e.g. add-header.
]]

local HANDLER = [[
-- @NAME@: adds a header to what the service is asked and to what the client gets; turns away who sends a banned one.
-- The phases a plugin may have: init_worker, certificate, rewrite, access, response, header_filter, body_filter, log.

local @TABLE@ = {
  PRIORITY = 1000, -- plugins run from high to low
  VERSION = "0.1.0",
}

-- Before the service is asked. May wait (sockets, ngx.sleep).
function @TABLE@:access(conf)
  if kong.request.get_header(conf.ban_header) then
    return kong.response.exit(403, { message = "not with " .. conf.ban_header })
  end
  kong.service.request.set_header(conf.header, conf.value)
end

-- Before the response's head goes out. May not wait.
function @TABLE@:header_filter(conf)
  kong.response.set_header(conf.header, conf.value)
end

return @TABLE@
]]

local SCHEMA = [[
-- The configuration of @NAME@: each field has a type, a default or `required`, and one sentence.

local typedefs = require "kong.db.schema.typedefs"

return {
  name = "@NAME@",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { header = { type = "string", required = true, default = "X-@TITLE@", description = "The header to set." } },
        { value = { type = "string", required = true, default = "hello", description = "Its value." } },
        { ban_header = { type = "string", required = true, default = "X-Banned", description = "Whoever sends it gets 403." } },
      },
    } },
  },
}
]]

local SPEC = [[
-- Run it with: moongate test

local gw = require "moongate.spec"

describe("@NAME@, phase by phase", function()
  local plugin = gw.plugin("@NAME@")

  it("sets the header for the service", function()
    local result = plugin:run("access", { value = "hi" }, { path = "/any" })
    assert.is_false(result.exited)
    assert.equal("hi", assert.request(result).has.header("X-@TITLE@"))
  end)

  it("turns away who is banned", function()
    local result = plugin:run("access", {}, { headers = { ["X-Banned"] = "1" } })
    assert.response(result).has.status(403)
    assert.equal("not with X-Banned", assert.response(result).has.jsonbody().message)
  end)

  it("refuses a configuration without sense", function()
    local ok, err = plugin:validate({ header = 42 })
    assert.is_nil(ok)
    assert.matches("header", err)
  end)
end)

describe("@NAME@, in a gateway", function()
  local upstream

  setup(function()
    upstream = gw.upstream()
    gw.start({ config = {
      services = { { name = "app", url = upstream.url, routes = { { name = "all", paths = { "/" } } } } },
      plugins = { { name = "@NAME@", config = { value = "hey" } } },
    } })
  end)

  it("sets the header both ways", function()
    local response = assert(gw.client():get("/"))
    assert.response(response).has.status(200)
    assert.response(response).has.header("X-@TITLE@", "hey")
    assert.equal("hey", assert.request(upstream:last()).has.header("X-@TITLE@"))
  end)
end)
]]

local CONFIG = [[
# Serve it with: moongate start -c @DIR@/kong.yaml --plugin-dirs @DIR@
# then: curl -i http://localhost:8000/hello
_format_version: "3.0"
routes:
- name: hello
  paths: ["/hello"]
  plugins:
  - name: request-termination
    config: {status_code: 200, message: "hello"}
plugins:
- name: @NAME@
  config: {value: "it works"}
]]

local function title(name)
  return (name:gsub("^%l", string.upper):gsub("%-(%w)", function(c)
    return "-" .. c:upper()
  end))
end

local function make_dirs(path)
  for at in path:gmatch("()/") do
    if at > 1 then
      lfs.mkdir(path:sub(1, at - 1))
    end
  end
  lfs.mkdir(path)
end

local function write(path, text)
  make_dirs(path:match("^(.*)/[^/]*$"))
  local file, err = io.open(path, "w")
  if not file then
    return nil, err
  end
  file:write(text)
  file:close()
  io.stdout:write("  ", path, "\n")
  return true
end

local function fail(text)
  io.stderr:write("moongate plugin new: ", text, "\n")
  return 2
end

return function(_, args)
  local name, dir = args[1], args[2]
  if name == "--help" or name == "-h" then
    io.stdout:write(HELP)
    return 0
  elseif not name or #args > 2 then
    io.stderr:write(HELP)
    return 2
  elseif not name:find("^%l[%l%d]*[%l%d%-]*$") or name:sub(-1) == "-" then
    return fail("'" .. name .. "' is no name of a plugin: lower-case letters, digits and dashes, e.g. add-header")
  end
  dir = (dir or name):gsub("(.)/+$", "%1")
  local values = { NAME = name, TITLE = title(name), TABLE = title(name):gsub("%-", ""), DIR = dir }
  local files = {
    { dir .. "/kong/plugins/" .. name .. "/handler.lua", HANDLER },
    { dir .. "/kong/plugins/" .. name .. "/schema.lua", SCHEMA },
    { dir .. "/spec/" .. name .. "_spec.lua", SPEC },
    { dir .. "/kong.yaml", CONFIG },
  }
  for _, file in ipairs(files) do
    if lfs.attributes(file[1]) then
      return fail(file[1] .. " exists already: nothing was written")
    end
  end
  for _, file in ipairs(files) do
    local ok, err = write(file[1], (file[2]:gsub("@(%u+)@", values)))
    if not ok then
      return fail(err)
    end
  end
  io.stdout:write(("\nTest it:   cd %s && moongate test\nServe it:  moongate start -c %s/kong.yaml --plugin-dirs %s\n"):format(
    dir, dir, dir))
  return 0
end
