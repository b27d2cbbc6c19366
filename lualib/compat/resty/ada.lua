-- The name guests know: require "resty.ada": URLs as objects: get_*, set_* and has_* of their parts. For absolute URLs with
-- an authority (http, https, ws, ...); ports that are a scheme's own are left out, as the WHATWG's standard asks.
-- Not the whole of that standard: no IDNA, no relative URLs.

local address = require("moongate.schema.address")

local _M = {}
local Url = {}
Url.__index = Url

local PORTS = { ["http:"] = "80", ["https:"] = "443", ["ws:"] = "80", ["wss:"] = "443", ["ftp:"] = "21" }

local function percent(char)
  return ("%%%02X"):format(char:byte())
end

-- With what may not stand in that part of a URL as triplets.
local function path_text(text)
  return (text:gsub("[%z\1-\32\127-\255\"<>`{}#?]", percent))
end

local function query_text(text)
  return (text:gsub("[%z\1-\32\127-\255\"<>#']", percent))
end

local function without_mark(text, mark)
  return text:sub(1, 1) == mark and text:sub(2) or text
end

local function part(text, mark)
  return text == "" and "" or mark .. text
end

--- A URL, or nil and why.
function _M.parse(text)
  local scheme, rest = tostring(text):match("^%s*(%a[%w+.-]*:)//(.-)%s*$")
  if not scheme then
    return nil, "invalid url: an absolute one is needed"
  end
  local authority, path, query, hash = rest:match("^([^/?#]*)([^?#]*)(%??[^#]*)(#?.*)$")
  local user, host = authority:match("^(.*)@(.*)$")
  local name, port = address.split_port(host or authority)
  if not name or name == "" or port == false then
    return nil, "invalid url: no host, or a port that is none"
  end
  local url = setmetatable({ scheme = scheme:lower(), host = name:lower() }, Url)
  url.user, url.password = (user or ""):match("^([^:]*):?(.*)$")
  return url:set_port(port and tostring(port) or ""):set_pathname(path):set_search(query):set_hash(hash)
end

function _M.can_parse(text)
  return _M.parse(text) ~= nil
end

function Url:set_protocol(text)
  self.scheme = text:gsub(":.*$", ""):lower() .. ":"
  return self:set_port(self.port)
end

function Url:set_username(text)
  self.user = text
  return self
end

function Url:set_password(text)
  self.password = text
  return self
end

function Url:set_hostname(text)
  self.host = text:lower()
  return self
end

function Url:set_port(text)
  text = tostring(text)
  self.port = text ~= PORTS[self.scheme] and text or ""
  return self
end

function Url:set_host(text)
  local name, port = address.split_port(text)
  return self:set_hostname(name or text):set_port(port or self.port)
end

function Url:set_pathname(text)
  self.path = path_text(text:sub(1, 1) == "/" and text or "/" .. text)
  return self
end

function Url:set_search(text)
  self.query = query_text(without_mark(text or "", "?"))
  return self
end

function Url:set_hash(text)
  self.hash = without_mark(text or "", "#")
  return self
end

function Url:get_protocol() return self.scheme end
function Url:get_username() return self.user end
function Url:get_password() return self.password end
function Url:get_hostname() return self.host end
function Url:get_port() return self.port end
function Url:get_host() return self.host .. part(self.port, ":") end
function Url:get_pathname() return self.path end
function Url:get_search() return part(self.query, "?") end
function Url:get_hash() return part(self.hash, "#") end
function Url:get_origin() return self.scheme .. "//" .. self:get_host() end

function Url:has_port() return self.port ~= "" end
function Url:has_search() return self.query ~= "" end
function Url:has_hash() return self.hash ~= "" end

--- The whole URL.
function Url:get_href()
  local user = self.user .. part(self.password, ":")
  return self.scheme .. "//" .. (user ~= "" and user .. "@" or "") .. self:get_host() .. self.path
    .. self:get_search() .. self:get_hash()
end

Url.__tostring = Url.get_href

return _M
