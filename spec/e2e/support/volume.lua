-- Writes a directory as the kubelet writes a ConfigMap volume: files in a dated directory, `..data` naming it, a link for
-- each top-level name, one rename as the only atomic step. Also plain directories and editors' ways of saving.
-- Invariant: write() leaves exactly the given files visible; the earlier dated directory is gone afterwards.

local sched = require("e2e.support.sched")
local dirent = require("posix.dirent")
local stat = require("posix.sys.stat")
local stdio = require("posix.stdio")
local unistd = require("posix.unistd")

local Volume = {}
Volume.__index = Volume

local M = {}

function M.put(path, text)
  for at in path:gmatch("()/") do
    if at > 1 then
      stat.mkdir(path:sub(1, at - 1))
    end
  end
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- Without a process of its own: hundreds go each second.
function M.remove(path)
  local about = stat.lstat(path)
  if not about then
    return
  elseif stat.S_ISDIR(about.st_mode) == 0 then
    assert(unistd.unlink(path))
    return
  end
  for name in dirent.files(path) do
    if name ~= "." and name ~= ".." then
      M.remove(path .. "/" .. name)
    end
  end
  assert(unistd.rmdir(path))
end

-- A volume at `path`, which is made.
function M.create(path)
  stat.mkdir(path)
  return setmetatable({ path = path, count = 0, links = {} }, Volume)
end

local function pause(opts)
  if opts.pause then
    sched.sleep(opts.pause)
  end
end

local function tops_of(files)
  local tops = {}
  for name in pairs(files) do
    tops[name:match("^[^/]+")] = true
  end
  return tops
end

local function link_new(self, tops)
  for top in pairs(tops) do
    if not self.links[top] then
      assert(unistd.link("..data/" .. top, self.path .. "/" .. top, true))
      self.links[top] = true
    end
  end
end

local function unlink_old(self, tops)
  for top in pairs(self.links) do
    if not tops[top] then
      unistd.unlink(self.path .. "/" .. top)
      self.links[top] = nil
    end
  end
end

-- files: {["conf.d/a.yaml"] = text}. opts: links_first (older kubelets), pause (seconds between steps), mode (of the files
-- until `late` seconds after the swap).
function Volume:write(files, opts)
  opts = opts or {}
  self.count = self.count + 1
  local old, name = self.name, ("..2026_11_22_23_39_%02d.%d"):format(self.count % 60, 1000000 + self.count)
  local dir, tops = self.path .. "/" .. name, tops_of(files)
  stat.mkdir(dir)
  for file, text in pairs(files) do
    M.put(dir .. "/" .. file, text)
    if opts.mode then
      stat.chmod(dir .. "/" .. file, opts.mode)
    end
    pause(opts)
  end
  if opts.links_first then
    link_new(self, tops)
    pause(opts)
  end
  assert(unistd.link(name, self.path .. "/..data_tmp", true))
  pause(opts)
  assert(stdio.rename(self.path .. "/..data_tmp", self.path .. "/..data"))
  self.name = name
  pause(opts)
  link_new(self, tops)
  pause(opts)
  unlink_old(self, tops)
  pause(opts)
  if old then
    M.remove(self.path .. "/" .. old)
  end
  if opts.late then
    sched.sleep(opts.late)
    for file in pairs(files) do
      stat.chmod(dir .. "/" .. file, 420)
    end
  end
end

-- Entries of a directory, without dots.
function M.list(path)
  local names = {}
  for name in dirent.files(path) do
    if name:sub(1, 1) ~= "." then
      names[#names + 1] = name
    end
  end
  return names
end

return M
