-- Plugins scoped to a consumer group: they run for its consumers, once these are authenticated.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local MORE = [[
consumer_groups:
- name: silver
- name: gold
  plugins:
  - name: request-termination
    config: {status_code: 418, message: gold}
consumers:
- username: bob
  groups: [{name: silver}]
  keyauth_credentials: [{key: b}]
- username: alice
  groups: [{name: gold}]
  keyauth_credentials: [{key: a}]
- username: carol
  acls: [{group: gold}]
  keyauth_credentials: [{key: c}]
plugins:
- name: key-auth
]]

describe("a plugin of a consumer group", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = MORE })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  for key, case in pairs({
    a = { "runs for the group's consumers", 418 },
    b = { "does not run for another group's", 200 },
    c = { "does not run for an ACL group of the same name", 200 },
  }) do
    it(case[1], function()
      assert.status(case[2], client.get(gw, "/", { apikey = key }))
    end)
  end
end)
