local sse = require "moongate.ai.sse"

local function events_of(pieces, max_bytes)
  local framer = sse.new(max_bytes)
  local out = {}
  local function drain()
    while true do
      local name, data = framer:next()
      if not name then
        return
      end
      out[#out + 1] = name .. "|" .. data
    end
  end
  for _, piece in ipairs(pieces) do
    local ok, err = framer:feed(piece)
    if not ok then
      return out, err
    end
    drain()
  end
  framer:finish()
  drain()
  return out
end

local STREAM = "\239\187\191: hello\n\nevent: a\ndata: one\n\ndata:two\ndata: \195\169\n\n"
  .. "id: 7\nretry: 10\nunknown\nevent:b\ndata\n\n: keep-alive\n\nevent: lost\n\ndata: last"
local EXPECTED = { "a|one", "message|two\n\195\169", "b|", "message|last" }

describe("ai.sse", function()
  for label, ending in pairs({ LF = "\n", CRLF = "\r\n", CR = "\r" }) do
    local text = STREAM:gsub("\n", ending)

    it("frames " .. label .. " streams", function()
      assert.same(EXPECTED, events_of({ text }))
    end)

    it("frames " .. label .. " streams cut at every byte", function()
      for i = 0, #text do
        assert.same(EXPECTED, events_of({ text:sub(1, i), text:sub(i + 1) }), "cut at " .. i)
      end
      local bytes = {}
      for i = 1, #text do
        bytes[i] = text:sub(i, i)
      end
      assert.same(EXPECTED, events_of(bytes))
    end)
  end

  it("does not wait for the LF of a CRLF before it delivers", function()
    local framer = sse.new()
    framer:feed("data: x\r\n\r")
    assert.equal("message", (framer:next()))
    framer:feed("\ndata: y\r\n\r\n")
    assert.same({ "message", "y" }, { framer:next() })
  end)

  it("takes off one space after the colon, and only one", function()
    assert.same({ "message| x", "message|x" }, events_of({ "data:  x\n\ndata:x\n\n" }))
  end)

  it("fails on an event beyond the limit, however it arrives", function()
    local big = "data: " .. ("x"):rep(100) .. "\n\n"
    local _, err = events_of({ big }, 50)
    assert.equal("event exceeds 50 bytes", err)
    local pieces = {}
    for i = 1, 30 do
      pieces[i] = "data: xx\n"
    end
    _, err = events_of(pieces, 50)
    assert.equal("event exceeds 50 bytes", err)
  end)

  it("does not count comments and finished events against the limit", function()
    local text = (": comment\n" .. "data: 12345\n\n"):rep(100)
    local out, err = events_of({ text }, 50)
    assert.is_nil(err)
    assert.equal(100, #out)
  end)

  it("delivers many events of one read in order", function()
    local text = {}
    for i = 1, 50 do
      text[i] = "data: " .. i .. "\n\n"
    end
    local out = events_of({ table.concat(text) })
    assert.equal("message|1", out[1])
    assert.equal("message|50", out[50])
  end)
end)
