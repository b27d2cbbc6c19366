-- docs/pdk.md names every function of the PDK, with the phases that are really enforced; and the PDK has every
-- function of Kong's that needs no database.

local fake_abi = require("lualib.pdk.fake_abi")
local page = dofile((os.getenv("MOONGATE_ROOT") or ".") .. "/spec/tools/pdk_page.lua")

local kong, fake = fake_abi.install()

-- Kong 3.9's PDK, by namespace.
local PDK = {
  request = [[get_scheme get_host get_port get_forwarded_scheme get_forwarded_host get_forwarded_port get_forwarded_path
    get_forwarded_prefix get_http_version get_method get_path get_raw_path get_path_with_query get_raw_query get_query_arg
    get_query get_header get_headers get_raw_body get_body get_start_time get_uri_captures]],
  service = [[set_upstream set_target set_target_retry_callback set_retries set_timeouts set_tls_cert_key set_tls_verify
    set_tls_verify_depth set_tls_verify_store]],
  ["service.request"] = [[enable_buffering set_scheme set_path set_raw_query set_method set_query clear_query_arg set_header
    add_header clear_header set_headers set_raw_body set_body disable_tls]],
  ["service.response"] = "get_status get_headers get_header get_raw_body get_body",
  response = [[get_status get_header get_headers get_source set_status set_header add_header clear_header set_headers
    get_raw_body set_raw_body exit error]],
  client = [[get_ip get_forwarded_ip get_port get_forwarded_port get_credential load_consumer get_consumer authenticate
    get_protocol]],
  ["client.tls"] = [[request_client_certificate disable_session_reuse get_full_client_certificate_chain set_client_verify]],
  router = "get_route get_service", plugin = "get_id", ip = "is_trusted", cluster = "get_id",
  node = "get_id get_memory_stats get_hostname", nginx = "get_subsystem get_statistics", table = "new clear merge",
  vault = "get is_reference parse_reference update try flush warmup",
  log = [[debug info notice warn err crit alert emerg deprecation inspect new set_format set_serialize_value serialize]],
  tracing = [[start_span active_span set_active_span process_span create_span link_span get_root_span set_should_sample
    get_sampling_decision]],
  telemetry = "log", dns = "resolve toip", cache = "get get_bulk renew probe invalidate invalidate_local purge safe_set",
}

local function callable(value)
  return type(value) == "function" or type(value) == "table" and (getmetatable(value) or {}).__call ~= nil
end

describe("the PDK", function()
  for namespace, functions in pairs(PDK) do
    it("has all of kong." .. namespace, function()
      for name in functions:gmatch("%S+") do
        local found = kong
        for part in (namespace .. "." .. name):gmatch("[^.]+") do
          found = found[part]
        end
        assert.is_true(callable(found), "kong." .. namespace .. "." .. name .. " is missing")
      end
    end)
  end
end)

describe("docs/pdk.md", function()
  local file = assert(io.open((os.getenv("MOONGATE_ROOT") or ".") .. "/" .. page.PATH))
  local text = file:read("*a")
  file:close()
  local REMEDY = " (run: luajit spec/tools/pdk_page.lua)"
  local groups = page.rows(kong, fake)

  -- "kong.request.get_path" -> phases, of a table's row.
  local function cells(line)
    local call, phases = line:match("^| `([%w_.:]+)[^|]*| ([^|]*) |")
    return call and call:gsub(":", "."), phases
  end

  local written = {}
  for line in text:gmatch("[^\n]+") do
    local name, phases = cells(line)
    if name then
      written[name] = phases
    end
  end

  it("says of every function in which phases it is allowed", function()
    local n = 0
    for _, group in ipairs(groups) do
      for _, row in ipairs(group[2]) do
        local name, phases = cells(row.line)
        assert.equal(phases, written[name], name .. REMEDY)
        n = n + 1
      end
    end
    assert.is_true(n > 120)
  end)

  it("leaves no function of the PDK's namespaces out", function()
    local described = {}
    for _, group in ipairs(groups) do
      for _, row in ipairs(group[2]) do
        described[row.name] = true
      end
    end
    for namespace, functions in pairs(PDK) do
      for name in functions:gmatch("%S+") do
        local full = "kong." .. namespace .. "." .. name
        assert.is_true(described[full] or namespace == "log", full .. " has no doc comment" .. REMEDY)
      end
    end
  end)

  it("tells the phases apart", function()
    assert.equal("access", page.phases_of(kong.client.authenticate, fake))
    assert.equal("log", page.phases_of(kong.log.serialize, fake))
    assert.equal("all", page.phases_of(kong.node.get_id, fake))
  end)
end)
