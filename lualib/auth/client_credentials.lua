-- Access tokens that the gateway gets for itself: OAuth 2.0 client credentials (RFC 6749, 4.4). A token is
-- shared by all workers until it runs out, and renewed before that.
-- Not the checking of clients' tokens (auth/jwt).
-- Invariants: one request for a token at a time (a lock in shared memory), made in a task of its own, so that no
-- client's leaving ends it; neither secrets nor tokens are ever in a message.

local crypto = require "moongate.abi.crypto"
local http = require "moongate.http.client"
local json = require "moongate.pdk.json"
local log = require "moongate.pdk.log"
local node = require "moongate.abi.node"
local query = require "moongate.util.query"
local shdict = require "moongate.abi.shdict"
local wait = require "moongate.abi.wait"

local max, min = math.max, math.min

local DICTIONARY = "kong_secrets"
local PREFIX = "client-credentials:"
local TIMEOUT_MS = 5000
local LIFE_S = 300        -- of a token whose server does not say
local AHEAD_S = 60        -- renewed so long before its end, or in the last fifth of a shorter life
local MARGIN_S = 5        -- not used so long before its end: it travels, and clocks differ
local FAILURE_S = 1       -- so long a failure is everybody's
local LOOK_S = 0.01       -- how often who waits for another worker's token looks

local _M = {}

local keys = setmetatable({}, { __mode = "k" }) -- conf -> key

-- Who would get the same token shares it.
local function key_of(conf)
  local key = keys[conf]
  if not key then
    local parts = {}
    for i, name in ipairs({ "token_url", "client_id", "client_secret", "scope", "audience", "auth_method" }) do
      parts[i] = query.encode(tostring(conf[name] or ""))
    end
    key = PREFIX .. crypto.hex(crypto.sha256(table.concat(parts, "&")))
    keys[conf] = key
  end
  return key
end

-- Asking -----------------------------------------------------------------------------------------

local function request_of(conf)
  local form = "grant_type=client_credentials"
  local headers = { ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json" }
  for _, name in ipairs({ "scope", "audience" }) do
    if conf[name] and conf[name] ~= "" then
      form = query.with(form, name, conf[name])
    end
  end
  if conf.auth_method == "client_secret_post" then
    form = query.with(query.with(form, "client_id", conf.client_id), "client_secret", conf.client_secret)
  else
    headers.Authorization = "Basic " .. crypto.encode_base64(
      query.encode(conf.client_id) .. ":" .. query.encode(conf.client_secret))
  end
  return { url = conf.token_url, method = "POST", headers = headers, body = form,
    timeout_ms = conf.timeout or TIMEOUT_MS, ssl_verify = conf.ssl_verify ~= false, body_max_bytes = 65536 }
end

-- token, seconds it lives; nil, why. A server's own words are taken only when they are a code.
local function read_answer(answer)
  local body = json.decode(answer.body)
  body = type(body) == "table" and body or {}
  if answer.status ~= 200 then
    local code = type(body.error) == "string" and body.error:match("^[%w_.-]+$")
    return nil, ("the token server answered %d%s"):format(answer.status, code and ": " .. code:sub(1, 64) or "")
  end
  local token = body.access_token
  if type(token) ~= "string" or not token:find("^[\33-\126]+$") then
    return nil, "the token server's answer holds no access_token"
  elseif type(body.token_type) == "string" and body.token_type:lower() ~= "bearer" then
    return nil, "the token server's answer holds a token of another type than Bearer"
  end
  local life = tonumber(body.expires_in) or LIFE_S
  if life <= 0 then
    return nil, "the token server's answer holds a token that has run out"
  end
  return token, life
end

local function ask(conf)
  local answer, err = http.request(request_of(conf))
  if not answer then
    return nil, err
  end
  return read_answer(answer)
end

-- Keeping ----------------------------------------------------------------------------------------

-- Is there a token that can be used, and must it be renewed?
local function find(dict, key)
  local text = shdict.get(dict, key)
  local ends, renew, token = string.match(text or "", "^([%d.]+) ([%d.]+) (.+)$")
  local now = node.now()
  if token and now < tonumber(ends) then
    return token, now >= tonumber(renew)
  end
end

local function keep(dict, key, token, life)
  local now = node.now()
  local ends = now + max(life - MARGIN_S, life * 0.9)
  local renew = now + life - max(min(AHEAD_S, life * 0.2), life - (ends - now))
  return shdict.set(dict, key, ("%.3f %.3f %s"):format(ends, renew, token), ends - now)
end

-- In a task of its own: gets a token and keeps it, or keeps why not.
local function renew(_, conf, dict, key)
  local token, life = ask(conf)
  node.update_time()
  local err = life
  if token then
    local _, why = keep(dict, key, token, life)
    err = why
  end
  if err then
    log.err("no token for the upstream: ", err)
    shdict.set(dict, key .. ":failed", tostring(err), FAILURE_S)
  end
  shdict.delete(dict, key .. ":lock")
end

-- Starts a request for a token unless one is under way. true, or nil and why.
local function start(conf, dict, key)
  local lock_s = (conf.timeout or TIMEOUT_MS) / 1000 + 1
  if not shdict.add(dict, key .. ":lock", true, lock_s) then
    return true
  end
  local ok, err = wait.timer_at(0, renew, conf, dict, key)
  if not ok then
    shdict.delete(dict, key .. ":lock")
    return nil, err
  end
  return true
end

-- Until somebody has it, or the request for it failed. A lock that vanished without either is taken over.
local function wait_for(conf, dict, key)
  local deadline = node.mono() + (conf.timeout or TIMEOUT_MS) / 1000 + 1
  while node.mono() < deadline do
    local token = find(dict, key)
    if token then
      return token
    end
    local failure = shdict.get(dict, key .. ":failed")
    if failure then
      return nil, failure
    end
    local ok, err = start(conf, dict, key)
    if not ok then
      return nil, err
    end
    wait.sleep(LOOK_S)
    node.update_time()
  end
  return nil, "timeout"
end

-- A token for conf {token_url, client_id, client_secret, scope, audience, auth_method, timeout (ms), ssl_verify}, waiting
-- for it when there is none. Where waiting is allowed. nil, why.
function _M.token(conf)
  local dict = shdict.find(DICTIONARY)
  if not dict then
    return nil, "shared dictionary " .. DICTIONARY .. " is missing"
  end
  local key = key_of(conf)
  local token, is_due = find(dict, key)
  if not token then
    return wait_for(conf, dict, key)
  elseif is_due and not shdict.get(dict, key .. ":failed") then
    start(conf, dict, key)
  end
  return token
end

-- The token was refused: the next request gets another.
function _M.forget(conf, token)
  local dict, key = shdict.find(DICTIONARY), key_of(conf)
  if dict and find(dict, key) == token then
    shdict.delete(dict, key)
  end
end

return _M
