-- kong.configuration: the settings that plugins ask for, with the names they have in kong.conf.
-- Not all of kong.conf: others are the node's settings of that name, or nil. Read only,
-- and no passwords.

local node = require("moongate.abi.node")

local FIXED = {
  role = "traditional",
  database = "off",
  router_flavor = "traditional_compatible",
  plugins = { "bundled" },
  loaded_plugins = {},
  stream_listeners = {},
  stream_listen = { "off" },
  proxy_ssl_enabled = true,
  anonymous_reports = false,
  untrusted_lua = "on",
  untrusted_lua_sandbox_requires = {},
  untrusted_lua_sandbox_environment = {},
  enabled_headers = {
    ["server_tokens"] = true, ["latency_tokens"] = true, ["X-Kong-Request-Id"] = true,
    ["X-Kong-Proxy-Latency"] = true, ["X-Kong-Upstream-Latency"] = true, ["X-Kong-Response-Latency"] = true,
    ["Via"] = true, ["Server"] = true,
  },
  lua_ssl_verify_depth = 1,
  nginx_conf_flags = {},
}

-- kong.conf's name -> ours.
local ALIASES = {
  lua_ssl_trusted_certificate = "ca_file",
  nginx_worker_processes = "workers",
  dns_resolver = "dns_servers",
}

-- Settings that kong.conf has in another form.
local DERIVED = {
  tracing_instrumentations = function(text)
    local out = {}
    for name in (text or "off"):gmatch("[^,%s]+") do
      out[#out + 1] = name
    end
    return out
  end,
  tracing_sampling_rate = function(text)
    return tonumber(text) or 0
  end,
}

return setmetatable({ remove_sensitive = function() return {} end }, {
  __index = function(_, name)
    local value = FIXED[name]
    if value == nil and type(name) == "string" and not name:find("password", 1, true) then
      value = node.setting(ALIASES[name] or name)
      if DERIVED[name] then
        value = DERIVED[name](value)
      end
    end
    return value
  end,
  __newindex = function(_, name)
    error("cannot write to kong.configuration (" .. tostring(name) .. ")", 2)
  end,
})
