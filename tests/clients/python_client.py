"""The API as toxiproxy-python sees it: python_client.py API-PORT TARGET. Speaks through the proxies it makes."""

import socket
import sys
import time

from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

port, target = int(sys.argv[1]), sys.argv[2]
server = Toxiproxy()
server.update_api_consumer("127.0.0.1", port)


def address(proxy):
    host, number = proxy.listen.rsplit(":", 1)
    return host, int(number)


def echo(proxy, text=b"hello"):
    """Says something through the proxy; what comes back and how long that took."""
    begun = time.monotonic()
    with socket.create_connection(address(proxy), timeout=10) as s:
        s.sendall(text)
        back = b""
        while len(back) < len(text) and (piece := s.recv(100)):
            back += piece
    return back, time.monotonic() - begun


def fails(error, act):
    try:
        act()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


assert server.running() and b"version" in server.version()
proxy = server.create(upstream=target, name="echo")
assert server.get_proxy("echo").listen == proxy.listen and proxy.enabled
assert echo(proxy)[0] == b"hello"
fails(ProxyExists, lambda: server.create(upstream=target, name="echo"))

proxy.add_toxic(type="latency", attributes={"latency": 150, "jitter": 0})
proxy.add_toxic(name="up", type="slicer", stream="upstream", attributes={"average_size": 2, "delay": 10})
assert set(proxy.toxics()) == {"latency_downstream", "up"}
assert proxy.get_toxic("up").attributes["average_size"] == 2
back, took = echo(proxy)
assert back == b"hello" and took >= 0.15, took
fails(ProxyExists, lambda: proxy.add_toxic(name="up", type="latency"))
fails(InvalidToxic, lambda: proxy.add_toxic(type="no such"))
fails(InvalidToxic, lambda: proxy.add_toxic(type="latency", name="x", stream="sideways"))
proxy.destroy_toxic("up")
fails(NotFound, lambda: proxy.destroy_toxic("up"))

with proxy.down():
    fails(OSError, lambda: echo(proxy))
assert echo(proxy)[0] == b"hello"
proxy.disable()
server.reset()
assert server.get_proxy("echo").enabled and server.get_proxy("echo").toxics() == {}

made = server.populate([{"name": "a", "listen": "127.0.0.1:0", "upstream": target}, {"name": "b", "listen": "127.0.0.1:0", "upstream": target}])
assert [p.name for p in made] == ["a", "b"] and echo(made[1])[0] == b"hello"
server.destroy_all()
assert server.proxies() == {}
print("ok")
