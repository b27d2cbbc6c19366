-- The name guests know: require "kong.tools.grpc": reads .proto files and frames gRPC messages. Protobuf itself is
-- lua-protobuf's (modules pb and protoc), which is not part of the gateway and must be installed.

local _M = {}
local Tools = {}
Tools.__index = Tools

local PATHS = { "/usr/local/include", "/usr/include" } -- where imports such as google/protobuf/timestamp.proto are
local HEAD_BYTES = 5 -- of a frame: its kind, the length of what follows in 4 bytes
local ISO = "!%Y-%m-%dT%H:%M:%S"

local function to_iso(time)
  local nanos = tonumber(time.nanos) or 0
  return os.date(ISO, tonumber(time.seconds) or 0) .. (nanos > 0 and (".%09d"):format(nanos) or "") .. "Z"
end

local function from_iso(text)
  local year, month, day, hour, minute, second, fraction = text:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)")
  if not year then
    error("not a time of the form 2006-01-02T15:04:05Z: " .. text)
  end
  local days_ahead = os.time({ year = 1970, month = 1, day = 2, hour = 0 }) - 86400 -- of the local zone
  return {
    seconds = os.time({ year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false })
      - days_ahead,
    nanos = tonumber((fraction .. ("0"):rep(9)):sub(1, 9)),
  }
end

-- google.protobuf.Timestamp is text in JSON.
local function use_times(pb)
  pb.option("enable_hooks")
  pb.option("enable_enchooks")
  if pb.type(".google.protobuf.Timestamp") then
    pb.hook(".google.protobuf.Timestamp", to_iso)
    pb.encode_hook(".google.protobuf.Timestamp", function(value)
      return type(value) == "string" and from_iso(value) or value
    end)
  end
end

--- A reader of .proto files.
function _M.new()
  local protoc = require("protoc").new()
  protoc.include_imports = true
  for _, path in ipairs(PATHS) do
    protoc:addpath(path)
  end
  return setmetatable({ protoc_instance = protoc }, Tools)
end

--- Adds a directory, or a list of them, in which imports are looked for.
function Tools:addpath(path)
  for _, one in ipairs(type(path) == "table" and path or { path }) do
    self.protoc_instance:addpath(one)
  end
end

--- The open file of a name, from the first directory that has it; or nil.
function Tools:get_proto_file(name)
  for _, path in ipairs(self.protoc_instance.paths) do
    local file = io.open(path ~= "" and path .. "/" .. name or name)
    if file then
      return file
    end
  end
end

local function walk(protoc, name, fn, recurse)
  local parsed = protoc:parsefile(name)
  for _, index in ipairs(recurse and parsed.public_dependency or {}) do
    walk(protoc, parsed.dependency[index + 1], fn, true)
  end
  for _, service in ipairs(fn and parsed.service or {}) do
    for _, method in ipairs(service.method or {}) do
      fn(parsed, service, method)
    end
  end
  return parsed
end

--- Loads a .proto file and calls fn(file, service, method) for each method in it; with `recurse` also in what it imports
--- publicly. Raises when the file cannot be read or parsed.
function Tools:each_method(name, fn, recurse)
  self.protoc_instance:addpath(name:match("^(.*)/[^/]*$") or ".")
  self.protoc_instance:loadfile(name)
  use_times(require("pb"))
  return walk(self.protoc_instance, name, fn, recurse)
end

--- A message as a frame. kind: 0x0 data, 0x80 trailers.
function _M.frame(kind, message)
  local n = #message
  return string.char(kind, math.floor(n / 2 ^ 24) % 256, math.floor(n / 2 ^ 16) % 256, math.floor(n / 256) % 256, n % 256)
    .. message
end

--- The message of the first frame and what is behind it; nil and the bytes when they are not a whole frame yet.
function _M.unframe(bytes)
  if not bytes or #bytes < HEAD_BYTES then
    return nil, bytes
  end
  local a, b, c, d = bytes:byte(2, HEAD_BYTES)
  local last = HEAD_BYTES + ((a * 256 + b) * 256 + c) * 256 + d
  if last > #bytes then
    return nil, bytes
  end
  return bytes:sub(HEAD_BYTES + 1, last), bytes:sub(last + 1)
end

return _M
