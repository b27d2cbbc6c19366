-- What Kong's own plugins find around them: in their schemas (this file's first part), and the modules that
-- docs/compatibility.md names.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local site = require("e2e.support.site")

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")
local SETTINGS = { plugin_dirs = ROOT .. "/spec/e2e" }

describe("the schema of a plugin written for Kong", function()
  local function check(config)
    return gateway.command({ "check" }, {
      config = "plugins:\n- {name: compat, config: " .. config .. "}\n", env = { MOONGATE_PLUGIN_DIRS = SETTINGS.plugin_dirs },
    })
  end

  local bad = {
    { "{pattern: '['}", "config.pattern: not a valid regex" },
    { "{field_name: 'a b'}", "config.field_name: bad header name 'a b'" },
    { "{dictionary: mine}", "config.dictionary: no such dictionary: mine" },
    { "{text: A1}", "config.text: small letters only" },
    { "{text: raise}", "config: the plugin's schema failed: .*raised by a validator" },
    { "{variable: host}", "config: the plugin's schema failed: .* needs a running worker" },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function()
      local result = check(case[1])
      assert.equal(1, result.code)
      assert.truthy(result.output:find(case[2]), result.output)
    end)
  end

  it("uses ngx, kong and Kong's modules, and fills in records", function()
    local gw, up = site.start({ settings = SETTINGS,
      more = "plugins:\n- {name: compat, config: {dictionary: kong_db_cache, text: abc}}\n" })
    local conf = cjson.decode(client.get(gw, "/").body).conf
    assert.same({ depth = 7, deeper = { depth = 8 } }, conf.nested)
    assert.equal(64, #conf.digest)
    site.stop(gw, up)
  end)
end)
