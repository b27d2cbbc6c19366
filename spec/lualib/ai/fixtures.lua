-- Streams of Anthropic's, as they come over the wire, and one whole answer.
-- Not specs: stream_spec runs each of them cut at every byte.
-- Invariant: each value is the complete answer of one request.

local function event(name, data)
  return "event: " .. name .. "\ndata: " .. data .. "\n\n"
end

local function start(usage)
  return event("message_start", '{"type":"message_start","message":{"id":"msg_1","type":"message",'
    .. '"role":"assistant","model":"claude-x","content":[],"stop_reason":null,"usage":' .. usage
    .. "}}")
end

local function block(index, content)
  return event("content_block_start", '{"type":"content_block_start","index":' .. index
    .. ',"content_block":' .. content .. "}")
end

local function delta(index, content)
  return event("content_block_delta", '{"type":"content_block_delta","index":' .. index
    .. ',"delta":' .. content .. "}")
end

local function stop(index)
  return event("content_block_stop", '{"type":"content_block_stop","index":' .. index .. "}")
end

local function finish(reason, output)
  return event("message_delta", '{"type":"message_delta","delta":{"stop_reason":"' .. reason
    .. '","stop_sequence":null},"usage":{"output_tokens":' .. output .. "}}")
    .. event("message_stop", '{"type":"message_stop"}')
end

local PING = event("ping", '{"type":"ping"}')

return {
  -- an emoji split between two events as surrogate halves
  text = start('{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,'
      .. '"output_tokens":1}')
    .. block(0, '{"type":"text","text":""}') .. PING
    .. delta(0, '{"type":"text_delta","text":"Hel"}')
    .. delta(0, '{"type":"text_delta","text":"lo \\ud83d"}')
    .. delta(0, '{"type":"text_delta","text":"\\ude00 \195\169"}')
    .. stop(0) .. finish("end_turn", 7),

  tools = start('{"input_tokens":1,"output_tokens":1}')
    .. block(0, '{"type":"text","text":""}')
    .. delta(0, '{"type":"text_delta","text":"Let me see"}') .. stop(0)
    .. block(1, '{"type":"tool_use","id":"t1","name":"weather","input":{}}')
    .. delta(1, '{"type":"input_json_delta","partial_json":""}')
    .. delta(1, '{"type":"input_json_delta","partial_json":"{\\"city\\":\\"Z\\\\u00fc"}')
    .. delta(1, '{"type":"input_json_delta","partial_json":"rich\\",\\"n\\":10000000000000001}"}')
    .. stop(1)
    .. block(3, '{"type":"tool_use","id":"t2","name":"now","input":{}}')
    .. delta(3, '{"type":"input_json_delta","partial_json":""}') .. stop(3)
    .. finish("tool_use", 20),

  thinking = start('{"input_tokens":1,"output_tokens":1}')
    .. block(0, '{"type":"thinking","thinking":"","signature":""}')
    .. delta(0, '{"type":"thinking_delta","thinking":"Hmm, "}')
    .. delta(0, '{"type":"thinking_delta","thinking":"well"}')
    .. delta(0, '{"type":"signature_delta","signature":"EqQB"}') .. stop(0)
    .. block(1, '{"type":"redacted_thinking","data":"x"}') .. stop(1)
    .. block(2, '{"type":"server_tool_use","id":"s","name":"web_search","input":{}}')
    .. delta(2, '{"type":"input_json_delta","partial_json":"{}"}') .. stop(2)
    .. block(3, '{"type":"text","text":"Y"}')
    .. delta(3, '{"type":"text_delta","text":"es"}')
    .. delta(3, '{"type":"citations_delta","citation":{"type":"char_location"}}')
    .. delta(3, '{"type":"delta_of_tomorrow","x":1}') .. stop(3)
    .. event("event_of_tomorrow", '{"type":"event_of_tomorrow"}')
    .. finish("end_turn", 9),

  error = start('{"input_tokens":1,"output_tokens":1}')
    .. block(0, '{"type":"text","text":""}')
    .. delta(0, '{"type":"text_delta","text":"Hel"}')
    .. event("error",
      '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),

  document = '{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":['
    .. '{"type":"text","text":"Hello"},'
    .. '{"type":"tool_use","id":"t1","name":"f","input":{"a":[],"n":10000000000000001}}],'
    .. '"stop_reason":"tool_use","usage":{"input_tokens":10,"output_tokens":7}}',
}
