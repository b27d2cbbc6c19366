-- The name guests know: require "kong.llm.plugin.shared-filters.parse-request": reads the request's body for the filters
-- behind it. OpenAI's format.

local kong = require("moongate.pdk")
local llm_ctx = require("kong.llm.plugin.ctx")
local observability = require("kong.llm.plugin.observability")

local _M = {
  NAME = "parse-request", STAGE = "REQ_INTROSPECTION",
  DESCRIPTION = "reads the request's body and what its headers say",
}

local _, set = llm_ctx.get_namespaced_accesors(_M.NAME, {
  accept_gzip = "boolean", multipart_request = "boolean", request_body_table = "table", request_model = "table",
})
local get_global, set_global = llm_ctx.get_global_accessors(_M.NAME)

local function accepts_gzip()
  return (kong.request.get_header("Accept-Encoding") or ""):find("%f[%w]gzip%f[%W]") ~= nil
end

function _M:run(conf)
  if get_global("accept_gzip") == nil then
    set_global("accept_gzip", accepts_gzip())
  end
  local content_type = kong.request.get_header("Content-Type") or "application/json"
  local body = kong.request.get_body(content_type, nil, conf.max_request_body_size)
  if type(body) ~= "table" then
    return true -- none that can be read: what needs one says so
  end
  set("request_body_table", body)
  llm_ctx.set_request_body_table_inuse(body, self.NAME)
  set("request_model", { provider = "UNSPECIFIED", name = type(body.model) == "string" and body.model or nil })
  set_global("stream_mode", body.stream and true or false)
  observability.record_request_start()
  return true
end

return _M
