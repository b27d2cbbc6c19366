-- luacheck: globals wrk done
-- wrk script: one fixed POST, from files, and a JSON line at the end.
-- BENCH_PATH, BENCH_HEADERS (file of "Name: value" lines), BENCH_BODY (file)
local function slurp(path)
  local f = assert(io.open(path, "rb"))
  local s = f:read("*a")
  f:close()
  return s
end

wrk.method = "POST"
wrk.path = os.getenv("BENCH_PATH")
wrk.body = slurp(os.getenv("BENCH_BODY"))
for name, value in slurp(os.getenv("BENCH_HEADERS")):gmatch("([^\r\n:]+): ([^\r\n]*)") do
  wrk.headers[name] = value
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"secs":%.6f,"bytes":%d,"non2xx":%d,"sock_errors":%d,"timeouts":%d,' ..
    '"p50":%.1f,"p90":%.1f,"p99":%.1f,"max":%.1f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, e.status, e.connect + e.read + e.write, e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
