-- The rules of the transformer plugins: remove, rename, replace, add, append, in that order, over
-- anything with named values (headers, arguments, parts of a form, members of a JSON object).
-- Not what a value is made of (transform/template). Pure.
-- A target has: has(name), remove(name), rename(old, new), set(name, value), append(name, value).
-- An optional refuses(name): names that only replace may touch.

local match = string.match

local _M = {}

-- "name:value" -> name, value ("" when there is none). A value may hold colons.
function _M.split(entry)
  return match(entry, "^([^:]+):*(.-)$")
end

local function pairs_of(entries, make)
  local out = {}
  for i, entry in ipairs(entries or {}) do
    local name, value = _M.split(entry)
    out[i] = { name = name, value = make and make(value, i) or value }
  end
  return out
end

-- The rules of one kind of target ("headers", "querystring", "body", "json") out of a plugin's
-- configuration; nil when there are none. make(text, i, action): what is kept of a value; nil: the text.
function _M.compile(conf, kind, make)
  local out = {}
  local any = false
  for _, action in ipairs({ "remove", "rename", "replace", "add", "append" }) do
    local valued = action ~= "remove" and action ~= "rename"
    out[action] = pairs_of(conf[action] and conf[action][kind], valued and make and function(value, i)
      return make(value, i, action)
    end)
    any = any or out[action][1] ~= nil
  end
  return any and out or nil
end

-- Did the target change? value_of(value): the text of a rule's value now; nil: the value itself.
local function put(target, rules, action, wanted, value_of)
  local changed = false
  for _, rule in ipairs(rules) do
    if (wanted == nil or target:has(rule.name) == wanted)
      and not (action ~= "replace" and target.refuses and target:refuses(rule.name)) then
      local value = rule.value
      if value_of then
        value = value_of(value)
      end
      target[action == "append" and "append" or "set"](target, rule.name, value)
      changed = true
    end
  end
  return changed
end

function _M.apply(rules, target, value_of)
  local changed = false
  for _, rule in ipairs(rules.remove) do
    if target:has(rule.name) then
      target:remove(rule.name, rule.value)
      changed = true
    end
  end
  for _, rule in ipairs(rules.rename) do
    if rule.value ~= "" and rule.value ~= rule.name and target:has(rule.name) then
      target:rename(rule.name, rule.value)
      changed = true
    end
  end
  changed = put(target, rules.replace, "replace", true, value_of) or changed
  changed = put(target, rules.add, "add", false, value_of) or changed
  return put(target, rules.append, "append", nil, value_of) or changed
end

return _M
