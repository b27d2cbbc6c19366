-- kong.service: where the request goes upstream. What goes there is kong.service.request.
-- Not how a target is chosen (core).

local exchange = require("moongate.abi.exchange")
local checks = require("moongate.pdk.checks")
local retry = require("moongate.runloop.retry")
local phases = require("moongate.pdk.phases")
local tls = require("moongate.abi.tls")

local check = phases.check
local ACCESS = phases.ACCESS
local REWRITE_ACCESS_BALANCER = phases.REWRITE_ACCESS_BALANCER

local MAX_RETRIES, MAX_TIMEOUT_MS, MAX_DEPTH = 32767, 2147483646, 64

local _M = {
  request = require("moongate.pdk.service_request"),
  response = require("moongate.pdk.service_response"),
}

--- Balances this request over another Upstream entity.
-- phases: access. host: its name. Returns true, or nil and why.
function _M.set_upstream(host)
  check(ACCESS)
  checks.string(host, "host")
  return exchange.set_upstream(host)
end

--- Sends this request to another host and port, past all Upstreams.
-- phases: rewrite, access, balancer. host: name or address. port: 0 to 65535.
function _M.set_target(host, port)
  check(REWRITE_ACCESS_BALANCER)
  checks.string(host, "host")
  checks.integer(port, "port", 0, 65535)
  local ok, err = exchange.set_target(host, port)
  if not ok then
    error(err, 2)
  end
end

--- How often a failed attempt is repeated: 0 to 32767.
-- phases: access.
function _M.set_retries(retries)
  check(ACCESS)
  checks.integer(retries, "retries", 0, MAX_RETRIES)
  exchange.set_retries(retries)
end

--- Timeouts of this request, in ms: 1 to 2147483646 each.
-- phases: access.
function _M.set_timeouts(connect_timeout, write_timeout, read_timeout)
  check(ACCESS)
  checks.integer(connect_timeout, "connect_timeout", 1, MAX_TIMEOUT_MS)
  checks.integer(write_timeout, "write_timeout", 1, MAX_TIMEOUT_MS)
  checks.integer(read_timeout, "read_timeout", 1, MAX_TIMEOUT_MS)
  exchange.set_timeouts(connect_timeout, write_timeout, read_timeout)
end

--- Is the upstream's certificate checked in this request?
-- phases: rewrite, access, balancer. Returns true, or nil and why.
function _M.set_tls_verify(on)
  check(REWRITE_ACCESS_BALANCER)
  if type(on) ~= "boolean" then
    error("argument must be a boolean", 2)
  end
  return exchange.set_tls_verify(on)
end

--- Shows this certificate to the upstream in this request, instead of the service's.
-- phases: rewrite, access, balancer. chain, key: of ngx.ssl.parse_pem_cert and parse_pem_priv_key.
-- Returns true, or nil and why (they do not belong together).
-- Parse once, not per request: connections are shared by what is the same certificate.
-- @usage assert(kong.service.set_tls_cert_key(chain, key))
function _M.set_tls_cert_key(chain, key)
  check(REWRITE_ACCESS_BALANCER)
  if not tls.is_chain(chain) then
    error("chain must be a parsed cdata object", 2)
  elseif not tls.is_key(key) then
    error("key must be a parsed cdata object", 2)
  end
  local certificate, err = tls.certificate(chain, key)
  if not certificate then
    return nil, err
  end
  return tls.set_upstream_certificate(certificate)
end

--- How many intermediate certificates the upstream's chain may have in this request: 0 to 64.
-- phases: rewrite, access, balancer. Returns true.
function _M.set_tls_verify_depth(depth)
  check(REWRITE_ACCESS_BALANCER)
  checks.integer(depth, "depth", 0, MAX_DEPTH)
  return tls.set_upstream_depth(depth)
end

--- Whom this request trusts, when certificates are checked (set_tls_verify).
-- phases: rewrite, access, balancer. store: an X509_STORE (resty.openssl's store.ctx); make it once.
-- Returns true.
function _M.set_tls_verify_store(store)
  check(REWRITE_ACCESS_BALANCER)
  if not tls.is_store(store) then
    error("store must be a parsed cdata object", 2)
  end
  return tls.set_upstream_store(store)
end

--- Names the target of each attempt after the first: callback() -> host, port. It may not wait; where it gives no host
-- the request fails as it would have. How many attempts there are: set_retries.
-- phases: access. Example: kong.service.set_target_retry_callback(function() return "10.0.0.2", 8080 end)
function _M.set_target_retry_callback(callback)
  check(ACCESS)
  if type(callback) ~= "function" then
    error("retry_callback must be a function", 2)
  end
  retry.set(callback)
  return true
end

return _M
