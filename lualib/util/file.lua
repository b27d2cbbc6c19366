-- A small file, whole. Not for a request's way: reading waits for the disk.

local _M = {}

--- The file's bytes; or nil and why: it cannot be opened, or is a directory.
function _M.read(path)
  local file, why = io.open(path, "rb")
  if not file then
    return nil, why
  end
  local text
  text, why = file:read("*a")
  file:close()
  return text, why
end

return _M
