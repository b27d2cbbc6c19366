-- What luacheck may assume. Globals are allowed only where guests (plugins, specs) expect them.
std = "luajit"
max_line_length = 132
unused_args = false
exclude_files = { "**/node_modules/**", "build/**" }
globals = {}
ignore = { "212" } -- unused arguments: handlers have fixed signatures

-- What plugins may write to.
local WRITABLE = { read_only = false, other_fields = true }
local KONG = { other_fields = true, fields = { ctx = WRITABLE } }
local NGX = { other_fields = true, fields = { arg = WRITABLE, ctx = WRITABLE, header = WRITABLE, status = WRITABLE,
  var = WRITABLE } }
files["plugins"] = { read_globals = { kong = KONG, ngx = NGX } }
files["lualib"] = { read_globals = { "kong", "ngx" } }
files["lualib/boot.lua"] = { globals = { "kong", "ngx" } }
files["lualib/pdk"] = { globals = { "kong", "ngx" } }
files["lualib/ngx"] = { globals = { "ngx" } }
files["lualib/compat/resty/http.lua"] = { read_globals = { ngx = NGX } }
files["lualib/resty"] = { read_globals = { "ngx" } }
files["spec"] = { std = "luajit+busted", globals = { "kong", "ngx" } }
