-- Puts in use what the store holds: at most every PAUSE_S the whole is written to the store's file and loaded by the master, in
-- however many steps it came. Also which store there is, and what the master's newest configuration means for it.
-- Not the rules of changes (store.lua). Invariant: the file is on the disk before the configuration is in use, and what the master
-- refuses leaves neither.

local admin = require("moongate.abi.admin")
local crypto = require("moongate.abi.crypto")
local json = require("moongate.pdk.json")
local node = require("moongate.abi.node")
local plugins = require("moongate.admin.plugins")
local wait = require("moongate.abi.wait")

local Store = require("moongate.admin.store")

local _M = {}

local DELAY_S, PAUSE_S = 0.05, 0.2
local LOG_ERR, LOG_INFO = 4, 7

local DIRECTORY = node.setting("admin_store")
local FILE = DIRECTORY and DIRECTORY ~= "" and DIRECTORY .. "/moongate.json" or nil

local store           -- of the configuration in use, and what was written since
local inventory_text  -- what the loader said of the configuration in use
local saved_source    -- SHA-1 of the text that was last written to FILE
local written, settled = 0, 0 -- how many changes there were, how many of them are in use (or refused)
local scheduled, flushing, last_ms = false, false, 0
local waiting = {}    -- {id = park id, upto = written}
local refusal         -- why the last flush was refused
local saves = true    -- could FILE be written the last time? If not, a write is answered only when it is there

--- Must a write wait until it is on the disk, since the last one could not be kept?
function _M.is_in_trouble()
  return not saves
end

--- Can entities be written?
function _M.is_writable()
  return FILE ~= nil
end

--- The store.
function _M.store()
  return store
end

local function rebuild(inventory)
  store = Store.new(inventory.entities)
end

--- The configuration in use is another one: text is its inventory.
function _M.use(text)
  if text == inventory_text then
    return
  end
  inventory_text = text
  local inventory = assert(json.decode(text))
  plugins.use(inventory.plugin_names)
  if not (store and FILE and inventory.source == saved_source) then
    rebuild(inventory)
  end
end

-- flushing ----------------------------------------------------------------------------------------

local function save(text)
  local ok, why = admin.replace_file(FILE, text)
  if not ok then
    node.log(LOG_ERR, "[admin] " .. FILE .. " cannot be written: " .. why)
    return nil, FILE .. " cannot be written: " .. why
  end
  saved_source = crypto.hex(crypto.sha1(text))
  return true
end

-- Back to what is in use. What cannot be written now is written with the next change.
local function revert(why)
  node.log(LOG_ERR, "[admin] the written configuration is refused, what was written since the last one that worked is dropped: "
    .. why)
  rebuild(assert(json.decode(inventory_text)))
  save(store:text())
end

local function wake()
  local rest = {}
  for _, waiter in ipairs(waiting) do
    if waiter.upto <= settled then
      waiter.refusal = refusal
      wait.unpark(waiter.id)
    else
      rest[#rest + 1] = waiter
    end
  end
  waiting = rest
end

-- Is what was saved in use now? nil, why: it is refused. false: nobody could say, it is tried again.
local function put_in_use()
  local how, said = admin.load()
  if how == "refused" then
    return nil, said
  end
  return how == "done" or how == "unchanged"
end

-- Back to what is in use: also of what was written while the master was asked, nothing is left.
local function drop(why)
  refusal, settled = why, written
  revert(why)
  wake()
end

local function flush_once(ending, upto)
  local ok, why = save(store:text())
  saves = ok
  if ok and not ending then
    ok, why = put_in_use()
  end
  if ok == false then
    return
  elseif not ok then
    return drop(why)
  end
  refusal, settled = nil, upto
  wake()
end

local schedule

local function flush(premature)
  scheduled = false
  if flushing then
    return
  end
  flushing = true
  local ok, why = wait.wait(wait.spawn(flush_once, premature and node.exiting(), written))
  if not ok then -- our fault; whoever writes next must not wait for ever
    drop(tostring(why))
  end
  flushing, last_ms = false, node.mono()
  node.log(LOG_INFO, "[admin] " .. settled .. " changes are in use")
  if written > settled then
    schedule()
  end
end

function schedule()
  if scheduled or flushing then
    return
  end
  scheduled = true
  local pause = last_ms + PAUSE_S - node.mono()
  local ok = wait.timer_at(math.max(DELAY_S, pause), flush)
  if not ok then
    flush(true) -- the process ends: what was written is kept for the next one
  end
end

--- The store was changed.
function _M.changed()
  written = written + 1
  schedule()
end

--- Waits until all changes so far are in use. true, or nil and why they are not: the store cannot be written (is_in_trouble), or
--- the configuration is refused.
function _M.settle()
  if settled >= written then
    return true
  end
  local waiter = { id = wait.park_id(), upto = written }
  waiting[#waiting + 1] = waiter
  wait.park()
  if waiter.refusal then
    return nil, waiter.refusal
  end
  return true
end

--- Takes other entities instead of all (lists of config/inventory.lua) and waits until they are in use. true, or nil and why.
function _M.replace(lists)
  store = Store.new(lists)
  _M.changed()
  return _M.settle()
end

return _M
