# SPDX-License-Identifier: BSD-2-Clause
"""Real programs for run.py: Python, forked workers, redis and nginx under load, as they are and with a leak
put into them (leak_per_request.c)."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from run import HERE, Result, Watch, end, functions

BOUNDED = ["cache", "steady", "startup", "growing", "unknown"]


def judge(watch, limit_s, parts):
    """@parts: (name, right verdicts, known_s, which sites) of each program to judge."""
    results = [Result(name, {"right": right, "known_s": known_s}) for name, right, known_s, _ in parts]
    for report in watch.reports(limit_s):
        for result, (_, _, _, is_part) in zip(results, parts):
            result.add(report["elapsed_s"], [site for site in report["sites"] if is_part(site)])
    return results


def has(name):
    return lambda site: name in functions(site)


def has_not(*names):
    return lambda site: not set(names) & set(functions(site))


def watched(memleak, arguments, work, name, command, parts, options=()):
    target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        target.stdout.readline()
        watch = Watch(memleak, target.pid, arguments.seconds, arguments.backend, os.path.join(work, name), *options)
        watch.wait_attached()
        target.stdin.write(b"\n")
        target.stdin.flush()
        return judge(watch, arguments.seconds * 4 + 60, parts)
    finally:
        os.killpg(target.pid, signal.SIGKILL)  # its own session: it and the children it forked
        target.wait()


def python(memleak, arguments, work):
    return watched(memleak, arguments, work, "python", ["/usr/bin/python3", os.path.join(HERE, "leak_and_cache.py")], [
        ("python, list that only grows", ["leak"], 10, has("leak_in_python")),
        ("python, lru_cache", ["cache", "steady", "startup"], 25, has("cache_in_python")),
    ])


def workers(memleak, arguments, work):
    program = os.path.join(work, "forking")
    subprocess.run(["gcc", "-O1", "-g", "-o", program, os.path.join(HERE, "forking.c")], check=True)
    return watched(memleak, arguments, work, "workers", [program], [
        ("forked worker that leaks", ["leak"], 10, has("leak_in_worker")),
        ("forked worker that does not", ["steady", "cache"], 10, has("steady_in_worker")),
    ], ["-f"])


def wait_port(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("nobody listens on port %d" % port)


class Load:
    """Sends @message of a number over and over, each on a connection of its own, @rate times a second."""

    def __init__(self, port, message, rate, keep=False):
        self.port, self.message, self.rate, self.keep = port, message, rate, keep
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number, client = 0, None
        while not self.stop.wait(1 / self.rate):
            try:
                client = client or socket.create_connection(("127.0.0.1", self.port), timeout=5)
                client.sendall(self.message(number))
                client.recv(65536)
                number += 1
                if not self.keep:
                    client.close()
                    client = None
            except OSError:
                client = None

    def end(self):
        self.stop.set()
        self.thread.join()


def preload(work):
    library = os.path.join(work, "leak_per_request.so")
    if not os.path.exists(library):
        subprocess.run(["gcc", "-O1", "-g", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library,
                        os.path.join(HERE, "leak_per_request.c")], check=True)
    return dict(os.environ, LD_PRELOAD=library)


def served(memleak, arguments, work, name, command, port, loads, parts, env=None):
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=env)
    running = []
    try:
        wait_port(port)
        watch = Watch(memleak, server.pid, arguments.seconds, arguments.backend, os.path.join(work, name))
        watch.wait_attached()
        running = [Load(port, *load) for load in loads]
        return judge(watch, arguments.seconds * 4 + 60, parts)
    finally:
        for load in running:
            load.end()
        end(server)


def redis_command(port, *words):
    return ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", *words]


def set_key(keys, size):
    def message(number):
        key = "key:%d" % (number % keys if keys else number)
        value = "x" * size
        return ("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, size, value)).encode()
    return message


def redis_grows(memleak, arguments, work):
    """Every key is new and none is ever deleted: the keys' site leaks as far as anybody can see."""
    return served(memleak, arguments, work, "redis-grows", redis_command(17411), 17411,
                  [(set_key(0, 400), 200, True)], [
        ("redis, new keys for ever", ["leak"], 15, lambda site: site["allocs"] >= 200 and
         {"dbAdd", "tryObjectEncoding", "sdsdup", "setKey", "createStringObject"} & set(functions(site))),
    ])


def redis_lru(memleak, arguments, work):
    """maxmemory is reached within seconds; from then on a key goes for each that comes."""
    words = ["--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru"]
    return served(memleak, arguments, work, "redis-lru", redis_command(17412, *words), 17412,
                  [(set_key(0, 1500), 300, True)], [
        ("redis, maxmemory with LRU", ["cache", "steady", "startup", "growing", "unknown"], 30, lambda site: True),
    ])


def redis_preload(memleak, arguments, work):
    return served(memleak, arguments, work, "redis-leaks", redis_command(17413), 17413,
                  [(set_key(50, 400), 60)], [
        ("redis, a leak a connection", ["leak"], 15, has("leak_per_request")),
        ("redis, all else", BOUNDED, 30, has_not("leak_per_request")),
    ], preload(work))


NGINX = """
daemon off; master_process off; error_log /dev/null; pid %s/nginx.pid;
events { worker_connections 64; }
http { access_log off; client_body_temp_path %s/body; proxy_temp_path %s/proxy; fastcgi_temp_path %s/fastcgi;
uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;
server { listen 127.0.0.1:17414; location / { return 200 "hello"; } } }
"""


def nginx(memleak, arguments, work):
    config = os.path.join(work, "nginx.conf")
    with open(config, "w", encoding="ascii") as out:
        out.write(NGINX % ((work,) * 6))
    return served(memleak, arguments, work, "nginx", ["nginx", "-c", config, "-p", work], 17414,
                  [(lambda number: b"GET / HTTP/1.0\r\n\r\n", 60)], [
        ("nginx, a leak a request", ["leak"], 15, has("leak_per_request")),
        ("nginx, all else", BOUNDED, 15, has_not("leak_per_request")),
    ], preload(work))


def server_jobs():
    jobs = [python, workers]
    if shutil.which("redis-server"):
        jobs += [redis_grows, redis_lru, redis_preload]
    if shutil.which("nginx"):
        jobs.append(nginx)
    return jobs


if __name__ == "__main__":
    sys.exit("run.py runs these")
