#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Attaches the agent to programs under load and takes it out again, a thousand times, and kills
memleak at random moments. No program may crash, stop answering, or answer differently; at the end
each must be as it was: its code, its executable mappings, its descriptors, its threads.

    torture.py MEMLEAK [--cycles N] [--kills N] [--only NAME,...]
"""
import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGETS = os.path.join(ROOT, "tests", "targets")
LIMIT_S = 60
# No round of a victim's load takes as long: memleak would have held it.
ROUND_S = 10


def wait_for(condition, what, seconds=LIMIT_S):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.005)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def state(pid):
    """What must be the same again: code, executable mappings without a file, foreign mappings."""
    code, anonymous = {}, []
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps, \
            open("/proc/%d/mem" % pid, "rb") as memory:
        for line in maps:
            words = line.split(maxsplit=5)
            start, end = (int(word, 16) for word in words[0].split("-"))
            # The library is loaded and unloaded all the time.
            if "x" not in words[1] or "[" in line or "libleaky" in line:
                continue
            if words[4] == "0":
                if "w" not in words[1]:
                    anonymous.append(words[0])
                continue
            memory.seek(start)
            code[start, words[-1].strip()] = memory.read(end - start)
    return code, anonymous


def differs(before, after):
    """What is not as it was; a breakpoint (0xcc) is somebody else's, whoever traces this machine."""
    if before[1] != after[1]:
        return "mappings without a file: %s, then %s" % (before[1], after[1])
    if before[0].keys() != after[0].keys():
        return "other files are mapped: %s" % sorted(before[0].keys() ^ after[0].keys())
    for place, bytes_before in before[0].items():
        if bytes_before == after[0][place]:
            continue
        for i, (one, other) in enumerate(zip(bytes_before, after[0][place])):
            if one != other and 0xcc not in (one, other):
                return "code at %x: %02x, then %02x" % (place[0] + i, one, other)
    return None


def command_line(pid):
    with open("/proc/%d/cmdline" % pid, encoding="utf-8", errors="replace") as text:
        return text.read()


def leftovers(pid):
    with open("/proc/%d/maps" % pid, encoding="ascii", errors="replace") as maps:
        return [line for line in maps if "memleak" in line]


class Victim:
    """A program under load. start() gives the pids to attach to; check() says what is wrong."""
    has_jit = False

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        self.stop = threading.Event()
        self.errors = []
        self.threads = []
        self.rounds = 0
        self.longest_s = 0

    def run(self, argv, **kwargs):
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True, cwd=self.folder, **kwargs)
        self.processes.append(process)
        return process

    def load(self, step):
        """Calls @step again and again; what it raises is an error of the victim."""
        def again():
            while not self.stop.is_set():
                begin = time.monotonic()
                try:
                    step()
                    self.rounds += 1
                    self.longest_s = max(self.longest_s, time.monotonic() - begin)
                except Exception as error:  # any failure of the load is what is looked for
                    self.errors.append(repr(error))
                    return
        thread = threading.Thread(target=again, daemon=True)
        thread.start()
        self.threads.append(thread)

    def alive(self):
        return all(process.poll() is None for process in self.processes)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(LIMIT_S)
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()


class Own(Victim):
    """One of tests/targets that checks itself."""
    name = ""
    arguments = ()

    def start(self):
        program = os.path.join(self.folder, self.name)
        subprocess.run(["gcc", "-std=gnu11", "-O2", "-g", "-pthread", "-w", "-o", program,
                        os.path.join(TARGETS, self.name + ".c"), "-ldl"], check=True)
        self.out = open(program + ".out", "w+", encoding="utf-8")
        self.process = subprocess.Popen([program, *self.arguments], stdin=subprocess.PIPE,
                                        stdout=self.out, start_new_session=True)
        self.processes.append(self.process)
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        wait_for(lambda: '"busy"' in self.said(), "it is busy")
        return [self.process.pid]

    def said(self):
        with open(self.out.name, encoding="utf-8") as text:
            return text.read()

    def check(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        wait_for(lambda: '"done"' in self.said() or self.process.poll() is not None, "it ends")
        self.process.stdin.close()
        status = self.process.wait(LIMIT_S)
        if status or '"wrong","is":0,' not in self.said():
            self.errors.append("status %s, said %s" % (status, self.said()[-300:]))


class Busy(Own):
    name = "busy"


class Tempest(Own):
    name = "tempest"

    def start(self):
        library = os.path.join(self.folder, "libleaky.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", library,
                        os.path.join(TARGETS, "libleaky.c")], check=True)
        self.arguments = (library,)
        return super().start()


class Redis(Victim):
    def start(self):
        self.port = free_port()
        server = self.run(["redis-server", "--port", self.port, "--save", "", "--dir", self.folder,
                           "--bind", "127.0.0.1"])
        wait_for(lambda: answers(self.port), "redis answers")
        self.load(self.step)
        return [server.pid]

    def step(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=ROUND_S) as connection:
            file = connection.makefile("rwb")
            for i in range(200):
                value = hashlib.md5(b"%d" % i).hexdigest().encode() * (1 + i % 40)
                file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nk%03d\r\n$%d\r\n%s\r\n"
                           % (i, len(value), value))
                file.write(b"*2\r\n$3\r\nGET\r\n$4\r\nk%03d\r\n" % i)
                file.flush()
                assert file.readline() == b"+OK\r\n"
                assert file.readline() == b"$%d\r\n" % len(value)
                assert file.read(len(value) + 2) == value + b"\r\n"

    def check(self):
        self.step()


class Http(Victim):
    path, expected = "/", b""

    def get(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=ROUND_S) as connection:
            connection.sendall(b"GET %s HTTP/1.0\r\n\r\n" % self.path.encode())
            answer = b""
            while True:
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
        assert answer.endswith(self.expected), answer[-100:]

    def check(self):
        self.get()


class Nginx(Http):
    path, expected = "/file", b"0123456789\n" * 3000

    def start(self):
        self.port = free_port()
        os.chmod(self.folder, 0o755)
        with open(os.path.join(self.folder, "file"), "wb") as file:
            file.write(self.expected)
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w", encoding="ascii") as text:
            text.write("daemon off; pid %s/pid; error_log %s/error.log; worker_processes 2;"
                       "events { worker_connections 64; } http { access_log off; gzip on; %s"
                       "server { listen 127.0.0.1:%d; root %s; } }" % (
                           self.folder, self.folder, "".join(
                               "%s_temp_path %s/%s;" % (kind, self.folder, kind) for kind in
                               ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
                           self.port, self.folder))
        server = self.run(["/usr/sbin/nginx", "-c", conf, "-p", self.folder])
        wait_for(lambda: answers(self.port), "nginx answers")
        self.load(self.get)
        with open("/proc/%d/task/%d/children" % (server.pid, server.pid),
                  encoding="ascii") as text:
            workers = [int(word) for word in text.read().split()]
        # They take that name when all is loaded that they need to change their user.
        wait_for(lambda: all("worker process" in command_line(pid) for pid in workers),
                 "nginx's workers work")
        return [server.pid] + workers


class Node(Http):
    has_jit = True
    program = """
        const zlib = require('zlib'), http = require('http');
        const text = '0123456789'.repeat(5000);
        http.createServer((request, response) => {
            const packed = zlib.gunzipSync(zlib.deflateRawSync ? zlib.gzipSync(text) : text);
            response.end(JSON.parse(JSON.stringify([packed.toString()]))[0]);
        }).listen(%d, '127.0.0.1');
    """
    expected = b"0123456789" * 5000

    def start(self):
        self.port = free_port()
        server = self.run(["node", "-e", self.program % self.port])
        wait_for(lambda: answers(self.port), "node answers")
        self.load(self.get)
        return [server.pid]


class Python(Http):
    def start(self):
        self.port = free_port()
        self.expected = b"0123456789" * 5000
        with open(os.path.join(self.folder, "file"), "wb") as file:
            file.write(self.expected)
        self.path = "/file"
        server = self.run(["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1",
                           self.port], env=dict(os.environ, PYTHONMALLOC="malloc"))
        wait_for(lambda: answers(self.port), "python answers")
        self.load(self.get)
        return [server.pid]


class Java(Http):
    has_jit = True
    program = """
        import com.sun.net.httpserver.*;
        public class Server {
            public static void main(String[] words) throws Exception {
                byte[] text = "0123456789".repeat(5000).getBytes();
                HttpServer server = HttpServer.create(
                    new java.net.InetSocketAddress("127.0.0.1", Integer.parseInt(words[0])), 0);
                server.setExecutor(java.util.concurrent.Executors.newFixedThreadPool(4));
                server.createContext("/", exchange -> {
                    java.util.zip.Deflater in = new java.util.zip.Deflater();
                    java.util.zip.Inflater out = new java.util.zip.Inflater();
                    byte[] packed = new byte[text.length], back = new byte[text.length];
                    in.setInput(text); in.finish();
                    int size = in.deflate(packed);
                    out.setInput(packed, 0, size);
                    try { out.inflate(back); } catch (Exception e) { throw new RuntimeException(e); }
                    in.end(); out.end();
                    exchange.sendResponseHeaders(200, back.length);
                    exchange.getResponseBody().write(back);
                    exchange.close();
                });
                server.start();
            }
        }
    """
    expected = b"0123456789" * 5000

    def start(self):
        self.port = free_port()
        source = os.path.join(self.folder, "Server.java")
        with open(source, "w", encoding="ascii") as text:
            text.write(self.program)
        server = self.run(["java", "-Xmx128m", source, self.port])
        wait_for(lambda: answers(self.port), "java answers")
        self.load(self.get)
        return [server.pid]


class Postgres(Victim):
    def start(self):
        self.port = free_port()
        binaries = "/usr/lib/postgresql/%s/bin" % sorted(os.listdir("/usr/lib/postgresql"))[-1]
        data = os.path.join(self.folder, "data")
        shutil.chown(self.folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        subprocess.run(as_user + [binaries + "/initdb", "-D", data, "-A", "trust"], check=True,
                       stdout=subprocess.DEVNULL, cwd=self.folder)
        server = self.run(as_user + [binaries + "/postgres", "-D", data, "-p", self.port, "-k",
                                     self.folder, "-c", "listen_addresses=127.0.0.1", "-c",
                                     "fsync=off", "-c", "shared_buffers=16MB"])
        wait_for(lambda: answers(self.port), "postgres answers")
        wait_for(lambda: self.query("select 1") == "1", "postgres is up")
        self.load(self.step)
        return [server.pid]

    def query(self, text):
        done = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                               "-Atc", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, timeout=30, check=False)
        return done.stdout.strip()

    def step(self):
        answer = self.query("select sum(x), md5(string_agg(x::text, ',' order by x)) from "
                            "generate_series(1, 2000) x")
        assert answer == "2001000|" + hashlib.md5(
            ",".join(str(x) for x in range(1, 2001)).encode()).hexdigest(), answer

    def check(self):
        self.step()


VICTIMS = {"busy": Busy, "tempest": Tempest, "redis": Redis, "nginx": Nginx, "node": Node,
           "python": Python, "java": Java, "postgres": Postgres}


class Torture:
    def __init__(self, memleak, pids, log, follow):
        self.memleak = memleak
        self.pids = pids
        self.log = log
        self.follow = follow
        self.cycles = self.kills = self.refused = 0

    def start(self):
        pid = random.choice(self.pids)
        options = ["-f"] if self.follow and random.random() < 0.3 else []
        if random.random() < 0.4:
            options += ["--sample-bytes", random.choice(["4096", "524288"])]
        with open(self.log, "wb") as out:
            return subprocess.Popen([self.memleak, "--json", "--backend", "agent", *options, "-p",
                                     str(pid), "60"], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=out,
                                    start_new_session=True)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as text:
            return text.read()

    def cycle(self):
        run = self.start()
        wait_for(lambda: "Attaching to" in self.said() or run.poll() is not None, "it attaches")
        time.sleep(random.random() * 0.05)
        run.send_signal(signal.SIGINT)
        status = run.wait(LIMIT_S)
        text = self.said()
        assert status == 0, "status %d: %s" % (status, text)
        self.refused += "memleak:" in text.replace("memleak: removed the agent", "")
        self.cycles += 1
        return text

    def kill(self):
        run = self.start()
        time.sleep(random.random() * 0.4)
        run.kill()
        run.wait(LIMIT_S)
        # A step that is under way is finished by a process of its own.
        self.kills += 1


def torture(memleak, name, cycles, kills, follow):
    folder = tempfile.mkdtemp(prefix="torture-")
    os.chmod(folder, 0o755)
    victim = VICTIMS[name](folder)
    begin = time.monotonic()
    try:
        pids = victim.start()
        before = {pid: state(pid) for pid in pids}
        rack = Torture(memleak, pids, os.path.join(folder, "log"), follow)
        jobs = ["cycle"] * cycles + ["kill"] * kills
        random.shuffle(jobs)
        for job in jobs:
            getattr(rack, job)()
            assert victim.alive(), "it died"
            assert not victim.errors, victim.errors
        for pid in pids:  # whatever the kills left
            rack.pids = [pid]
            rack.cycle()
            assert not leftovers(pid), leftovers(pid)
            difference = None if victim.has_jit else differs(before[pid], state(pid))
            assert not difference, difference
        victim.check()
        assert not victim.errors, victim.errors
        print("%-9s %4d cycles %3d kills, %6d rounds of load, the longest %.2f s, %3.0f s: as before"
              % (name, rack.cycles, rack.kills, victim.rounds, victim.longest_s,
                 time.monotonic() - begin), flush=True)
        return True
    except Exception as error:  # of whatever kind: this one failed, the others go on
        print("%-9s FAILED: %s" % (name, error), flush=True)
        return False
    finally:
        victim.end()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("memleak")
    parser.add_argument("--cycles", type=int, default=1000, help="of all programs together")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", default=",".join(VICTIMS))
    parser.add_argument("--follow", action="store_true", help="some of the runs with --follow")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    names = options.only.split(",")
    random.seed(options.seed)
    print("seed %d" % options.seed)
    results = [torture(os.path.abspath(options.memleak), name, -(-options.cycles // len(names)),
                       -(-options.kills // len(names)), options.follow) for name in names]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
