local check = require "plugins.schema_check"

for _, name in ipairs({ "pre-function", "post-function" }) do
  describe(name .. " schema", function()
    local process = check.open(name)

    it("fills Kong's defaults", function()
      assert.same({ certificate = {}, rewrite = {}, access = {}, header_filter = {}, body_filter = {}, log = {},
        ws_handshake = {}, ws_client_frame = {}, ws_upstream_frame = {}, ws_close = {} }, process({}))
    end)

    it("refuses what is no Lua text", function()
      for text, why in pairs({ ["return return"] = "error parsing " .. name .. ": " .. name .. ":1:",
        [string.dump(function() end)] = "attempt to load chunk with wrong mode" }) do
        local _, errors = process({ access = { text } })
        local _, message = next(errors)
        assert.matches(why, message, 1, true)
      end
    end)
  end)
end
