-- kong.tracing and the trace behind it, over a fake request.

describe("a trace", function()
  local trace, tracing, extra, has_request, clock, ids, at, finished

  before_each(function()
    extra, has_request, clock, ids, at, finished = nil, true, 10, 0, "access", nil
    package.loaded["moongate.abi.node"] = {
      now = function() return 1700000000 + clock end, mono = function() return clock end, update_time = function() end,
      setting = function(name) return ({ tracing_instrumentations = "all", tracing_sampling_rate = "1" })[name] end,
      serialize = function() return "text" end,
      random_bytes = function(n)
        ids = ids + 1
        return ("%0" .. n .. "d"):format(ids)
      end,
    }
    package.loaded["moongate.abi.phase"] = {
      has_request = function() return has_request end, current = function() return at end, LOG = "log",
    }
    package.loaded["moongate.abi.json"] = { decode = function(text) return "record of " .. text end }
    package.loaded["moongate.tracing.finish"] = { finish = function(t, record) finished = { t, record } end }
    package.loaded["moongate.abi.request"] = { start_time = function() return 1700000009 end }
    package.loaded["moongate.abi.task"] = {
      get_extra = function() extra = extra or {} return extra end, find_extra = function() return extra end,
    }
    package.loaded["moongate.tracing.trace"], package.loaded["moongate.pdk.tracing"] = nil, nil
    trace, tracing = require "moongate.tracing.trace", require "moongate.pdk.tracing"
    trace.start(true)
  end)

  after_each(function()
    for _, name in ipairs({ "abi.node", "abi.phase", "abi.request", "abi.task", "abi.json", "tracing.finish",
      "tracing.trace", "pdk.tracing" }) do
      package.loaded["moongate." .. name] = nil
    end
  end)

  it("does not exist while nobody exports, nor without a request", function()
    trace.start(false)
    assert.is_nil(trace.get())
    assert.same("noop", tracing.start_span("x").name)
    trace.start(true)
    has_request = false
    assert.same("noop", tracing.start_span("x").name)
    assert.is_nil(tracing.active_span())
    assert.is_nil(extra)
  end)

  it("begins with a root span of the whole request", function()
    assert.is_nil(tracing.get_root_span())
    local span = tracing.start_span("x", { span_kind = 3, attributes = { a = 1 } })
    local root = tracing.get_root_span()
    assert.same({ "kong", 2, 1700000009 * 1e9 }, { root.name, root.kind, root.start_time_ns })
    assert.same({ root.trace_id, root.span_id, 3, 1700000010 * 1e9, { a = 1 } },
      { span.trace_id, span.parent_id, span.kind, span.start_time_ns, span.attributes })
    assert.equal(root, tracing.active_span())
  end)

  it("makes children of the active span, until it ends", function()
    local outer = tracing.start_span("outer")
    tracing.set_active_span(outer)
    local inner = tracing.start_span("inner")
    assert.same(outer.span_id, inner.parent_id)
    clock = 12
    outer:finish()
    assert.same(1700000012 * 1e9, outer.end_time_ns)
    clock = 13
    outer:finish()
    assert.same(1700000012 * 1e9, outer.end_time_ns)
    assert.equal(tracing.get_root_span(), tracing.active_span())
  end)

  it("takes another trace's identifier, spans that exist included", function()
    local early = tracing.start_span("early")
    trace.join(trace.get(), { trace_id = ("T"):rep(16), span_id = ("S"):rep(8) })
    local late = tracing.start_span("late")
    assert.same({ ("T"):rep(16), ("T"):rep(16), ("S"):rep(8) }, { early.trace_id, late.trace_id,
      tracing.get_root_span().parent_id })
  end)

  it("tells and changes whether it is recorded", function()
    local span = tracing.start_span("x")
    assert.is_false(tracing:get_sampling_decision())
    tracing:set_should_sample(true)
    assert.is_true(tracing.get_sampling_decision())
    tracing.set_should_sample(false)
    assert.same({ false, false }, { tracing.get_sampling_decision(), span.should_sample })
  end)

  it("keeps attributes, events, errors and a status", function()
    local span = tracing.start_span("x")
    span:set_attribute("a", "b")
    span:add_event("e", { k = 1 }, 5)
    span:record_error("oops")
    span:set_status(2)
    assert.same({ { a = "b" }, 2, { name = "e", attributes = { k = 1 }, time_ns = 5 }, "oops" }, { span.attributes, span.status,
      span.events[1], span.events[2].attributes["exception.message"] })
  end)

  it("shows its spans", function()
    tracing.start_span("x")
    local names = {}
    tracing.process_span(function(span) names[#names + 1] = span.name end)
    assert.same({ "kong", "x" }, names)
  end)

  it("keeps so many spans", function()
    for _ = 1, 300 do
      tracing.start_span("x"):finish()
    end
    assert.same(256, #trace.get().spans)
  end)

  it("refuses misuse", function()
    assert.has_error(function() tracing.start_span("") end, "invalid span name")
    assert.has_error(function() tracing.process_span() end, "processor must be a function")
    assert.has_error(function() tracing.start_span("x"):set_attribute(1) end, "key must be a string")
    assert.has_error(function() tracing.start_span("x"):set_status(3) end, "invalid status code: 0, 1 or 2")
  end)

  it("is finished by the record before guests go through it", function()
    tracing.start_span("x")
    local root = tracing.get_root_span()
    tracing.process_span(function() end)
    assert.is_nil(finished)
    at, root.end_time_ns = "log", 5
    local ends = {}
    tracing.process_span(function(span) ends[#ends + 1] = span.end_time_ns end)
    assert.same({ root.trace, "record of text" }, finished)
    assert.same({ 5, 5 }, ends)
  end)

  it("is recorded on for guests that export", function()
    trace.keep()
    trace.start(false)
    assert.is_table(trace.get())
  end)

  it("has spans of a tracer's own beside it", function()
    trace.start(false)
    local tracer = tracing.new("mine")
    local span = tracer.start_span("x")
    assert.same({ 16, 8, false }, { #span.trace_id, #span.span_id, span.should_sample })
    assert.equal(span.trace_id, tracer:start_span("y").trace_id)
    assert.is_true(tracer:get_sampling_decision(true, 1))
    assert.is_false(tracer:get_sampling_decision(false, 1))
    tracer:set_should_sample(true)
    assert.is_true(span.should_sample)
    assert.is_nil(tracing.get_root_span())
  end)
end)
