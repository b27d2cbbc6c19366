-- Certificates for specs, made once per run by the openssl program in a temporary directory.
-- Not for production: keys are unprotected and valid for two days.
-- Invariant: certs.ca() signs everything certs.pair() returns.

local M = {}

local dir
local pairs_made = {}

local function run(command)
  local log = dir .. "/openssl.log"
  if os.execute(command .. " >>" .. log .. " 2>&1") ~= 0 then
    local handle = io.open(log)
    error("openssl failed: " .. command .. "\n" .. (handle and handle:read("*a") or ""), 0)
  end
end

local EC = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

function M.dir()
  if not dir then
    dir = assert(require("posix.stdlib").mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-certs-XXXXXX"))
    run(("openssl req -x509 %s -days 2 -subj '/CN=Moongate test CA' -keyout %s/ca.key -out %s/ca.pem"):format(EC, dir, dir))
  end
  return dir
end

function M.ca()
  return M.dir() .. "/ca.pem"
end

-- The file's text, indented as a YAML block below a key at `by` spaces.
function M.text(path, by)
  local handle = assert(io.open(path))
  local text = handle:read("*a")
  handle:close()
  return by and ("|\n" .. text:gsub("([^\n]+)", (" "):rep(by) .. "%1"):gsub("\n$", "")) or text
end

local function extensions(names, opts)
  local alternatives = {}
  for i, name in ipairs(names) do
    alternatives[i] = (name:find("^[%d.]+$") and "IP:" or "DNS:") .. name
  end
  return "subjectAltName=" .. table.concat(alternatives, ",") .. "\n"
    .. (opts.authority and "basicConstraints=critical,CA:TRUE\n" or "")
end

-- {key = path, certificate = path} under `label`, for the names (first: CN). opts: signer (what make() returned; the
-- test CA), self (signed by itself), expired, authority (may sign others).
function M.make(label, names, opts)
  opts = opts or {}
  if pairs_made[label] then
    return pairs_made[label]
  end
  local stem = M.dir() .. "/" .. label
  local signer = opts.signer or { key = dir .. "/ca.key", certificate = dir .. "/ca.pem" }
  run(("openssl req %s -subj '/CN=%s' -keyout %s.key -out %s.csr"):format(EC, names[1], stem, stem))
  local handle = assert(io.open(stem .. ".ext", "w"))
  handle:write(extensions(names, opts))
  handle:close()
  local by = opts.self and ("-signkey %s.key"):format(stem)
    or ("-CA %s -CAkey %s -CAcreateserial"):format(signer.certificate, signer.key)
  run(("openssl x509 -req -in %s.csr %s -days %d -extfile %s.ext -out %s.pem"):format(stem, by,
    opts.expired and -1 or 2, stem, stem))
  pairs_made[label] = { key = stem .. ".key", certificate = stem .. ".pem" }
  return pairs_made[label]
end

-- The same for names signed by the test CA.
function M.pair(...)
  local names = { ... }
  return M.make((names[1]:gsub("%*", "wildcard")), names)
end

-- A file with both files' texts, one after the other: a chain.
function M.join(label, first, second)
  local path = M.dir() .. "/" .. label
  local handle = assert(io.open(path, "w"))
  handle:write(M.text(first), M.text(second))
  handle:close()
  return path
end

return M
