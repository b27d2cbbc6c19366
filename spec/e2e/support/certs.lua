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

-- {key = path, certificate = path} for the names (first: CN), signed by the test CA.
function M.pair(...)
  local names = { ... }
  local label = names[1]:gsub("%*", "wildcard")
  if pairs_made[label] then
    return pairs_made[label]
  end
  local stem = M.dir() .. "/" .. label
  local alternatives = {}
  for i, name in ipairs(names) do
    alternatives[i] = (name:find("^[%d.]+$") and "IP:" or "DNS:") .. name
  end
  run(("openssl req %s -subj '/CN=%s' -keyout %s.key -out %s.csr"):format(EC, names[1], stem, stem))
  local handle = assert(io.open(stem .. ".ext", "w"))
  handle:write("subjectAltName=", table.concat(alternatives, ","), "\n")
  handle:close()
  run(
    ("openssl x509 -req -in %s.csr -CA %s/ca.pem -CAkey %s/ca.key -CAcreateserial -days 2 -extfile %s.ext -out %s.pem"):format(
      stem,
      dir,
      dir,
      stem,
      stem
    )
  )
  pairs_made[label] = { key = stem .. ".key", certificate = stem .. ".pem" }
  return pairs_made[label]
end

return M
