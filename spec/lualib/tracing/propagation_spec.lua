local formats = require "moongate.tracing.formats"
local propagation = require "moongate.tracing.propagation"
local sampler = require "moongate.tracing.sampler"

local TRACE, SPAN, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "05e3ac9a4f6e3b90"

local function raw(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function getter(headers)
  return function(name)
    return headers[name]
  end
end

local function seen(context)
  return context and { formats.to_hex(context.trace_id), context.span_id and formats.to_hex(context.span_id),
    context.should_sample }
end

local LOW = ("0"):rep(16) .. TRACE:sub(17)

describe("trace headers", function()
  for name, case in pairs({
    w3c = { { traceparent = "00-" .. TRACE .. "-" .. SPAN .. "-01" }, { TRACE, SPAN, true } },
    b3 = { { ["x-b3-traceid"] = TRACE, ["x-b3-spanid"] = SPAN, ["x-b3-parentspanid"] = PARENT, ["x-b3-sampled"] = "1" },
      { TRACE, SPAN, true } },
    ["b3-single"] = { { b3 = TRACE .. "-" .. SPAN .. "-1-" .. PARENT }, { TRACE, SPAN, true } },
    jaeger = { { ["uber-trace-id"] = TRACE .. ":" .. SPAN .. ":" .. PARENT .. ":01" }, { TRACE, SPAN, true } },
    ot = { { ["ot-tracer-traceid"] = TRACE, ["ot-tracer-spanid"] = SPAN, ["ot-tracer-sampled"] = "1" },
      { TRACE, SPAN, true } },
    datadog = { { ["x-datadog-trace-id"] = "11803532876627986230", ["x-datadog-parent-id"] = "67667974448284343",
      ["x-datadog-sampling-priority"] = "1" }, { LOW, SPAN, true } },
    aws = { { ["x-amzn-trace-id"] = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" .. SPAN .. ";Sampled=1" },
      { TRACE, SPAN, true } },
    gcp = { { ["x-cloud-trace-context"] = TRACE .. "/67667974448284343;o=1" }, { TRACE, SPAN, true } },
    instana = { { ["x-instana-t"] = TRACE, ["x-instana-s"] = SPAN, ["x-instana-l"] = "1" }, { TRACE, SPAN, true } },
  }) do
    it("of " .. name .. " are read, and written the same", function()
      assert.same(case[2], seen(formats.all[name].extract(getter(case[1]))))
      local written = {}
      formats.all[name].inject({ trace_id = raw(TRACE), span_id = raw(SPAN), parent_id = raw(PARENT),
        should_sample = true }, function(field, value)
        written[field] = value
      end)
      assert.same(case[1], written)
    end)

    it("of " .. name .. " that are cut are none, or lack what was cut", function()
      for field, value in pairs(case[1]) do
        for n = 0, #value - 1 do
          local headers = {}
          for other, whole in pairs(case[1]) do
            headers[other] = other == field and whole:sub(1, n) or whole
          end
          local context = formats.all[name].extract(getter(headers))
          assert.is_true(not context or #context.trace_id == 16 and (not context.span_id or #context.span_id == 8))
        end
      end
    end)
  end

  for text, expected in pairs({
    ["00-" .. TRACE .. "-" .. SPAN .. "-00"] = { TRACE, SPAN, false },
    ["01-" .. TRACE .. "-" .. SPAN .. "-03-more"] = { TRACE, SPAN, true },
    ["ff-" .. TRACE .. "-" .. SPAN .. "-01"] = "none",
    ["00-" .. TRACE .. "-" .. SPAN .. "-01-more"] = "none",
    ["00-" .. ("0"):rep(32) .. "-" .. SPAN .. "-01"] = "none",
    ["00-" .. TRACE .. "-" .. ("0"):rep(16) .. "-01"] = "none",
  }) do
    it("traceparent " .. text, function()
      assert.same(expected, seen(formats.all.w3c.extract(getter({ traceparent = text }))) or "none")
    end)
  end

  it("of 64 bits become 128", function()
    assert.same({ LOW, SPAN }, seen(formats.all.b3.extract(getter({ ["x-b3-traceid"] = TRACE:sub(17), ["x-b3-spanid"] = SPAN }))))
    assert.same({ ("0"):rep(30) .. "1f", ("0"):rep(15) .. "a", false },
      seen(formats.all.jaeger.extract(getter({ ["uber-trace-id"] = "1f%3Aa%3A0%3A0" }))))
  end)
end)

describe("propagation", function()
  local W3C, B3 = { traceparent = "00-" .. TRACE .. "-" .. SPAN .. "-01" }, { b3 = TRACE .. "-" .. PARENT .. "-1" }

  local function run(conf, headers)
    local plan = propagation.plan(conf)
    local context, found = propagation.extract(plan, getter(headers))
    local written = {}
    propagation.inject(plan, { trace_id = raw(TRACE), span_id = raw(SPAN) }, found, function(name)
      written[#written + 1] = name
    end)
    table.sort(written)
    return { context ~= nil, table.concat(written, " ") }, plan
  end

  it("keeps the format it finds by default, else w3c", function()
    assert.same({ true, "b3" }, (run({ header_type = "preserve" }, B3)))
    assert.same({ true, "traceparent" }, (run({}, W3C)))
    assert.same({ false, "traceparent" }, (run({}, {})))
    assert.same({ false, "uber-trace-id" }, (run({ propagation = { default_format = "jaeger" } }, {})))
  end)

  it("knows the older header_type", function()
    assert.same({ false, "traceparent" }, (run({ header_type = "ignore" }, B3)))
    assert.same({ true, "b3 traceparent" }, (run({ header_type = "w3c" }, B3)))
    assert.same({ false, "x-amzn-trace-id" }, (run({ header_type = "aws" }, {})))
  end)

  it("reads in the configured order, and writes what is configured", function()
    local both = { traceparent = W3C.traceparent, b3 = B3.b3 }
    local conf = { header_type = "preserve", propagation = { extract = { "b3", "w3c" }, inject = { "preserve", "ot", "b3-single" },
      default_format = "gcp", clear = { "x-old" } } }
    assert.same({ true, "b3 ot-tracer-sampled ot-tracer-spanid ot-tracer-traceid" }, (run(conf, both)))
    assert.same({ "x-old" }, select(2, run(conf, both)).clear)
    assert.same({ false, "b3 ot-tracer-sampled ot-tracer-spanid ot-tracer-traceid x-cloud-trace-context" }, (run(conf, {})))
    assert.same({ false, "" }, (run({ propagation = { clear = { "x" } } }, both)))
  end)
end)

describe("sampling", function()
  local low, high = ("\0"):rep(16), ("\255"):rep(16)

  it("is decided by the identifier", function()
    assert.same({ true, false, true, false }, { sampler.by_chance(0.5, low), sampler.by_chance(0.5, high),
      sampler.by_chance(1, high), sampler.by_chance(0, low) })
  end)

  it("follows parents as the strategy says", function()
    local drop, follow = "parent_drop_probability_fallback", "parent_probability_fallback"
    assert.same({ false, false, true, false, true }, { sampler.decide(drop, 1, low, false), sampler.decide(drop, 0, low, true),
      sampler.decide(follow, 0, low, true), sampler.decide(follow, 1, low, false), sampler.decide(follow, 1, low, nil) })
  end)
end)
