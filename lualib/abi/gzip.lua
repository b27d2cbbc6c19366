-- gzip over zlib: whole texts, both ways. Not streams.
-- Invariant: what a text inflates to is bounded, so that a small body cannot fill the memory.

local ffi = require("ffi")

ffi.cdef [[
typedef struct mg_zstream {
  const char *next_in; unsigned avail_in; unsigned long total_in;
  char *next_out; unsigned avail_out; unsigned long total_out;
  const char *msg; void *state;
  void *(*zalloc)(void *, unsigned, unsigned); void (*zfree)(void *, void *); void *opaque;
  int data_type; unsigned long adler, reserved;
} mg_zstream;
const char *zlibVersion(void);
int deflateInit2_(mg_zstream *, int level, int method, int bits, int memory, int strategy, const char *version, int size);
int deflate(mg_zstream *, int flush);
int deflateEnd(mg_zstream *);
int inflateInit2_(mg_zstream *, int bits, const char *version, int size);
int inflate(mg_zstream *, int flush);
int inflateEnd(mg_zstream *);
]]

local _M = {}

local FINISH, OK, STREAM_END = 4, 0, 1
local BITS, AUTO_BITS = 15 + 16, 15 + 32 -- gzip; gzip or zlib
local CHUNK = 65536

-- Feeds the text and collects the output. The output, or nil and why.
local function pump(z, step, text, max)
  local out, room = {}, ffi.new("char[?]", CHUNK)
  local size = 0
  z.next_in, z.avail_in = text, #text
  while true do
    z.next_out, z.avail_out = room, CHUNK
    local code = step(z, FINISH)
    local n = CHUNK - z.avail_out
    size = size + n
    out[#out + 1] = ffi.string(room, n)
    if code == STREAM_END then
      return table.concat(out)
    elseif size > max then
      return nil, "too large"
    elseif z.avail_out ~= 0 or (code ~= OK and code ~= -5) then
      return nil, "malformed or cut off"
    end
  end
end

--- The gzip form of a text, or nil and why.
function _M.deflate(text)
  local z = ffi.new("mg_zstream")
  if ffi.C.deflateInit2_(z, -1, 8, BITS, 8, 0, ffi.C.zlibVersion(), ffi.sizeof(z)) ~= OK then
    return nil, "no memory"
  end
  local out, err = pump(z, ffi.C.deflate, text, math.huge)
  ffi.C.deflateEnd(z)
  return out, err
end

--- What a gzip (or zlib) form holds, at most max bytes (64 MiB); or nil and why.
function _M.inflate(text, max)
  local z = ffi.new("mg_zstream")
  if ffi.C.inflateInit2_(z, AUTO_BITS, ffi.C.zlibVersion(), ffi.sizeof(z)) ~= OK then
    return nil, "no memory"
  end
  local out, err = pump(z, ffi.C.inflate, text, max or 64 * 1024 * 1024)
  ffi.C.inflateEnd(z)
  return out, err
end

return _M
