-- The name guests know: require "resty.core". Its functions are there already, in `ngx`.

return { version = "0.1.28" }
