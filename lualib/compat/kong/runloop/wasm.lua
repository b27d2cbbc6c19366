-- The name guests know: require "kong.runloop.wasm". There are no WebAssembly filters in this gateway.

return { enabled = function() return false end }
