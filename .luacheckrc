-- What luacheck may assume. Globals are allowed only where guests (plugins, specs) expect them.
std = "luajit"
max_line_length = 132
unused_args = false
exclude_files = { "**/node_modules/**", "build/**" }
globals = {}
ignore = { "212" } -- unused arguments: handlers have fixed signatures

files["plugins"] = { read_globals = { "kong", "ngx" } }
files["lualib"] = { read_globals = { "kong", "ngx" } }
files["lualib/boot.lua"] = { globals = { "kong", "ngx" } }
files["lualib/pdk"] = { globals = { "kong", "ngx" } }
files["lualib/ngx"] = { globals = { "ngx" } }
files["lualib/resty"] = { read_globals = { "ngx" } }
files["spec"] = { std = "luajit+busted", globals = { "kong", "ngx" } }
