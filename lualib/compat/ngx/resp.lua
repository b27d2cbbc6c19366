-- The name guests know: require "ngx.resp".

return { add_header = ngx.resp.add_header } -- luacheck: ignore
