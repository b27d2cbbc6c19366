local line = require "moongate.statsd.line"

describe("statsd.line", function()
  it("writes names, values, types and rates", function()
    assert.same("a.b:1|c", line.make("a.b", 1, "counter", 1))
    assert.same("a.b:1.5|ms", line.make("a.b", 1.5, "timer"))
    assert.same("a.b:1|c|@0.25", line.make("a.b", 1, "counter", 0.25))
    assert.same("a.b:al_ice|s", line.make("a.b", "al|ice", "set"))
  end)

  for style, expected in pairs({
    dogstatsd = "n:1|c|@0.5|#a:x,b:y_z",
    influxdb = "n,a=x,b=y_z:1|c|@0.5",
    librato = "n#a=x,b=y_z:1|c|@0.5",
    signalfx = "n[a=x,b=y_z]:1|c|@0.5",
  }) do
    it("writes tags as " .. style .. " does", function()
      assert.same(expected, line.make("n", 1, "counter", 0.5, style, { "a", "x", "b", "y,z" }))
    end)
  end

  it("packs lines up to a size", function()
    assert.same({ "aa\nbb", "cc" }, line.pack({ "aa\nbb", "cc" }, 6))
    assert.same({ "aa", "bb", "cc" }, line.pack({ "aa\nbb", "cc" }, 0))
    assert.same({ "aaaaaaaaaa", "b" }, line.pack({ "aaaaaaaaaa", "b" }, 4))
    assert.same({}, line.pack({}, 4))
  end)
end)
