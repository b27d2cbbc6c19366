-- The image that `make image` has made in $B/image: what is in it and what is not, that it is the same each time, and
-- that it serves under restrictions. What the gateway does is spec/e2e's.

require("e2e.support.expect")
local client = require("e2e.support.client")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")
local volume = require("e2e.support.volume")
local cjson = require("cjson")
local signal = require("posix.signal")
local stdlib = require("posix.stdlib")

local HERE = (os.getenv("B") or "build") .. "/image"
local ROOT, ARCHIVE = HERE .. "/rootfs", HERE .. "/moongate.oci.tar"
local COMPRESSED_MAX, UNPACKED_MAX_KB = 15 * 1024 * 1024, 40 * 1024

local function run(command)
  local pipe = assert(io.popen("(" .. command .. ") 2>&1; echo \"code $?\""))
  local text = pipe:read("*a")
  pipe:close()
  local out, code = text:match("^(.*)code (%d+)\n$")
  assert.same("0", code, command .. "\n" .. tostring(out))
  return (out:gsub("\n$", ""))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function lines(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do
    list[#list + 1] = line
  end
  return list
end

describe("the image", function()
  local dir

  before_each(function()
    dir = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-image-XXXXXX"))
  end)

  after_each(function()
    os.execute("rm -rf " .. dir)
  end)

  it("is small", function()
    assert.is_true(#read(ARCHIVE) <= COMPRESSED_MAX)
    assert.is_true(tonumber(run("du -sk " .. ROOT):match("^%d+")) <= UNPACKED_MAX_KB)
  end)

  it("holds the program, libraries, Lua files and certificates, and nothing to break in with", function()
    assert.same("usr/bin/moongate", run("cd " .. ROOT .. " && find . -type f -perm /111 ! -name '*.so*' | sed 's|^./||'"))
    assert.same("", run("find " .. ROOT .. " -perm /6000"))
    assert.same("", run("find " .. ROOT .. " -type f -regex '.*/\\(sh\\|bash\\|busybox\\|perl.*\\|dpkg\\|apt.*\\)'"))
    assert.same("./run/moongate", run("cd " .. ROOT .. " && find . ! -user 0"))
    assert.truthy(#lines(run("grep -h 'BEGIN CERTIFICATE' " .. ROOT .. "/etc/ssl/certs/ca-certificates.crt")) > 100)
    assert.truthy(read(ROOT .. "/etc/passwd"):find("moongate:x:65532:65532:", 1, true))
  end)

  it("has every library that its programs need", function()
    local elf = lines(run("find " .. ROOT .. " -type f -regex '.*\\(/bin/moongate\\|[.]so[.0-9]*\\)'"))
    assert.truthy(#elf > 10)
    for _, file in ipairs(elf) do
      for name in run("objdump -p " .. file):gmatch("NEEDED%s+(%S+)") do
        assert.truthy(run("find " .. ROOT .. "/usr/lib " .. ROOT .. "/usr/lib64 -name " .. name) ~= "", name .. " of " .. file)
      end
    end
  end)

  it("is the same when it is made again", function()
    run(("conf/image/mkrootfs %s/installed %s/again && conf/image/mkoci %s/again %s/again.tar"):format(HERE, dir, dir, dir))
    assert.same(run("sha256sum < " .. ARCHIVE), run(("sha256sum < %s/again.tar"):format(dir)))
  end)

  it("is an OCI archive whose digests hold", function()
    run(("tar -C %s -xf %s"):format(dir, ARCHIVE))
    assert.same("1.0.0", cjson.decode(read(dir .. "/oci-layout")).imageLayoutVersion)
    local function blob(entry)
      local hex = entry.digest:match("^sha256:(%x+)$")
      local path = dir .. "/blobs/sha256/" .. hex
      assert.same(hex, run("sha256sum < " .. path):match("^%x+"))
      assert.same(entry.size, #read(path))
      return path
    end
    local listed = cjson.decode(read(dir .. "/index.json")).manifests[1]
    local name = listed.annotations["org.opencontainers.image.ref.name"]
    assert.matches("^moongate:%d+%.%d+%.%d+$", name)
    assert.same("docker.io/library/" .. name, listed.annotations["io.containerd.image.name"]) -- as a node looks it up
    local manifest = cjson.decode(read(blob(listed)))
    local config = cjson.decode(read(blob(manifest.config)))
    local layer = blob(manifest.layers[1])
    local function path(entry)
      return "blobs/sha256/" .. entry.digest:match("^sha256:(%x+)$")
    end
    assert.same({ { Config = path(manifest.config), RepoTags = { name }, Layers = { path(manifest.layers[1]) } } },
      cjson.decode(read(dir .. "/manifest.json"))) -- what docker load reads
    assert.same("sha256:" .. run("gzip -dc " .. layer .. " | sha256sum"):match("^%x+"), config.rootfs.diff_ids[1])
    assert.same({ "65532:65532", "SIGTERM" }, { config.config.User, config.config.StopSignal })
    assert.truthy(run("tar -tvzf " .. layer):find("drwxrwxrwt 0/0[^\n]* %./tmp/\n"))
  end)

  it("says in its Dockerfile what the archive's configuration says", function()
    run(("tar -C %s -xf %s"):format(dir, ARCHIVE))
    local manifest = cjson.decode(read(dir .. "/index.json")).manifests[1].digest:sub(8)
    local digest = cjson.decode(read(dir .. "/blobs/sha256/" .. manifest)).config.digest:sub(8)
    local config = cjson.decode(read(dir .. "/blobs/sha256/" .. digest)).config
    local text = read("conf/image/Dockerfile")
    local env = {}
    for line in text:gmatch("\nENV ([^\n]+)") do
      env[#env + 1] = line
    end
    assert.same(env, config.Env)
    assert.same(config.User, text:match("\nUSER (%S+)"))
    assert.same(config.StopSignal, text:match("\nSTOPSIGNAL (%S+)"))
    assert.same(config.Entrypoint, cjson.decode(text:match("\nENTRYPOINT (%b[])")))
    assert.same(config.Cmd, cjson.decode(text:match("\nCMD (%b[])")))
  end)

  it("lists its packages in an SBOM, and their licences beside them", function()
    local sbom = cjson.decode(read(ROOT .. "/usr/share/moongate/sbom.cdx.json"))
    assert.same({ "CycloneDX", "1.5", "moongate" }, { sbom.bomFormat, sbom.specVersion, sbom.metadata.component.name })
    local hash = run("sha256sum < " .. ROOT .. "/usr/bin/moongate"):match("^%x+")
    assert.same(hash, sbom.metadata.component.hashes[1].content)
    local names = {}
    for _, component in ipairs(sbom.components) do
      names[component.name] = component
      assert.truthy(component.purl:find("^pkg:deb/debian/[%w%.%-]+@[^?]+%?arch=%w+&distro=debian%-%d+$"), component.purl)
      assert.truthy(#read(ROOT .. "/usr/share/doc/" .. component.name .. "/copyright") > 100)
      local status = read(ROOT .. "/var/lib/dpkg/status.d/" .. component.name)
      assert.truthy(status:find("\nVersion: " .. component.version .. "\n", 1, true), component.name)
    end
    for _, name in ipairs({ "libc6", "libssl3", "libluajit2-5.1-2", "libuv1", "libyaml-0-2", "lua-cjson", "ca-certificates" }) do
      assert.truthy(names[name], name .. " is not in the SBOM")
    end
  end)
end)

describe("the image under restrictions", function()
  local dir, vol, gw, up

  local function config(path)
    return ([[
_format_version: "3.0"
services:
- name: up
  url: http://127.0.0.1:%d
  routes:
  - name: all
    paths: ["%s"]
  plugins:
  - name: key-auth
consumers: [{username: c, keyauth_credentials: [{key: k}]}]
]]):format(up.port, path)
  end

  local function start(...)
    local env = { TMPDIR = false, MOONGATE_WORKERS = 2,
      MOONGATE_CONFIG_PATHS = "/etc/moongate/conf.d", MOONGATE_PREFIX = "/run/moongate",
      MOONGATE_PROXY_LISTEN = "127.0.0.1:" .. gw.port, MOONGATE_STATUS_LISTEN = "127.0.0.1:" .. gw.status.port }
    return process.start({ program = "spec/image/restricted", args = { ROOT, vol.path, ... }, env = env,
      stdout = dir .. "/log", stderr = dir .. "/log" })
  end

  -- The gateway's master: itself, or the child of what made its namespaces.
  local function master()
    return gw.process:children()[1] and not read("/proc/" .. gw.process.pid .. "/cmdline"):find("moongate%z") and
      gw.process:children()[1] or gw.process.pid
  end

  local function serves(path)
    return sched.wait_until(function()
      local ok, answer = pcall(client.get, gw, path, { { "apikey", "k" } })
      return ok and answer.status == 200 and answer
    end, nil, function()
      return read(dir .. "/log")
    end)
  end

  before_each(function()
    dir = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-image-XXXXXX"))
    os.execute("chmod 755 " .. dir)
    up = upstream.start()
    vol = volume.create(dir .. "/conf")
    vol:write({ ["kong.yaml"] = config("/one") })
    gw = { host = "127.0.0.1", port = upstream.refused_port() }
    gw.status = { host = "127.0.0.1", port = upstream.refused_port() }
  end)

  after_each(function()
    if gw.process and gw.process:alive() then
      signal.kill(master(), signal.SIGKILL)
      gw.process:wait()
    end
    up:stop()
    os.execute("rm -rf " .. dir)
  end)

  it("serves as user 65532 without privileges on a read-only root, reloads, and drains with code 0", function()
    gw.process = start("start")
    serves("/one")
    local status = read("/proc/" .. master() .. "/status")
    assert.truthy(status:find("\nUid:\t65532\t65532\t65532\t65532\n"), status)
    assert.truthy(status:find("\nNoNewPrivs:\t1\n"))
    assert.truthy(status:find("\nCapEff:\t0+\n"))
    assert.same(401, client.get(gw, "/one").status)
    if not read(dir .. "/log"):find("namespaces are refused", 1, true) then
      assert.truthy(read("/proc/" .. master() .. "/mountinfo"):find(" / ro[, ][^\n]*"))
      assert.truthy(status:find("\nNSpid:\t%d+\t1\n"), status)
      vol:write({ ["kong.yaml"] = config("/two") })
      serves("/two")
    end
    signal.kill(master(), signal.SIGTERM)
    assert.same({ "exited", 0 }, { gw.process:wait() })
    assert.falsy(read(dir .. "/log"):find("[error]", 1, true), read(dir .. "/log"))
  end)

  it("answers health and validates configurations without a shell", function()
    gw.process = start("start")
    serves("/one")
    for _, args in ipairs({ { "health", "ready" }, { "config validate /etc/moongate/conf.d", "configuration is valid" },
      { "plugins list", "\nkey%-auth " }, { "version", "moongate %d" } }) do
      local words = {}
      for word in args[1]:gmatch("%S+") do
        words[#words + 1] = word
      end
      os.execute("rm -f " .. dir .. "/out")
      local child = start(unpack(words))
      assert.same({ "exited", 0 }, { child:wait() }, read(dir .. "/log"))
      assert.truthy(read(dir .. "/log"):find(args[2]), args[1])
    end
  end)

  it("says why it does not start", function()
    vol:write({ ["kong.yaml"] = "services: 5\n" })
    gw.process = start("start")
    assert.same({ "exited", 1 }, { gw.process:wait() })
    assert.truthy(read(dir .. "/log"):find("not started: the configuration is invalid", 1, true))
  end)
end)
