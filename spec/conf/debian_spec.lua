-- The Debian package's files agree with the tree: quick checks; what is built and installed is spec/deb/run.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

local function section(name)
  local set, on = {}, false
  for line in read("conf/packages.txt"):gmatch("[^\n]+") do
    if line:find("^%[") then
      on = line == "[" .. name .. "]"
    elseif on then
      set[line:match("^%S+")] = true
    end
  end
  return set
end

local function field(text, name)
  local list = {}
  for package in text:match("\n" .. name .. ":(.-)\n%u"):gmatch("\n ([%w%.%+-]+)") do
    list[#list + 1] = package
  end
  return list
end

describe("conf/debian", function()
  local control, unit = read("conf/debian/control"), read("conf/debian/moongate.service")

  it("has the Makefile's version", function()
    assert.same(read("Makefile"):match("\nVERSION := (%S+)"), read("conf/debian/changelog"):match("^moongate %(([^)]+)%)"))
  end)

  it("builds with what the tree is built with, and runs with what it runs with", function()
    local known = section("run")
    local build = field(control, "Build%-Depends")
    assert.is_true(#build > 6)
    for _, package in ipairs(build) do
      assert.is_true(known[package] or package == "debhelper-compat", package)
    end
    for _, package in ipairs(field(control, "Depends")) do
      assert.is_true(known[package] or package == "adduser", package)
    end
  end)

  it("starts what it installs, as its own user", function()
    local rules = read("conf/debian/rules")
    for path in unit:match("\nExecStart=([^\n]+)"):gmatch(" (/etc/%S+)") do
      assert.truthy(rules:find("$(DEST)" .. path, 1, true), path)
    end
    assert.truthy(rules:find("$(DEST)" .. unit:match("\nEnvironmentFile=%-(%S+)"), 1, true))
    assert.truthy(read("conf/debian/moongate.postinst"):find(unit:match("\nUser=(%w+)"), 1, true))
    assert.truthy(unit:find("\nType=notify\n", 1, true))
    assert.truthy(unit:find("\nKillMode=mixed\n", 1, true))
  end)

  it("gives a drain its time", function()
    local stop = tonumber(unit:match("\nTimeoutStopSec=(%d+)"))
    local rows = read("runtime/config/settings_rows.c")
    assert.is_true(stop >= tonumber(rows:match('"drain_timeout", drain_timeout_ms, "(%d+)s"')) + 20)
  end)
end)
