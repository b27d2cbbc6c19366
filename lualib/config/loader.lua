-- Loads a set of configuration files: texts in, one normalised document or a list of problems out.
-- It reads no file and knows no YAML library: both come in by `opts`. What it leaves to C: routers,
-- plans, compiled regexes, certificates.
-- Invariant: all mistakes of all files are found in one run; no document while there is an error.

local check = require("moongate.config.check")
local document = require("moongate.config.document")
local generated = require("moongate.config.generated")
local inventory = require("moongate.config.inventory")
local kinds = require("moongate.config.kinds")
local links = require("moongate.config.links")
local prepare = require("moongate.config.prepare")
local sha1 = require("moongate.util.sha1")
local sources = require("moongate.config.sources")
local tree = require("moongate.config.tree")
local vaults = require("moongate.config.vaults")

local Problems = require("moongate.config.problems")

local M = {}

local function new_run(opts)
  local run = {
    opts = {
      parse_yaml = opts.parse_yaml, plugin_schema = opts.plugin_schema,
      plugin_names = opts.plugin_names, getenv = opts.getenv or os.getenv,
      sha1 = opts.sha1 or sha1.hex, read_secret = opts.read_secret,
      random_bytes = opts.random_bytes or generated.random_bytes,
    },
    problems = Problems.new(), scalars = {}, defaults = {}, plugin_configs = {}, select_tags = {},
    entries = {}, index = {}, used_keys = {}, combinations = {}, plugin_schemas = {},
    members = {}, pairs_of_group = {}, entry_count = 0, secrets = {}, deprecated = {},
    kinds = kinds.new(opts.plugin_daos and opts.plugin_daos()),
  }
  for _, kind in ipairs(run.kinds.order) do
    run.entries[kind], run.index[kind] = {}, {}
    run.used_keys[kind], run.combinations[kind] = {}, {}
  end
  return run
end

local function each(run, step)
  for _, kind in ipairs(run.kinds.order) do
    for _, entry in ipairs(run.entries[kind]) do
      step(run, entry)
    end
  end
end

local function each_valid(run, step)
  each(run, function(_, entry)
    if entry.output then
      step(run, entry)
    end
  end)
end

local function read_files(list, run)
  local files = {}
  for i, source in ipairs(list) do
    files[#files + 1] = sources.read(source, i, run)
  end
  for _, file in ipairs(files) do
    sources.merge_head(file, run)
    tree.collect(file, run)
  end
  tree.sort(run)
  local transform = run.scalars._transform
  run.transform = not transform or transform.value
  run.passwords_are_hashed = run.passwords_are_hashed or not run.transform
end

local function check_entities(run)
  each(run, prepare.run)
  each(run, links.register)
  each(run, check.run)
  each(run, links.resolve)
  links.resolve_groups(run)
  each_valid(run, links.identify)
  each_valid(run, links.check_combination)
  each_valid(run, vaults.run)
end

--- Loads `list`, an array of { file = name, text = YAML } or { file = name, tree =, positions = }.
-- opts.parse_yaml(text, file)  -> tree, positions; or nil, { line =, column =, message = }
-- opts.plugin_schema(name)     -> schema definition; nil when unknown; nil and why when unusable
-- opts.plugin_names()          -> list of known plugins, for "did you mean" (optional)
-- opts.plugin_daos()           -> list of { plugin =, daos = what its daos.lua returns, or err = } (optional)
-- opts.getenv(name)            -> value or nil (default: os.getenv)
-- opts.read_secret(path)        -> text, or nil and why: files behind references (default: none is read)
-- opts.sha1(bytes)             -> hexadecimal (default: plain Lua)
-- opts.random_bytes(n)         -> bytes for what is generated (default: the kernel's)
-- opts.inventory                -> also give every entity as it was read (config/inventory.lua)
-- Returns the document, or nil when there is an error; the list of problems, warnings included:
-- { severity = "error" | "warning", file, line, column, path, message, cure, entry, keys }; and the inventory.
function M.load(list, opts)
  local run = new_run(opts)
  read_files(list, run)
  check_entities(run)
  local result = run.problems.errors == 0 and document.build(run) or nil
  return result, run.problems:sorted(), result and opts.inventory and inventory.build(run, list) or nil
end

--- One line for one problem: "kong.yaml:12:9: services[0].port: expected an integer (cure)".
M.format_problem = Problems.format

return M
