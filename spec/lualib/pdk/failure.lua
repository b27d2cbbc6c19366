-- For specs of the PDK: runs fn(...), which must raise. Its text without the place, and whether the
-- place is the call in this file (the caller was blamed).
return function(fn, ...)
  local args, n = { ... }, select("#", ...)
  local ok, err = pcall(function()
    fn(unpack(args, 1, n))
    return true
  end)
  assert(not ok, "it did not raise")
  local text = tostring(err)
  return (text:gsub("^[^:]*:%d+: ", "")), text:find("failure.lua", 1, true) ~= nil
end
