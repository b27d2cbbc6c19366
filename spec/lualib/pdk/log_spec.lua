-- kong.log: lines, and values in the request's record.

local cjson = require("cjson")
local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()

before_each(function()
  fake:reset()
  fake:plugin({ name = "my-plugin", handler = {} })
end)

describe("a line", function()
  for name, level in pairs({ emerg = 1, alert = 2, crit = 3, err = 4, warn = 5, notice = 6 }) do
    it("of level " .. name .. " says who and where", function()
      kong.log[name]("a", 1, nil, true)
      assert.same(level, fake.logged[1].level)
      assert.truthy(fake.logged[1].text:find("^%[kong%] log_spec%.lua:%d+ %[my%-plugin%] a1niltrue$"))
    end)
  end

  it("is notice when no level is named", function()
    kong.log("text")
    assert.same(6, fake.logged[1].level)
    assert.truthy(fake.logged[1].text:find("^%[kong%] [^ ]*:%d+ %[my%-plugin%] text$"))
  end)

  it("has no name outside of plugins", function()
    fake:plugin(nil)
    kong.log.err("x")
    assert.truthy(fake.logged[1].text:find("^%[kong%] log_spec%.lua:%d+ x$"))
  end)

  it("is not made when it is not wanted", function()
    kong.log.info(setmetatable({}, { __tostring = function()
      error("made")
    end }))
    kong.log.debug("x")
    kong.log.inspect({})
    assert.same({}, fake.logged)
  end)

  it("may contain the signs of formats", function()
    kong.log.err("100%message %s")
    assert.truthy(fake.logged[1].text:find("100%message %s", 1, true))
  end)

  it("can have a name and a format of its own", function()
    local log = kong.log.new("other", "<%namespace%message>")
    log.warn("x")
    assert.same("[kong] <[other] x>", fake.logged[1].text)
    assert.same("namespace must be a non-empty string", (failure(kong.log.new, "")))
  end)

  it("shows values", function()
    fake.log_level = 8
    kong.log.inspect({ b = 1, a = { "x" }, ["c d"] = true }, nil)
    assert.truthy(fake.logged[1].text:find(
      '{\n  a = {\n    "x"\n  },\n  b = 1,\n  ["c d"] = true\n} nil', 1, true))
    kong.log.inspect.off()
    kong.log.inspect("y")
    kong.log.inspect.on()
    assert.same(1, #fake.logged)
  end)

  it("tells what is deprecated", function()
    kong.log.deprecation("old thing", { after = "1.0", removal = "2.0" })
    assert.truthy(fake.logged[1].text:find("old thing (deprecated after 1.0, scheduled for removal in 2.0)", 1, true))
  end)
end)

describe("the request's record", function()
  local function record()
    fake:phase("log")
    return kong.log.serialize()
  end

  it("takes values by dotted keys", function()
    kong.log.set_serialize_value("my.field", { 1, 2 })
    kong.log.set_serialize_value("my.other", true)
    assert.same({ my = { field = { 1, 2 }, other = true } }, cjson.decode(fake.log_fields))
    assert.same({ my = { field = { 1, 2 }, other = true } }, record())
  end)

  it("becomes JSON for the access log once, when the log phase has ended", function()
    fake:phase("log")
    kong.log.set_serialize_value("my.field", 1)
    kong.log.set_serialize_value("my.other", 2)
    assert.is_nil(fake.log_fields)
    require("moongate.abi.task").on_logged()
    assert.same({ my = { field = 1, other = 2 } }, cjson.decode(fake.log_fields))
  end)

  for _, case in ipairs({
    { "set", "present", 2, 2 }, { "add", "present", 2, 1 }, { "replace", "present", 2, 2 },
    { "set", "absent", 2, 2 }, { "add", "absent", 2, 2 }, { "replace", "absent", 2, nil },
  }) do
    it(case[1] .. "s what is " .. case[2], function()
      fake.record = '{"request":{"present":1}}'
      kong.log.set_serialize_value("request." .. case[2], case[3], { mode = case[1] })
      assert.same(case[4], record().request[case[2]])
      local mark = { set = "", add = "+", replace = "~" }
      assert.same({ [mark[case[1]] .. "request." .. case[2]] = 2 }, cjson.decode(fake.log_fields))
    end)
  end

  it("loses a value that is set to nil", function()
    fake.record = '{"request":{"a":1,"b":2}}'
    kong.log.set_serialize_value("request.a", nil)
    assert.same({ request = { b = 2 } }, record())
    assert.same({ ["~request.a"] = cjson.null }, cjson.decode(fake.log_fields))
  end)

  for _, case in ipairs({
    { { 1, 2 }, "key must be a string" },
    { { "k", 1, { mode = "x" } }, "mode must be 'set', 'add' or 'replace'" },
    { { "k", print }, "value must be nil, a number, string, boolean or a non-self-referencial table containing "
      .. "numbers, string and booleans" },
  }) do
    it("refuses: " .. case[2]:sub(1, 30), function()
      local text, blames_caller = failure(kong.log.set_serialize_value, unpack(case[1], 1, 3))
      assert.same(case[2], text)
      assert.is_true(blames_caller)
    end)
  end

  it("is read in the log phase only", function()
    assert.same("function cannot be called in access phase (only in: log): kong.log.serialize", (failure(kong.log.serialize)))
  end)
end)
