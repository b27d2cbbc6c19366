-- The modules of Kong's that plugins require: names, results, errors.

local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
package.loaded["moongate.abi.crypto"] = {
  encode_base64 = function(text)
    return "b64:" .. text
  end,
  decode_base64 = function(text)
    return text == "YQ==" and "a" or nil
  end,
  sha256 = function(text)
    return "digest of " .. text
  end,
  hex = function(text)
    return "hex of " .. text
  end,
}

local function tools(name)
  return require("kong.tools." .. name)
end

before_each(function()
  fake:reset()
end)

describe("results", function()
  local cyclic = { a = {} }
  cyclic.a.self = cyclic

  for i, case in ipairs({
    { "table", "table_contains", { { "a", "b" }, "b" }, true },
    { "table", "table_contains", { nil, "b" }, false },
    { "table", "is_array", { { 1, 2 } }, true },
    { "table", "is_array", { { 1, x = 2 } }, false },
    { "table", "table_merge", { { a = 1, b = 1 }, { b = 2 } }, { a = 1, b = 2 } },
    { "table", "cycle_aware_deep_merge", { { a = { x = 1 } }, { a = { y = 2 } } }, { a = { x = 1, y = 2 } } },
    { "table", "table_path", { { a = { b = 5 } }, "a.b" }, 5 },
    { "table", "add_error", { { k = "x" }, "k", "y" }, { k = { "x", "y" } } },
    { "string", "strip", { "  a b\n" }, "a b" },
    { "string", "split", { "a,b,,c", "," }, { "a", "b", "", "c" } },
    { "string", "splitn", { "a,b,c", ",", 2 }, { "a", "b,c" } },
    { "string", "to_hex", { "\1\255" }, "01ff" },
    { "string", "from_hex", { "01FF" }, "\1\255" },
    { "string", "try_decode_base64", { "YQ==" }, "a" },
    { "string", "try_decode_base64", { "?" }, "?" },
    { "string", "bytes_to_str", { 1536, "k", 1 }, "1.5 KiB" },
    { "uuid", "is_valid_uuid", { "8a8a8a8a-0000-4000-8000-00000000000a" }, true },
    { "uuid", "is_valid_uuid", { "8a8a8a8a-0000-4000-8000-00000000000" }, false },
    { "sha256", "sha256_hex", { "x" }, "hex of digest of x" },
    { "uri", "normalize", { "/a/../b%2d" }, "/b-" },
    { "uri", "escape", { "/a b?c=%20" }, "/a%20b?c=%20" },
    { "uri", "unescape", { "/a+b%20c" }, "/a+b c" },
    { "ip", "hostname_type", { "10.0.0.1:80" }, "ipv4" },
    { "ip", "hostname_type", { "::1" }, "ipv6" },
    { "ip", "hostname_type", { "a.test" }, "name" },
    { "ip", "normalize_ip", { "A.test:80" }, { host = "a.test", port = 80, type = "name" } },
    { "ip", "format_host", { "::1", 80 }, "[::1]:80" },
    { "ip", "is_valid_ip_or_cidr", { "10.0.0.0/8" }, true },
    { "mime_type", "parse_mime_type", { "Text/HTML; q=0.5" }, "text" },
    { "mime_type", "includes", { { type = "text", subtype = "*" }, { type = "text", subtype = "html" } }, true },
    { "http", "encode_args", { { b = { 1, 2 }, a = "x y", c = true, d = false } }, "a=x%20y&b%5B1%5D=1&b%5B2%5D=2&c" },
    { "http", "encode_args", { { b = { 1, 2 } }, false, true }, "b=1&b=2" },
    { "http", "decode_args", { "a=1&a=2" }, { a = { "1", "2" } } },
    { "http", "validate_header_name", { "X-A_1" }, "X-A_1" },
    { "http", "parse_directive_header", { 'no-store, Max-Age="10", a=b' }, { ["no-store"] = true, ["max-age"] = 10, a = "b" } },
    { "http", "get_response_type", { "text/*, text/html;q=0.5, application/xml" }, "application/xml" },
    { "cjson", "encode", { { a = 1 } }, '{"a":1}' },
    { "timestamp", "get_timestamps", { 1700000000123 }, { second = 1700000000000, minute = 1699999980000,
      hour = 1699999200000, day = 1699920000000, month = 1698796800000, year = 1672531200000 } },
  }) do
    it(i .. ": " .. case[1] .. "." .. case[2], function()
      assert.same(case[4], (tools(case[1])[case[2]](unpack(case[3], 1, 4))))
    end)
  end

  it("of copies are copies, cycles included", function()
    local out = tools("table").cycle_aware_deep_copy(cyclic)
    assert.are_not.equal(cyclic, out)
    assert.equal(out, out.a.self)
  end)

  it("of utils are those of all others", function()
    assert.equal(tools("string").split, tools("utils").split)
    assert.equal(tools("http").encode_args, tools("utils").encode_args)
  end)

  it("of JSON keep empty arrays", function()
    assert.same('{"a":[]}', tools("cjson").encode(tools("cjson").decode_with_array_mt('{"a":[]}')))
  end)
end)

describe("errors", function()
  for _, case in ipairs({
    { "string", "from_hex", { "0" }, "not hexadecimal" },
    { "string", "bytes_to_str", { 1, "x" }, "invalid unit 'x' (expected 'k/K', 'm/M', or 'g/G')" },
    { "ip", "normalize_ip", { "10.0.0.256" }, "invalid ipv4 address: 10.0.0.256" },
    { "ip", "normalize_ip", { "a:99999" }, "invalid port number" },
    { "http", "validate_header_name", { "a b" },
      "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'" },
    { "http", "validate_cookie_name", { "" }, "no cookie name provided" },
  }) do
    it("of " .. case[1] .. "." .. case[2] .. ": " .. case[4], function()
      local value, err = tools(case[1])[case[2]](unpack(case[3]))
      assert.is_nil(value)
      assert.same(case[4], err)
    end)
  end
end)

describe("names", function()
  it("of the PDK give the global kong", function()
    assert.equal(kong, require("kong.pdk").new())
    local own = { mine = true }
    require("kong.pdk").new({}, own)
    assert.equal(kong.request, own.request)
    assert.is_true(own.mine)
  end)

  it("of version and constants are Kong's", function()
    assert.same("3.9.0", require("kong.meta").version)
    assert.same("3.9.0", tostring(require("kong.meta")._VERSION_TABLE))
    assert.same("X-Consumer-ID", require("kong.constants").HEADERS.CONSUMER_ID)
  end)

  it("of what is not there are told", function()
    local ok, err = tools("module").load_module_if_exists("no.such.module")
    assert.is_false(ok)
    assert.truthy(err:find("module 'no.such.module' not found", 1, true))
  end)
end)

describe("the sandbox", function()
  it("runs code with what it is given", function()
    assert.same(3, tools("sandbox").sandbox("return x + 1", { env = { x = 2 } })())
  end)

  for _, code in ipairs({ "return io.open('/x')", "os.execute('x')", "require('x')", "loadstring('x')()" }) do
    it("refuses " .. code, function()
      assert.is_false((pcall(tools("sandbox").sandbox(code))))
    end)
  end

  it("keeps what code changes to itself", function()
    tools("sandbox").sandbox("string.mine = 1; y = 2")()
    assert.is_nil(rawget(string, "mine"))
    assert.is_nil(rawget(_G, "y"))
  end)

  it("takes no bytecode", function()
    local ok, err = tools("sandbox").validate(string.dump(function() end))
    assert.is_false(ok)
    assert.truthy(err:find("attempt to load chunk with wrong mode", 1, true))
  end)

  it("says what does not compile", function()
    local ok, err = tools("sandbox").validate("return (")
    assert.is_false(ok)
    assert.truthy(err:find("^error parsing function: sandbox:1:"))
  end)
end)

describe("a queue", function()
  it("is the one that our own plugins use", function()
    package.loaded["moongate.queue"] = { enqueue = function() end }
    package.loaded["kong.tools.queue"] = nil
    assert.equal(package.loaded["moongate.queue"], tools("queue"))
    package.loaded["moongate.queue"], package.loaded["kong.tools.queue"] = nil, nil
  end)
end)
