-- The command line: every command and option is in help, manual and completion; commands to a running gateway; what
-- `config` and `plugins` print; where the run directory is. Life and signals of the processes: process_spec.lua.

require("e2e.support.expect")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local upstream = require("e2e.support.upstream")
local cjson = require("cjson")
local stdlib = require("posix.stdlib")

local CONFIG = [[
_format_version: "3.0"
services:
- name: up
  url: http://127.0.0.1:9
  routes:
  - name: all
    paths: ["/%s"]
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function temporary()
  return assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-cli-XXXXXX"))
end

local function output(args, env)
  local result = gateway.command(args, { env = env })
  assert.same(0, result.code, result.output)
  return result.output
end

local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo \"code $?\""))
  local text = pipe:read("*a")
  pipe:close()
  return tonumber(text:match("code (%d+)\n$")), text
end

describe("the command line", function()
  local dir

  before_each(function()
    dir = temporary()
  end)

  after_each(function()
    os.execute("rm -rf " .. dir)
  end)

  -- Commands as "config validate", and options as "wait", from the program's own help.
  local function names_in_help()
    local help = output({ "--help" })
    local commands, options = {}, {}
    for line in help:match("Commands:\n(.-)\n\n"):gmatch("[^\n]+") do
      local first, second = line:match("^  (%-?%l+) (%l*)[%s]")
      commands[#commands + 1] = (second or "") ~= "" and first .. " " .. second or line:match("^  (%S+)")
    end
    for name in help:match("Options.-\n(.-)\n\n"):gmatch("%-%-(%l[%l-]*)") do
      options[#options + 1] = name
    end
    return commands, options, help
  end

  local function settings()
    local names = {}
    for name in output({ "settings" }):gmatch("\n  (%l[%l_]*) +%u") do
      names[#names + 1] = name
    end
    return names
  end

  it("has every command and option in help, manual and completions", function()
    local commands, options = names_in_help()
    assert.truthy(#commands >= 24)
    assert.truthy(#options >= 14)
    local texts = { man = output({ "man" }):gsub("\\%-", "-") }
    for _, name in ipairs({ "bash", "zsh", "fish" }) do
      texts[name] = output({ "completion", name })
    end
    for where, text in pairs(texts) do
      for _, command in ipairs(commands) do
        local first, second = command:match("^(%S+) (%S+)$")
        local form = where == "fish" and second and ("__moongate_is %s; and __moongate_at 2' -f -a %s "):format(first, second)
        assert.truthy(text:find(form or command, 1, true), command .. " is not in " .. where)
      end
      for _, option in ipairs(options) do
        local form = where == "fish" and "-l " .. option or "--" .. option
        assert.truthy(text:find(form, 1, true), option .. " is not in " .. where)
      end
    end
  end)

  it("completes the options of `moongate test`, and no placeholder", function()
    local bash, n = output({ "completion", "bash" }), 0
    local words = bash:match("'test'%) words='([^\n]*)' ;;") .. " "
    for flag in output({ "test", "--help" }):gmatch("%-%-[%a%-]+") do
      n = n + 1
      assert.truthy(flag == "--help" or words:find(flag .. " ", 1, true), flag)
    end
    assert.truthy(n > 10)
    assert.is_nil(bash:find("FILE...", 1, true))
  end)

  it("has every setting in the manual and the completions", function()
    local names = settings()
    assert.truthy(#names >= 40)
    local page, bash, fish = output({ "man", "gateway.yaml" }), output({ "completion", "bash" }),
      output({ "completion", "fish" })
    for _, name in ipairs(names) do
      local flag = "--" .. name:gsub("_", "-")
      assert.truthy(page:find(".B " .. name .. ":", 1, true), name .. " is not in gateway.yaml(5)")
      assert.truthy(bash:find(flag, 1, true), name .. " is not completed by bash")
      assert.truthy(fish:find(flag, 1, true), name .. " is not completed by fish")
    end
  end)

  it("explains every command", function()
    for _, command in ipairs((names_in_help())) do
      local words = {}
      for word in command:gmatch("%S+") do
        words[#words + 1] = word
      end
      words[#words + 1] = "--help"
      assert.truthy(output(words):find("Usage: moongate " .. words[1], 1, true), command)
    end
  end)

  it("completes in bash what the word before asks for", function()
    write(dir .. "/complete", output({ "completion", "bash" }))
    local function complete(...)
      local words = { "moongate", ... }
      for i, word in ipairs(words) do
        words[i] = "'" .. word .. "'"
      end
      local code, text = shell(("bash -c 'source %s/complete; COMP_WORDS=(%s); COMP_CWORD=%d; _moongate; echo \"${COMPREPLY[@]}\"'")
        :format(dir, table.concat(words, " "):gsub("'", "\""), #words - 1))
      assert.same(0, code, text)
      return text
    end
    assert.truthy(complete("rel"):find("reload", 1, true))
    assert.truthy(complete("config", "va"):find("validate", 1, true))
    assert.truthy(complete("config", "validate", "--fo"):find("--format", 1, true))
    assert.truthy(complete("config", "validate", "--format", "js"):find("json", 1, true))
    assert.truthy(complete("start", "--drain-d"):find("--drain-delay", 1, true))
    assert.falsy(complete("reload", "--dae"):find("--daemon", 1, true))
  end)

  it("refuses options that a command does not take, in one line", function()
    for _, args in ipairs({ { "reload", "--daemon" }, { "stop", "--wait=1" }, { "start", "--json" }, { "config", "init", "-x" },
      { "quit", "--timeout", "soon" }, { "config", "validate", "--format", "xml", "x" } }) do
      local result = gateway.command(args)
      assert.same(2, result.code, result.output)
      assert.same(1, select(2, result.output:gsub("\n", "\n")), result.output)
    end
    local unknown = gateway.command({ "config", "frob" })
    assert.same(2, unknown.code)
    assert.truthy(unknown.output:find("moongate config validate", 1, true))
  end)

  it("takes settings from files that the environment names", function()
    local file = write(dir .. "/level", "debug\n")
    local text = output({ "settings", "--effective" },
      { MOONGATE_LOG_LEVEL_FILE = file, KONG_ERROR_DEFAULT_TYPE_FILE = write(dir .. "/type", "text/html") })
    assert.truthy(text:find("log_level +debug  %(environment MOONGATE_LOG_LEVEL_FILE%)"))
    assert.truthy(text:find("error_default_type +text/html  %(environment KONG_ERROR_DEFAULT_TYPE_FILE%)"))
    local both = gateway.command({ "settings" }, { env = { MOONGATE_LOG_LEVEL_FILE = file, MOONGATE_LOG_LEVEL = "info" } })
    assert.same(2, both.code)
    assert.truthy(both.output:find("set together with MOONGATE_LOG_LEVEL", 1, true))
    local gone = gateway.command({ "settings" }, { env = { MOONGATE_LOG_LEVEL_FILE = dir .. "/gone" } })
    assert.same(2, gone.code)
    assert.truthy(gone.output:find("/gone: cannot be read", 1, true))
  end)

  it("does not print the setting that is a secret", function()
    local text = output({ "settings", "--effective" }, { MOONGATE_ADMIN_KEY = "hush-hush-hush-hush" })
    assert.truthy(text:find("admin_key +REDACTED  %(environment MOONGATE_ADMIN_KEY%)"))
    assert.falsy(text:find("hush", 1, true))
  end)

  it("has a run directory of the user's own", function()
    assert.truthy(output({ "settings", "--effective" }):find("prefix +/run/moongate "))
    local as = "chmod 755 " .. dir .. "; setpriv --reuid 54321 --regid 54321 --clear-groups env XDG_RUNTIME_DIR=%s "
      .. gateway.program .. " settings --effective"
    local _, user = shell(as:format("/run/user/54321"))
    assert.truthy(user:find("prefix +/run/user/54321/moongate "), user)
    local _, none = shell(as:format("''"))
    assert.truthy(none:find("prefix +/tmp/moongate%-54321 "), none)
  end)

  it("does not believe another user's run directory in /tmp", function()
    local prefix = "/tmp/moongate-54322"
    os.execute("rm -rf " .. prefix .. "; mkdir -m 777 " .. prefix)
    local code, text = shell("setpriv --reuid 54322 --regid 54322 --clear-groups env -u XDG_RUNTIME_DIR "
      .. gateway.program .. " stop")
    os.execute("rm -rf " .. prefix)
    assert.same(1, code)
    assert.truthy(text:find(prefix .. " is not a directory of this user alone", 1, true), text)
  end)
end)

describe("commands on configurations", function()
  local dir

  before_each(function()
    dir = temporary()
  end)

  after_each(function()
    os.execute("rm -rf " .. dir)
  end)

  local function plugin(version)
    os.execute(("mkdir -p %s/plugins/mine"):format(dir))
    local handler = "return { PRIORITY = 5, VERSION = %s, access = function() end }\n"
    write(dir .. "/plugins/mine/handler.lua", handler:format(version))
    write(dir .. "/plugins/mine/schema.lua",
      'return { name = "mine", fields = { { config = { type = "record", fields = {} } } } }\n')
    write(dir .. "/kong.yaml", CONFIG:format("a") .. "    plugins: [{name: mine}]\n")
  end

  it("finds what is wrong with a handler when it validates", function()
    plugin('"1.0.0"')
    assert.same(0, gateway.command({ "config", "validate", dir }).code)
    plugin("1")
    local result = gateway.command({ "config", "validate", dir })
    assert.same(1, result.code)
    assert.truthy(result.output:find("plugin 'mine': its handler.lua has no VERSION", 1, true), result.output)
  end)

  it("lists plugins in the order in which they run, and shows a schema", function()
    plugin('"1.2.3"')
    local text = output({ "plugins", "list", "-c", dir })
    assert.truthy(text:find("\nmine +1%.2%.3 +5\n"), text)
    assert.truthy(text:find("\npre%-function.*\nkey%-auth.*\nrate%-limiting.*\npost%-function"), text)
    local schema = cjson.decode(output({ "plugins", "schema", "key-auth" }))
    assert.same("table", type(schema.fields))
    assert.truthy(output({ "plugins", "schema", "key-auth" }):find("key_names", 1, true))
    local none = gateway.command({ "plugins", "schema", "nosuch" })
    assert.same(1, none.code)
    assert.same("moongate: there is no plugin 'nosuch' (moongate plugins list)\n", none.output)
  end)

  it("prints problems as JSON and as annotations", function()
    local file = write(dir .. "/kong.yaml", CONFIG:format("a") .. "    bad: 1\n")
    local result = gateway.command({ "config", "validate", "--format", "json", file })
    assert.same(1, result.code)
    local answer = cjson.decode(result.output)
    assert.same(false, answer.valid)
    assert.same({ file, 8, 5 }, { answer.problems[1].file, answer.problems[1].line, answer.problems[1].column })
    local marks = gateway.command({ "config", "validate", "--format", "github", file }).output
    assert.truthy(marks:find("::error file=" .. file .. ",line=8,col=5::services", 1, true), marks)
  end)

  it("says what differs between two configurations, and keeps secrets", function()
    local old = write(dir .. "/old.yaml", CONFIG:format("a") .. "- name: gone\n  url: http://127.0.0.1:8\n"
      .. "consumers: [{username: c, keyauth_credentials: [{key: first-secret}]}]\n")
    local new = write(dir .. "/new.yaml", CONFIG:format("b")
      .. "consumers: [{username: c, keyauth_credentials: [{key: other-secret}]}]\n")
    local result = gateway.command({ "config", "diff", old, new })
    assert.same(2, result.code)
    assert.truthy(result.output:find("- services gone\n", 1, true), result.output)
    assert.truthy(result.output:find('~ routes all\n    paths: ["/a"] -> ["/b"]\n', 1, true), result.output)
    assert.falsy(result.output:find("secret", 1, true))
    assert.same(0, gateway.command({ "config", "diff", old, old }).code)
    assert.same(1, gateway.command({ "config", "diff", old, dir .. "/none.yaml" }).code)
  end)

  it("writes a configuration to begin with, and overwrites none", function()
    local file = dir .. "/kong.yml"
    output({ "config", "init", file })
    output({ "config", "validate", file })
    local again = gateway.command({ "config", "init", file })
    assert.same(1, again.code)
    assert.truthy(again.output:find("File exists", 1, true))
  end)

  it("reads secrets through references", function()
    assert.same("s3\n", output({ "vault", "get", "{vault://env/my-secret}" }, { MY_SECRET = "s3" }))
    assert.same("s3\n", output({ "vault", "get", "env/my-secret" }, { MY_SECRET = "s3" }))
    write(dir .. "/kong.yaml", CONFIG:format("a") .. "vaults: [{name: env, prefix: mine, config: {prefix: app_}}]\n")
    assert.same("s4\n", output({ "vault", "get", "mine/key", "-c", dir }, { APP_KEY = "s4" }))
    local none = gateway.command({ "vault", "get", "env/not-there" })
    assert.same(1, none.code)
    assert.truthy(none.output:find("NOT_THERE is not set", 1, true))
  end)
end)

describe("commands to a running gateway", function()
  local gw, env

  before_each(function()
    gw = gateway.start({ config = CONFIG:format("a"), workers = 2, settings = { watch = "off" } }) -- reloads are ours alone
    env = { MOONGATE_PREFIX = gw.dir .. "/prefix", MOONGATE_STATUS_LISTEN = "127.0.0.1:" .. gw.status_port }
    gw:wait_log("serving")
  end)

  after_each(function()
    gw:stop()
  end)

  it("tells its state", function()
    local text = output({ "status" }, env)
    assert.truthy(text:find("state: +ready\n"), text)
    assert.truthy(text:find("last attempt: +taken at %d%d%d%d%-"), text)
    local status = cjson.decode(output({ "status", "--json" }, env))
    assert.same("ready", status.state)
    assert.same(1, status.config.generation)
  end)

  it("waits for the outcome of a reload", function()
    gw:write_config(CONFIG:format("b"))
    assert.same("the configuration is in use\n", output({ "reload", "--wait" }, env))
    assert.same(2, cjson.decode(output({ "status", "--json" }, env)).config.generation)
    gw:write_config("services: 5\n")
    gw:expect_error("expected")
    gw:expect_error("refused")
    gw:expect_error("_format_version")
    local result = gateway.command({ "reload", "--wait" }, { env = env })
    assert.same(1, result.code)
    assert.truthy(result.output:find("kong.yaml:1: ", 1, true), result.output)
    gw:write_config(CONFIG:format("b"))
    output({ "reload", "--wait" }, env)
  end)

  it("goes out of service and back without refusing anybody", function()
    output({ "drain" }, env)
    gw:wait_log("out of service")
    assert.same(3, gateway.command({ "health" }, { env = env }).code)
    assert.same(503, client.get(gw:status(), "/status/ready").status)
    assert.same(404, client.get(gw, "/nothing").status)
    output({ "drain", "--undo" }, env)
    gw:wait_log("in service again")
    assert.same(0, gateway.command({ "health" }, { env = env }).code)
  end)
end)

describe("a gateway in the background", function()
  local dir, env

  before_each(function()
    dir = temporary()
    env = { MOONGATE_PREFIX = dir .. "/run", MOONGATE_PROXY_LISTEN = "127.0.0.1:" .. upstream.refused_port(),
      MOONGATE_STATUS_LISTEN = "127.0.0.1:" .. upstream.refused_port(), MOONGATE_WORKERS = 1 }
  end)

  after_each(function()
    gateway.command({ "quit", "--timeout", "5" }, { env = env })
    os.execute("rm -rf " .. dir)
  end)

  it("serves when the command returns, is restarted, and ends", function()
    local file = write(dir .. "/kong.yaml", CONFIG:format("a"))
    local pid = output({ "start", "--daemon", "-c", file }, env):match("^process (%d+) serves")
    output({ "health" }, env)
    local next_pid = output({ "restart", "-c", file }, env):match("^process (%d+) serves")
    assert.truthy(pid and next_pid and pid ~= next_pid)
    output({ "quit" }, env)
    assert.same(1, gateway.command({ "health" }, { env = env }).code)
  end)

  it("does not start without a master when an Admin API is asked for", function()
    local result = gateway.command({ "start", "--no-master", "--admin-listen", "127.0.0.1:0" }, { env = env, limit = 5 })
    assert.same(1, result.code)
    assert.truthy(result.output:find("the Admin API needs a master (leave out --no-master", 1, true), result.output)
  end)

  it("shows why it did not start", function()
    local result = gateway.command({ "start", "--daemon", "-c", write(dir .. "/kong.yaml", "services: 5\n") }, { env = env })
    assert.same(1, result.code)
    assert.truthy(result.output:find("not started: the configuration is invalid", 1, true), result.output)
  end)
end)
