# SPDX-License-Identifier: BSD-2-Clause
"""Real servers: attach under load, get sane figures, and they still answer."""
import socket

import pytest

import helpers


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, request, seconds=10):
    """Sends @request and returns the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(request)
        return connection.recv(65536)


def wait_answers(port, request, expected):
    def answers():
        try:
            return expected in ask(port, request, 1)
        except OSError:
            return False
    helpers.wait_for(answers, helpers.START_S, "the server answers on port %d" % port)


def check_sane(report):
    report.check_totals()
    totals = report["totals"]
    assert totals["allocs"] > 0
    # A connection may have been closed between the reading of the blocks and of the sums.
    assert totals["allocs"] - totals["frees"] >= totals["outstanding_count"] - 50
    assert totals["outstanding_bytes"] < 1 << 32
    ends = [site["stack_end"] for site in report.sites]
    assert ends.count("complete") * 10 >= len(ends) * 9, ends


def test_redis(bench):
    port = free_port()
    bench_dir = bench.directory
    server = bench.program(["redis-server", "--port", str(port), "--save", "", "--dir", bench_dir,
                            "--daemonize", "no", "--bind", "127.0.0.1"])
    wait_answers(port, b"PING\r\n", b"PONG")
    run = bench.attach(server.pid, interval="0.5")
    for i in range(500):
        key = b"key:%d" % i
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1000\r\n%s\r\n"
                               % (len(key), key, b"x" * 1000))
            assert connection.recv(100) == b"+OK\r\n"
    run.interrupt()
    report = run.final()
    check_sane(report)
    # 500 values of 1000 bytes stay: they must be in the books.
    assert report["totals"]["outstanding_bytes"] >= 500 * 1000
    assert b"PONG" in ask(port, b"PING\r\n")
    assert ask(port, b"GET key:23\r\n").startswith(b"$1000")


def test_nginx(bench, tmp_path):
    port = free_port()
    tmp_path.chmod(0o755)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text("""
daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    server {{ listen 127.0.0.1:{1}; location / {{ return 200 "hello"; }} }}
}}
""".format(tmp_path, port))
    server = bench.program(["/usr/sbin/nginx", "-c", str(configuration), "-p", str(tmp_path)])
    request = b"GET / HTTP/1.0\r\n\r\n"
    wait_answers(port, request, b"hello")
    run = bench.attach(server.pid, interval="0.5")
    for _ in range(200):
        assert b"200 OK" in ask(port, request)
    run.interrupt()
    check_sane(run.final())
    assert run.final()["totals"]["frees"] > 0
    assert b"hello" in ask(port, request)


def test_python_http_server(bench):
    port = free_port()
    server = bench.program(["python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)])
    request = b"GET / HTTP/1.0\r\n\r\n"
    wait_answers(port, request, b"200 OK")
    run = bench.attach(server.pid, interval="0.5")
    for _ in range(50):
        assert b"200 OK" in ask(port, request)
    run.interrupt()
    check_sane(run.final())
    assert b"200 OK" in ask(port, request)


@pytest.mark.parametrize("options", [("--sample-bytes", "65536"), ("-C",)])
def test_redis_with_less_detail(bench, options):
    port = free_port()
    server = bench.program(["redis-server", "--port", str(port), "--save", "", "--dir",
                            bench.directory, "--bind", "127.0.0.1"])
    wait_answers(port, b"PING\r\n", b"PONG")
    run = bench.attach(server.pid, *options)
    for i in range(200):
        ask(port, b"SET key:%d %s\r\n" % (i, b"y" * 500))
    run.interrupt()
    run.final().check_totals()
    assert b"PONG" in ask(port, b"PING\r\n")
