-- The C library under our own name, for the configuration loader, where `cjson` is nothing else.
-- Not loaded in workers: there boot.lua keeps the library under this name before guests get theirs.

return require "cjson"
