-- What the gateway's C tells an upstream about the client, for fakes of moongate.abi.route: adds identify and
-- clear_identity to one. Not for a gateway that runs: there abi.route asks C.

local NAMES = {
  "X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-Consumer-Groups",
  "X-Credential-Identifier", "X-Anonymous-Consumer",
}

--- route: a fake with set_consumer and consumer; request(): its fake of moongate.abi.request.
return function(route, request)
  function route.clear_identity()
    for _, name in ipairs(NAMES) do
      request().clear_header(name)
    end
  end

  function route.identify(consumer, credential, identifier)
    route.set_consumer(consumer, credential)
    route.clear_identity()
    local found = route.consumer()
    local values = {
      found.id, found.custom_id or "", found.username or "", "",
      credential and identifier or "", credential and "" or "true",
    }
    for i, value in ipairs(values) do
      if value ~= "" then
        request().set_header(NAMES[i], value)
      end
    end
    return true
  end
  return route
end
