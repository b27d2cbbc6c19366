-- The name guests know: require "ngx.re".

local re = ngx.re -- luacheck: ignore

-- Pieces of `subject` between matches of `pattern`; groups of the pattern are pieces, too.
local function split(subject, pattern, options, ctx, max)
  local out, from = {}, ctx and ctx.pos or 1
  while not max or max <= 0 or #out < max - 1 do
    local at = { pos = from }
    local m, err = re.match(subject, pattern, options, at)
    if err then
      return nil, err
    elseif not m then
      break
    end
    local stop = at.pos
    local start = stop - #m[0]
    if #m[0] == 0 then
      start, stop = start + 1, stop + 1
    end
    if start > #subject then
      break
    end
    out[#out + 1] = subject:sub(from, start - 1)
    for i = 1, #m do
      if m[i] then
        out[#out + 1] = m[i]
      end
    end
    from = stop
  end
  if from <= #subject or #out == 0 or #subject > 0 and from == #subject + 1 then
    out[#out + 1] = subject:sub(from)
  end
  if out[#out] == "" and not (max and max > 0) then
    out[#out] = nil
  end
  return out
end

return { split = split, opt = function() end }
