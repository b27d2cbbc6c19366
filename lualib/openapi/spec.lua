-- An API specification (OpenAPI 3, Swagger 2) as a decoded tree: which operation a request means, and which
-- examples its responses have. References are within the document.
-- Not the choice among them (plugins/mocking), nor values made from schemas (openapi/sample). Pure.

local gsub, match, type = string.gsub, string.match, type

local Spec = {}
Spec.__index = Spec

local METHODS = { get = true, put = true, post = true, delete = true, options = true, head = true, patch = true,
  trace = true }
local REFERENCES_MAX = 32

-- Follows references; nil when they lead nowhere.
function Spec:deref(value)
  for _ = 1, REFERENCES_MAX do
    local reference = type(value) == "table" and value["$ref"]
    if type(reference) ~= "string" then
      return value
    elseif reference:sub(1, 2) ~= "#/" then
      return nil
    end
    value = self.tree
    for token in reference:sub(3):gmatch("[^/]+") do
      value = type(value) == "table" and value[gsub(gsub(token, "~1", "/"), "~0", "~")] or nil
    end
  end
  return nil
end

-- "/users/{id}" as a Lua pattern, and how many parameters it has.
local function pattern_of(template)
  local literal, params = gsub(template, "{[^{}]*}", "\0")
  local pattern = gsub(literal, "[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")
  return "^" .. gsub(pattern, "%z", "[^/]+") .. "/?$", params
end

local function base_path(tree)
  if type(tree.basePath) == "string" then
    return tree.basePath
  end
  local server = type(tree.servers) == "table" and tree.servers[1]
  local url = type(server) == "table" and type(server.url) == "string" and server.url or ""
  return match(url, "^%a[%w+.-]*://[^/]*(/.*)$") or match(url, "^/.*$") or ""
end

-- A specification out of its tree; nil, why it is none. base: what stands before its paths (true: what it says itself).
function Spec.new(tree, base)
  if type(tree) ~= "table" or type(tree.paths) ~= "table" then
    return nil, "not an API specification: it has no paths"
  end
  local self = setmetatable({ tree = tree, paths = {} }, Spec)
  local before = gsub(base == true and base_path(tree) or base or "", "/+$", "")
  for template, item in pairs(tree.paths) do
    local pattern, params = pattern_of(before .. template)
    self.paths[#self.paths + 1] = { template = template, pattern = pattern, params = params, item = item }
  end
  -- Literal paths before those with parameters; then the longer one.
  table.sort(self.paths, function(a, b)
    if a.params ~= b.params then
      return a.params < b.params
    elseif #a.template ~= #b.template then
      return #a.template > #b.template
    end
    return a.template < b.template
  end)
  return self
end

-- The operation for a method and path; nil, "path" | "method": what is not in the specification.
function Spec:find(method, path)
  local key, seen = method:lower(), false
  for _, entry in ipairs(self.paths) do
    if match(path, entry.pattern) then
      local item = self:deref(entry.item)
      local operation = type(item) == "table" and METHODS[key] and item[key]
      if type(operation) == "table" then
        return operation
      end
      seen = true
    end
  end
  return nil, seen and "method" or "path"
end

-- Statuses of an operation, lowest first, each {status =, response =}; "default" and "2XX" count as the first of theirs.
function Spec:responses(operation)
  local out = {}
  for code, response in pairs(type(operation.responses) == "table" and operation.responses or {}) do
    local status = tostring(code) == "default" and 200 or tonumber((gsub(tostring(code), "[xX][xX]$", "00")))
    response = self:deref(response)
    if status and type(response) == "table" then
      out[#out + 1] = { status = status, code = tostring(code), response = response }
    end
  end
  table.sort(out, function(a, b)
    if a.status ~= b.status then
      return a.status < b.status
    end
    return a.code < b.code -- "200" before "default"
  end)
  return out
end

local function sorted(map)
  local names = {}
  for name in pairs(type(map) == "table" and map or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- Examples of one media type: array of {id =, value =}; the schema stands in when there is none.
local function examples_of(self, content)
  local out = {}
  if content.example ~= nil then
    out[1] = { value = content.example }
  end
  for _, id in ipairs(sorted(content.examples)) do
    local example = self:deref(content.examples[id])
    if type(example) == "table" and example.value ~= nil then
      out[#out + 1] = { id = id, value = example.value }
    end
  end
  return out
end

-- What a response can be: array of {mime =, examples =, schema = or nil}.
function Spec:contents(response)
  local out = {}
  for _, mime in ipairs(sorted(response.content)) do
    local content = self:deref(response.content[mime])
    if type(content) == "table" then
      out[#out + 1] = { mime = mime, examples = examples_of(self, content), schema = self:deref(content.schema) }
    end
  end
  if response.content == nil then
    -- Swagger 2: examples by media type.
    for _, mime in ipairs(sorted(response.examples)) do
      out[#out + 1] = { mime = mime, examples = { { value = response.examples[mime] } } }
    end
    if not out[1] and response.schema ~= nil then
      out[1] = { mime = "application/json", examples = {}, schema = self:deref(response.schema) }
    end
  end
  return out
end

return Spec
