-- The name guests know: require "ngx.req".

return { add_header = ngx.req.add_header } -- luacheck: ignore
