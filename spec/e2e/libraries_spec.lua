-- docs/libraries.md says whose each module is: every row of its table is required inside the gateway. Also what those
-- libraries rest on: C symbols, one module under two names, bodies read as sockets, TLS handles.

require("e2e.support.expect")
local cjson = require("cjson")
local certs = require("e2e.support.certs")
local script = require("e2e.support.script")
local upstream = require("e2e.support.upstream")

local null = cjson.null

local ROOT = os.getenv("MOONGATE_ROOT") or "."

-- Array of {name, whose} of the table.
local function rows()
  local out = {}
  for line in io.lines(ROOT .. "/docs/libraries.md") do
    local name, whose = line:match("^| `([%w_.]+)` | ([^|]-) |")
    if name then
      out[#out + 1] = { name = name, whose = whose }
    end
  end
  return out
end

local function installed(package)
  return os.execute("dpkg -s " .. package .. " >/dev/null 2>&1") == 0
end

-- Loads the module: ok, error, file of the loader, functions that raised nothing when called without arguments.
local LOOK = [[
  local name = %q
  local ok, module = pcall(require, name)
  local file
  for _, search in ipairs(package.loaders) do
    local load = search(name)
    if type(load) == "function" then
      file = debug.getinfo(load, "S").source
      break
    end
  end
  local silent = {}
  for key, value in pairs(ok and type(module) == "table" and module or {}) do
    local _, err = pcall(value)
    if not tostring(err):find("is not supported by this gateway", 1, true) then
      silent[#silent + 1] = key
    end
  end
  return ok, ok and "" or tostring(module):match("^[^\n]*"), file, table.concat(silent, " ")
]]

describe("the table of libraries", function()
  local gw, up

  setup(function()
    gw, up = script.start({ settings = { trusted_plugins = "script" } })
  end)

  teardown(function()
    script.stop(gw, up)
  end)

  local CHECKS = {
    ours = function(row)
      local ok, err, file = unpack(script.run(gw, LOOK, row.name))
      assert.same({ true, "" }, { ok, err })
      if row.name:find("^cjson") then
        assert.same({ true }, script.run(gw, "return require(%q).array_mt ~= nil", row.name))
      else
        assert.truthy(file:find("lualib/compat/", 1, true), file)
      end
    end,
    refuses = function(row)
      local ok, err, file, silent = unpack(script.run(gw, LOOK, row.name))
      assert.same({ true, "", "" }, { ok, err, silent })
      assert.truthy(file:find("lualib/compat/", 1, true), file)
    end,
    Debian = function(row, package)
      local ok, err, file = unpack(script.run(gw, LOOK, row.name))
      if installed(package) then
        assert.same({ true, "" }, { ok, err })
        assert.is_nil(tostring(file):find("lualib/compat", 1, true))
      else
        assert.same({ false, "module '" .. row.name .. "' not found:" }, { ok, err })
      end
    end,
    other = function(row)
      assert.same({ false, "module '" .. row.name .. "' not found:" }, { unpack(script.run(gw, LOOK, row.name), 1, 2) })
    end,
  }

  for _, row in ipairs(rows()) do
    it("says the truth of " .. row.name .. ": " .. row.whose, function()
      local package = row.whose:match("^Debian: ([%w-]+)$")
      if package then
        CHECKS.Debian(row, package)
      elseif row.whose == "ours" or row.whose == "refuses" then
        CHECKS[row.whose](row)
      else
        assert.truthy(row.whose == "bring it" or row.whose == "does not work", "no such owner: " .. row.whose)
        CHECKS.other(row)
      end
    end)
  end

  it("has a row for every module of ours under a foreign name", function()
    local known = {}
    for _, row in ipairs(rows()) do
      known[row.name] = true
    end
    local pipe = assert(io.popen("cd " .. ROOT .. "/lualib/compat && find ngx resty cjson cjson.lua -name '*.lua'"))
    for path in pipe:lines() do
      local name = path:gsub("/init%.lua$", ""):gsub("%.lua$", ""):gsub("/", ".")
      assert.truthy(known[name], name .. " is not in docs/libraries.md")
    end
    pipe:close()
  end)

  it("loads Debian's modules once, under both of their names", function()
    assert.same({ true }, script.run(gw, [[return require("resty.redis") == require("nginx.redis")]]))
  end)

  it("has the C symbols that libraries look up in nginx", function()
    assert.same({ "00ff61", 123, -1, 255 }, script.run(gw, [[
      local ffi = require "ffi"
      ffi.cdef "unsigned char *ngx_hex_dump(unsigned char *dst, const unsigned char *src, size_t len);"
      ffi.cdef "intptr_t ngx_atoi(const unsigned char *line, size_t n); intptr_t ngx_hextoi(const unsigned char *line, size_t n);"
      local out = ffi.new("unsigned char[6]")
      ffi.C.ngx_hex_dump(out, "\0\255a", 3)
      return ffi.string(out, 6), tonumber(ffi.C.ngx_atoi("123", 3)), tonumber(ffi.C.ngx_atoi("12x", 3)),
        tonumber(ffi.C.ngx_hextoi("fF", 2))
    ]]))
  end)
end)

describe("a body read as a socket", function()
  local gw, up

  setup(function()
    gw, up = script.start({ settings = { trusted_plugins = "script" } })
  end)

  teardown(function()
    script.stop(gw, up)
  end)

  -- What the text returns, given `sock`.
  local function reads(body, text)
    local response = script.request(gw, [[
      local cjson = require "cjson"
      local sock, err = ngx.req.socket()
      local function run() ]] .. text .. [[ end
      local out = { run() }
      for i = 1, 8 do if out[i] == nil then out[i] = cjson.null end end
      kong.response.exit(200, cjson.encode(out))
    ]], { method = "POST", body = body })
    assert.status(200, response)
    local got = cjson.decode(response.body)
    while #got > 0 and got[#got] == null do
      got[#got] = nil
    end
    return got
  end

  it("gives lines, counts, what there is, and the rest", function()
    assert.same({ "one", "two", "th", "ree", "closed" },
      reads("one\r\ntwo\nthree", [[return sock:receive(), sock:receive("*l"), sock:receive(2), sock:receiveany(10),
        select(2, sock:receiveany(10))]]))
    assert.same({ null, "closed", "ab" }, reads("ab", "return sock:receive(3)"))
    assert.same({ "ab", "" }, reads("ab", [[return sock:receive("*a"), sock:receive("*a")]]))
  end)

  it("gives the parts of a form as lua-resty-upload reads them", function()
    local body = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nfirst value\r\n--XX\r\n\r\nsecond\r\n--XX--\r\n"
    assert.same({ "", "Content-Disposition: form-data; name=a", "", "first ", "value", "|", "", "" }, reads(body, [[
      local part = sock:receiveuntil("\r\n--XX")
      local out = { sock:receiveuntil("--XX")(), select(2, sock:receive(), sock:receive()) }
      out[3] = sock:receive()
      for i = 4, 6 do out[i] = part(6) or "|" end
      out[7], out[8] = sock:receive(), sock:receive()
      return unpack(out)
    ]]))
    assert.same({ "a--", "closed", "b" }, reads("a--b", [[
      local part = sock:receiveuntil("--", { inclusive = true })
      return part(), select(2, part())
    ]]))
  end)

  it("cannot be written to, nor be of a request without a body", function()
    assert.same({ "send: the request's body can only be read" }, reads("x", [[return select(2, sock:send("y"))]]))
    assert.same({ "no body" }, reads("", "return err"))
  end)

  it("can be made anew, piece by piece", function()
    local response = script.request(gw, [[
      ngx.req.init_body()
      ngx.req.append_body("new ")
      ngx.req.append_body("body")
      ngx.req.finish_body()
    ]], { method = "POST", body = "old" })
    assert.same("new body", response:json().body)
    assert.same("8", response:json().headers["content-length"])
    gw:expect_error("init_body was not called")
    assert.status(500, script.request(gw, [[ngx.req.append_body("x")]], { method = "POST", body = "old" }))
  end)
end)

describe("a body that is a file", function()
  local gw, up

  setup(function()
    gw, up = script.start({ settings = { trusted_plugins = "script", body_buffer_max_bytes = "1m" } })
  end)

  teardown(function()
    script.stop(gw, up)
  end)

  local function write(n)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(("f"):rep(n))
    file:close()
    return path
  end

  it("goes upstream in the place of the client's", function()
    local path = write(300000)
    local text = ("ngx.req.read_body() ngx.req.set_body_file(%q)"):format(path)
    local response = script.request(gw, text, { method = "POST", body = "x" })
    assert.same(("f"):rep(300000), response:json().body)
    script.request(gw, ("ngx.req.set_body_file(%q, true)"):format(path), { method = "POST", body = "x" })
    assert.falsy(io.open(path))
  end)

  it("is refused with a reason", function()
    local function why(path)
      return (script.run(gw, "return select(2, pcall(ngx.req.set_body_file, %q))", path)[1]:gsub("^[^:]+:%d+: ", ""))
    end
    assert.same("ngx.req.set_body_file: /nowhere: No such file or directory", why("/nowhere"))
    assert.same("ngx.req.set_body_file: /tmp: Is a directory", why("/tmp"))
    assert.same("ngx.req.set_body_file: /dev/zero: Invalid argument", why("/dev/zero"))
    assert.matches("a file's path expected", why(""), 1, true)
    local path = write(1048577)
    assert.same("ngx.req.set_body_file: " .. path .. ": larger than body_buffer_max_bytes", why(path))
    os.remove(path)
  end)
end)

describe("OpenSSL's handles", function()
  it("are given of requests and sockets with TLS, and refused of others", function()
    local gw, up = script.start({ tls = true, settings = { trusted_plugins = "script" } })
    local peer = upstream.start({ tls = true })
    local text = [[
      local handles = require "resty.openssl.auxiliary.nginx"
      local ffi = require "ffi"
      pcall(ffi.cdef, "const char *SSL_get_version(const SSL *s);")
      local sock = ngx.socket.tcp()
      assert(sock:connect("127.0.0.1", ]] .. peer.port .. [[))
      local plain, why = handles.get_socket_ssl(sock)
      assert(sock:sslhandshake(nil, "upstream.test", false))
      local of_sock, of_ctx = handles.get_socket_ssl(sock), handles.get_socket_ssl_ctx(sock)
      local of_req, err = handles.get_req_ssl()
      kong.response.exit(200, { ffi.string(ffi.load("ssl").SSL_get_version(of_sock)), of_ctx ~= nil, tostring(plain), why,
        of_req and ffi.string(ffi.load("ssl").SSL_get_version(of_req)) or err })
    ]]
    local plain = script.request(gw, text):json()
    local secure = script.request({ host = gw.host, port = gw.tls_port }, text, { tls = { cafile = certs.ca() } }):json()
    peer:stop()
    script.stop(gw, up)
    assert.same({ "TLSv1.3", true, "nil", "not ssl", "no TLS on this connection" }, plain)
    assert.same("TLSv1.3", secure[5])
  end)
end)
