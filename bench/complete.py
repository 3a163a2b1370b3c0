# SPDX-License-Identifier: BSD-2-Clause
"""Share of the stacks that reach their outermost frame, of every allocation of programs under load.

    bench/complete.py [MEMLEAK] [NAME...]

redis, nginx, postgres, python3 and node, each for 100 000 allocations and more. Needs root; what is not
installed is left out.
"""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CUT = ("stacks_fault", "stacks_no_unwind_info", "stacks_depth")
LIMIT_S = 120

PYTHON = """
import json, sys, zlib
sys.stdin.readline()
kept = []
for i in range(1500):
    text = json.dumps({str(j): [j, {"name": "n%d" % j}] for j in range(200)})
    kept.append(zlib.compress(json.dumps(json.loads(text)).encode()))
    if len(kept) > 50:
        kept.clear()
    for _ in range(40):
        bytearray(1000 + i)
"""
NODE = """
const zlib = require('zlib');
require('fs').readSync(0, Buffer.alloc(1));
for (let i = 0; i < 3000; i++) {
  const text = JSON.stringify({i, list: Array.from({length: 100}, (_, j) => ({j, name: 'n' + j}))});
  zlib.gunzipSync(zlib.gzipSync(Buffer.from(text)));
  Buffer.allocUnsafeSlow(10000);
}
"""


def wait_for(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def end(process, how=signal.SIGINT):
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def requests(port, count):
    """Pipelined GETs, 100 a connection."""
    for _ in range(count // 100):
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n" * 99 +
                           b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while client.recv(65536):
                pass


def redis(work):
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--save", ""], cwd=work,
                              stdout=subprocess.DEVNULL)
    wait_for(lambda: can_connect(port))
    return server, [], lambda: subprocess.run(
        ["redis-benchmark", "-p", str(port), "-q", "-n", "40000", "-P", "8", "-t", "set,lpush,hset"],
        stdout=subprocess.DEVNULL, check=False)


def nginx(work):
    port = free_port()
    with open(work + "/nginx.conf", "w", encoding="ascii") as conf:
        conf.write("daemon off; master_process off; pid %s/pid; error_log /dev/null; events {} http { "
                   "access_log off; keepalive_requests 1000; gzip on; gzip_min_length 1; server { listen "
                   "127.0.0.1:%d; location / { return 200 \"%s\"; } } }" % (work, port, "word " * 100))
    server = subprocess.Popen(["nginx", "-p", work, "-c", work + "/nginx.conf"], stderr=subprocess.DEVNULL)
    wait_for(lambda: can_connect(port))
    return server, [], lambda: requests(port, 50000)


def postgres(work):
    tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    port = free_port()
    shutil.chown(work, "postgres")
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    subprocess.run(as_user + [tools + "/initdb", "-D", work + "/data"], stdout=subprocess.DEVNULL, check=True,
                   cwd=work)
    server = subprocess.Popen(as_user + [tools + "/postgres", "-D", work + "/data", "-p", str(port), "-k", work],
                              stderr=subprocess.DEVNULL, cwd=work)
    wait_for(lambda: os.path.exists("%s/.s.PGSQL.%d" % (work, port)))
    bench = as_user + [tools + "/pgbench", "-h", work, "-p", str(port), "postgres"]
    subprocess.run(bench + ["-i", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, cwd=work)
    return server, ["-f"], lambda: subprocess.run(
        bench + ["-C", "-n", "-t", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, cwd=work)


def piped(argv):
    def start(work):
        program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=work)

        def load():
            program.stdin.write(b"\n")
            program.stdin.close()
            program.wait(LIMIT_S)
        time.sleep(1)
        return program, [], load
    return start


PROGRAMS = {
    "redis-server": redis,
    "nginx": nginx,
    "postgres": postgres,
    "python3": piped(["/usr/bin/python3", "-c", PYTHON]),
    "node": piped(["node", "-e", NODE]),
}


def is_there(name):
    return glob.glob("/usr/lib/postgresql/*/bin/postgres") if name == "postgres" else shutil.which(name)


def measure(memleak, name, start):
    with tempfile.TemporaryDirectory(prefix="complete-") as work:
        os.chmod(work, 0o755)
        program, options, load = start(work)
        path = os.path.join(work, "log")
        with open(path, "wb") as log:
            tracer = subprocess.Popen([memleak, "--json", "-T", "1", *options, "-p", str(program.pid), "1000"],
                                      stdout=log, stderr=log)
        wait_for(lambda: b"Attaching to" in open(path, "rb").read() or tracer.poll() is not None)
        load()
        end(tracer)
        end(program)
        with open(path, encoding="utf-8", errors="replace") as log:
            reports = [json.loads(line) for line in log if line.startswith('{"schema"')]
        if not reports:
            return "| %s | – | could not be traced |" % name
        allocs = reports[-1]["totals"]["allocs"]
        cut = {key: count for key, count in reports[-1]["caveats"].items() if key in CUT}
        share = 100 * (1 - sum(cut.values()) / max(allocs, 1))
        return "| %s | %d | %.3f %% |%s" % (name, allocs, share, " %s" % cut if cut else "")


def main():
    memleak = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/memleak")
    print("| program | allocations | complete |\n|---|---|---|")
    for name, start in PROGRAMS.items():
        if is_there(name) and (len(sys.argv) < 3 or name in sys.argv[2:]):
            print(measure(memleak, name, start), flush=True)


if __name__ == "__main__":
    main()
