-- Assertions on responses, added to busted's assert: assert.status(404, response),
-- assert.header("text/plain", response, "content-type"), assert.gateway_error(400, response).
-- Invariant: a failure shows the whole response.

local say = require("say")
local luassert = require("luassert")

local M = {}

function M.show(response)
  if type(response) ~= "table" then
    return "no response (" .. tostring(response) .. ")"
  end
  local body = tostring(response.body or "(body not read)"):sub(1, 1000)
  return tostring(response.raw_head) .. body
end

local function add(name, message, check)
  say:set("assertion." .. name, message)
  luassert:register("assertion", name, function(state, args)
    local ok, why = check(args)
    if not ok then
      state.failure_message = why
    end
    return ok
  end, "assertion." .. name, "assertion." .. name)
end

add("status", "wrong status", function(args)
  local want, response = args[1], args[2]
  local got = type(response) == "table" and response.status
  return got == want, ("status %s, not %s:\n%s"):format(tostring(got), tostring(want), M.show(response))
end)

-- want nil: the header must be absent.
add("header", "wrong header", function(args)
  local want, response, name = args[1], args[2], args[3]
  local got = response:header(name)
  return got == want, ("%s is %q, not %q:\n%s"):format(name, tostring(got), tostring(want), M.show(response))
end)

-- One of the gateway's own error responses: status, JSON message and request id, no leaked address.
add("gateway_error", "not a gateway error", function(args)
  local want, response = args[1], args[2]
  if type(response) ~= "table" or response.status ~= want then
    local got = type(response) == "table" and response.status
    return false, ("status %s, not %s:\n%s"):format(tostring(got), tostring(want), M.show(response))
  end
  local ok, body = pcall(response.json, response)
  local good = ok
    and type(body) == "table"
    and type(body.message) == "string"
    and type(body.request_id) == "string"
    and body.request_id:find("^%x+$")
    and #body.request_id == 32
  if not good then
    return false, "body is not {message, request_id of 32 hex digits}:\n" .. M.show(response)
  end
  return not response.body:find("127.0.0.1", 1, true), "an address leaks:\n" .. M.show(response)
end)

return M
