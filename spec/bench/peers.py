"""The gateways that are compared: their start, their requests, and the proof of their work.
Not what is measured (run). A peer is a folder of peers/: `start` writes a configuration into
$RUN_DIR and becomes the gateway on 127.0.0.1:$PORT in front of 127.0.0.1:$MOCK_PORT; peer.json says
which parts of the work it does. Invariant: a peer that does less than it says is not measured."""
import http.client
import json
import os
import time

from benchlib import BENCH, BUILD, GATEWAY_CPUS, Proc, fetch, free_port, until

# What the OpenAI Python client sends, less Accept-Encoding (so that no peer compresses).
CLIENT_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "OpenAI/Python 1.55.0",
    "X-Stainless-Lang": "python",
    "X-Stainless-Package-Version": "1.55.0",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Arch": "x64",
    "X-Stainless-Runtime": "CPython",
    "X-Stainless-Runtime-Version": "3.12.7",
    "Authorization": "Bearer client-token-0123456789abcdef",
    "apikey": "demo-key",
}
PROMPT = ("Explain in two sentences what an AI gateway does for a team that calls several model providers, "
          "and name the one thing that it should never do with the callers' keys.")
TOKENS = 149  # total_tokens of the mock's every answer


def chat_body(stream=False, pad=0):
    """An OpenAI chat body; pad: bytes of extra prompt (prose with escapes in it)."""
    text = PROMPT
    if pad:
        para = 'She wrote: "caf\u00e9 no. 7 \u2014 50\u00a0% off"\nThen a line with a \\ backslash and a tab\there. ' \
               "The quick brown fox jumps over the lazy dog, and nobody minds at all. "
        text += para * (pad // len(json.dumps(para, ensure_ascii=False).encode()) + 1)
    doc = {"model": "any-model", "messages": [
        {"role": "system", "content": "You are a concise assistant. Answer plainly."},
        {"role": "user", "content": text}], "temperature": 0.7, "top_p": 1, "user": "bench-user-42"}
    if stream:
        doc["stream"] = True
        doc["stream_options"] = {"include_usage": True}
    return json.dumps(doc, ensure_ascii=False, separators=(",", ":")).encode()


class Peer:
    def __init__(self, name, mock, run_dir):
        self.name, self.mock, self.proc = name, mock, None
        self.dir = BENCH / "peers" / name
        config = json.loads((self.dir / "peer.json").read_text())
        self.label, self.path, self.does = config["label"], config["path"], config["does"]
        self.usage_path, self.usage_log = config.get("usage_path"), config.get("usage_log")
        self.headers = {**CLIENT_HEADERS, **config.get("headers", {})}
        self.run_dir = run_dir / name
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()

    # -- life

    def spawn(self, wrap=(), master=True, **settings):
        """Starts it without waiting. settings: further environment of `start`."""
        env = {**os.environ, "GATEWAY": os.environ.get("GATEWAY", str(BUILD / "moongate")), "PEER_DIR": str(self.dir),
               "RUN_DIR": str(self.run_dir), "PORT": str(self.port), "MOCK_PORT": str(self.mock.port),
               "MASTER": "on" if master else "off", **settings}
        self.proc = Proc([*wrap, self.dir / "start"], GATEWAY_CPUS, env, self.run_dir / "log", cwd=self.run_dir)

    def serves(self):
        return self.proc.p.poll() is not None or self.chat()[0] == 200

    def start(self, wait_s=10, **how):
        self.spawn(**how)
        until(self.serves, wait_s)
        if self.proc.p.poll() is not None or self.chat()[0] != 200:
            tail = (self.run_dir / "log").read_text(errors="replace")[-1500:]
            self.stop()
            raise SystemExit(f"{self.name} does not serve; its log ends: {tail}")

    def stop(self):
        if self.proc:
            self.proc.stop()
            self.proc = None

    def pids(self):
        return self.proc.pids()

    def worker(self):
        """The process that serves: the child of a master."""
        return self.pids()[-1:]

    # -- requests

    def chat(self, stream=False, headers=None, body=None):
        return fetch(self.port, "POST", self.path, self.headers if headers is None else headers, body or chat_body(stream))

    def request_file(self, name, body):
        """The whole request as bytes, for sse_load and rate_load."""
        head = {"Host": f"127.0.0.1:{self.port}", **self.headers, "Content-Length": str(len(body))}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items()), "", ""]
        f = self.run_dir / f"{name}.req"
        f.write_bytes("\r\n".join(lines).encode() + body)
        return f

    def wrk_env(self, body, close):
        headers, text = self.run_dir / "wrk.headers", self.run_dir / "wrk.body"
        fields = {**self.headers, **({"Connection": "close"} if close else {})}
        headers.write_text("".join(f"{k}: {v}\n" for k, v in fields.items()))
        text.write_bytes(body)
        return {**os.environ, "BENCH_PATH": self.path, "BENCH_HEADERS": str(headers), "BENCH_BODY": str(text)}

    # -- what it counted

    def tokens(self):
        """Tokens it counted since its start: from its counter, or from its log of usage."""
        if self.usage_path:
            return sum(json.loads(fetch(self.port, "GET", self.usage_path)[2]).values())
        records = map(json.loads, (self.run_dir / self.usage_log).read_text().splitlines())
        return sum(r["ai"]["proxy"]["usage"]["total_tokens"] for r in records if "ai" in r)  # refusals have none


# ---- does the peer do what it says? Each check returns a list of complaints. ----

def _plain(peer, mock):
    status, headers, body = peer.chat()
    bad = [] if status == 200 else [f"a chat was answered {status}"]
    if json.loads(body)["usage"]["total_tokens"] != TOKENS:
        bad.append("the answer was changed")
    head, body = mock.last()
    low = [line.lower() for line in head]
    if "inject_key" in peer.does:
        if "authorization: bearer sk-upstream" not in low:
            bad.append("the provider's key was not put in")
        if any("client-token" in line for line in low):
            bad.append("the caller's token reached the provider")
    if "rewrite_body" in peer.does:
        doc = json.loads(body)
        if doc["model"] != "gpt-4o" or doc["max_tokens"] != 512:
            bad.append("model or max_tokens was not set")
        if doc["messages"] != json.loads(chat_body())["messages"]:
            bad.append("the messages were changed")
    if "limit_headers" in peer.does and not any(k.startswith("x-ratelimit-remaining") for k in headers):
        bad.append("no X-RateLimit headers")
    return bad


def _keys(peer, _mock):
    if "auth" not in peer.does:
        return []
    without = {k: v for k, v in peer.headers.items() if k != "apikey"}
    got = [peer.chat(headers=h)[0] for h in (without, {**without, "apikey": "wrong"})]
    return [] if set(got) <= {401, 403} else [f"a missing and a wrong key were answered {got}"]


def _large(peer, mock):
    if "large_body" not in peer.does:
        return []
    mock.set(keep=8 << 20)
    before = mock.stats()["rewritten"]
    status = peer.chat(body=chat_body(pad=1 << 20))[0]
    rewritten = mock.stats()["rewritten"] - before
    mock.set()
    return [] if (status, rewritten) == (200, 1) else [f"a 1 MB prompt: status {status}, rewritten {rewritten} times"]


def _stream(peer, mock):
    """The first event comes at once, all of them come."""
    peer.chat(stream=True)  # warm
    mock.set(chunks=5, interval_us=100000)
    c = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=10)
    try:
        start = time.monotonic()
        c.request("POST", peer.path, body=chat_body(True), headers=peer.headers)
        r = c.getresponse()
        r.fp.peek(1)
        first = time.monotonic() - start
        data = r.read()
        total = time.monotonic() - start
    finally:
        c.close()
        mock.set()
    bad = [] if first < total - 0.25 else [f"the stream is held back: first byte after {first:.2f} s of {total:.2f} s"]
    if data.count(b'" @') != 5 or b"data: [DONE]" not in data:
        bad.append("the stream is not complete")
    return bad


def _settled(peer):
    """Its tokens once they stand still: logs are written a little later."""
    seen = [-1]
    until(lambda: seen.append(peer.tokens()) or seen[-1] == seen[-2], 3, 0.3)
    return seen[-1]


def _usage(peer, _mock):
    """One whole answer and three streams (without pauses, so that reads cut events)."""
    if "count_usage" not in peer.does:
        return []
    before = _settled(peer)
    for stream in (False, True, True, True):
        peer.chat(stream=stream)
    until(lambda: peer.tokens() - before >= 4 * TOKENS, 2)
    counted = _settled(peer) - before
    return [] if counted == 4 * TOKENS else [f"{counted} tokens were counted, not {4 * TOKENS}"]


def _limit(peer, _mock):
    if "rate_limit" not in peer.does:
        return []
    peer.stop()
    peer.start(BENCH_LIMIT="5")
    got = [peer.chat()[0] for _ in range(20)]
    return [] if got[-1] == 429 else [f"no 429 after 5 requests: {got}"]


def check(peer, mock):
    """Starts the peer, compares it with its claims, stops it. A list of complaints."""
    usage = {}
    if peer.usage_log:
        log = peer.run_dir / peer.usage_log
        log.write_text("")
        usage["BENCH_USAGE_LOG"] = str(log)
    try:
        peer.start(**usage)
        bad = []
        for part in (_plain, _keys, _large, _stream, _usage, _limit):
            bad += part(peer, mock)
        return bad
    finally:
        peer.stop()
