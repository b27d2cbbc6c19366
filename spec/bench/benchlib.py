"""Processes, CPU clocks, memory and the mock provider, for run and icount.
Not the gateways (peers.py) nor the measurements (run). Standard library only; everything stays on
127.0.0.1. Invariant: only processes started here are ever signalled, by their ids."""
import contextlib
import http.client
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parents[1]
BUILD = (ROOT / os.environ.get("B", "build")).resolve()
BIN = BUILD / "bench"
TOOLS = ("mock_llm", "sse_load", "rate_load")
NCPU = len(os.sched_getaffinity(0))
CPUS = sorted(os.sched_getaffinity(0))
HZ = os.sysconf("SC_CLK_TCK")


def log(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def build_tools():
    """Compiles the load tools that are older than their sources."""
    BIN.mkdir(parents=True, exist_ok=True)
    newest = max(f.stat().st_mtime for f in BENCH.glob("*.[ch]"))
    for name in TOOLS:
        out = BIN / name
        if not out.exists() or out.stat().st_mtime < newest:
            subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-o", out, BENCH / f"{name}.c"], check=True)


# ---- processes and CPU time ----

def tree(pid):
    """pid and all its descendants."""
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        with contextlib.suppress(OSError):
            for tid in os.listdir(f"/proc/{p}/task"):
                todo += map(int, pathlib.Path(f"/proc/{p}/task/{tid}/children").read_text().split())
    return out


def cpu_ns(pids):
    """CPU time of whole processes (all threads, user and system)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime_ns((~pid) << 3 | 2)  # the kernel's CPUCLOCK_SCHED of pid
    return total


def pss_kib(pids):
    """Proportional set size: pages that several processes share are shared out."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def machine_busy():
    """(busy, stolen) seconds of the whole machine since it started."""
    f = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
    return (f[0] + f[1] + f[2] + f[5] + f[6]) / HZ, f[7] / HZ


def pinned(argv, cpus):
    """argv, kept to these CPUs where there are at least two."""
    return ["taskset", "-c", ",".join(map(str, cpus)), *map(str, argv)] if NCPU > 1 else [*map(str, argv)]


GATEWAY_CPUS, LOAD_CPUS = CPUS[:1], CPUS[1:2]


class Proc:
    """A process of ours, with its children."""

    def __init__(self, argv, cpus=None, env=None, logfile=None, cwd=None):
        out = open(logfile, "wb") if logfile else subprocess.DEVNULL
        argv = pinned(argv, cpus) if cpus else [*map(str, argv)]
        self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd)

    def pids(self):
        return tree(self.p.pid)

    def stop(self, wait_s=10):
        if self.p.poll() is not None:
            return
        mine = self.pids()
        self.p.send_signal(signal.SIGTERM)
        try:
            self.p.wait(wait_s)
        except subprocess.TimeoutExpired:
            for pid in reversed(mine):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.p.wait(5)


class Meter:
    """CPU of the gateway over a `with` block, and how busy the rest of the machine was."""

    def __init__(self, gateway, mock):
        self.gateway, self.mock = gateway, mock

    def _read(self):
        kids = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (time.monotonic(), cpu_ns(self.gateway) / 1e9, cpu_ns(self.mock) / 1e9, kids.ru_utime + kids.ru_stime, *machine_busy())

    def __enter__(self):
        self.before = self._read()
        return self

    def __exit__(self, *_):
        wall, self.cpu_s, mock, load, busy, stolen = (b - a for a, b in zip(self.before, self._read()))
        self.foreign = max(0, busy - self.cpu_s - mock - load) / wall + stolen / wall


# ---- HTTP ----

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(port, method, path, headers=None, body=None, timeout=10):
    """(status, headers with names in lower case, body)"""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def until(condition, limit_s, pause_s=0.02):
    """Whether the condition came true within the limit."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            if condition():
                return True
        time.sleep(pause_s)
    return False


class Mock:
    """The provider: mock_llm on a free port."""

    def __init__(self, logfile):
        self.port = free_port()
        self.proc = Proc([BIN / "mock_llm", "-p", self.port], LOAD_CPUS, logfile=logfile)
        if not until(self.stats, 5):
            self.proc.stop()
            raise SystemExit("mock_llm did not start")

    def stats(self):
        return json.loads(fetch(self.port, "GET", "/__stats")[2])

    def set(self, chunks=100, interval_us=0, keep=65536):
        fetch(self.port, "GET", f"/__set?chunks={chunks}&interval_us={interval_us}&keep={keep}")

    def last(self):
        """Head lines and body of the last POST that came in."""
        head, _, body = fetch(self.port, "GET", "/__last")[2].partition(b"\r\n\r\n")
        return head.decode("latin-1").split("\r\n"), body
