-- Loads configuration texts in specs with a small set of plugins and a given environment.

local loader = require("moongate.config.loader")
local read_yaml = require("lualib.config.read_yaml")
local typedefs = require("moongate.schema.typedefs")

local M = {}

local string_field = { type = "string" }

local ai_proxy_auth = {
  type = "record", fields = {
    { header_name = { type = "string", referenceable = true } },
    { header_value = { type = "string", referenceable = true, encrypted = true } },
    { param_value = { type = "string", referenceable = true, encrypted = true } },
    { allow_override = { type = "boolean", default = false } } },
}

M.plugins = {
  ["ai-proxy"] = { name = "ai-proxy", fields = {
    { protocols = typedefs.protocols_http },
    { config = { type = "record",
      entity_checks = { { mutually_required = { "auth.header_name", "auth.header_value" } } },
      fields = {
        { route_type = { type = "string", required = true, one_of = { "llm/v1/chat", "preserve" } } },
        { auth = ai_proxy_auth },
        { model = { type = "record", required = true, fields = {
          { provider = { type = "string", required = true } }, { name = string_field },
          { options = { type = "record", fields = { { max_tokens = { type = "integer", default = 256 } } } } } } } },
        { logging = { type = "record", required = true, fields = {
          { log_statistics = { type = "boolean", default = false } },
          { log_payloads = { type = "boolean", default = false } } } } } } } } } },
  ["key-auth"] = { name = "key-auth", fields = {
    { consumer = typedefs.no_consumer }, { protocols = typedefs.protocols_http },
    { config = { type = "record", fields = {
      { key_names = { type = "array", required = true, elements = typedefs.header_name,
        default = { "apikey" } } } } } } } },
  ["rate-limiting"] = { name = "rate-limiting", fields = {
    { protocols = typedefs.protocols_http },
    { config = { type = "record", entity_checks = { { at_least_one_of = { "second", "minute" } } }, fields = {
      { second = { type = "number", gt = 0 } }, { minute = { type = "number", gt = 0 } },
      { policy = { type = "string", default = "local", one_of = { "local", "redis" } } },
      { limit_by = { type = "string", default = "consumer" } } } } } } },
  prometheus = { name = "prometheus", fields = {
    { config = { type = "record", fields = {
      { ai_metrics = { type = "boolean", default = false } },
      { latency_metrics = { type = "boolean", default = false } } } } } } },
}

--- Loads several { file =, text = } with the variables of `environment`.
function M.load_files(files, environment, extra)
  local opts = {
    parse_yaml = read_yaml, getenv = function(name) return (environment or {})[name] end,
    plugin_schema = function(name) return M.plugins[name] end,
    plugin_names = function() return { "ai-proxy", "key-auth", "prometheus", "rate-limiting" } end,
  }
  for key, value in pairs(extra or {}) do
    opts[key] = value
  end
  return loader.load(files, opts)
end

--- Loads one text under the name kong.yaml, with `_format_version` put in front on its first line.
function M.load(text, environment, extra)
  if not text:find("_format_version", 1, true) then
    text = '_format_version: "3.0"\n' .. text
  end
  return M.load_files({ { file = "kong.yaml", text = text } }, environment, extra)
end

--- The problems as lines.
function M.lines(problems)
  local lines = {}
  for i, problem in ipairs(problems) do
    lines[i] = loader.format_problem(problem)
  end
  return lines
end

--- The lines of the problems of one text.
function M.problems(text, environment, extra)
  local _, problems = M.load(text, environment, extra)
  return M.lines(problems)
end

return M
