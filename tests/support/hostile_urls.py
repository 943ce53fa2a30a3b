"""Addresses that lead inside, however they are written: nobody's webhook and nobody's picture is there (S1, T25)."""

from __future__ import annotations

import socket
from collections.abc import Sequence

HOSTS = (
    # loopback, in every way that resolvers understand
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0x7f.0.0.1", "017700000001", "0177.0.0.1",
    "127.0.0.1.", "localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "127.127.127.127", "0", "0.0.0.0", "0x0",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    # dots and digits of other alphabets, which become the usual ones
    "127。0。0。1", "127\uff0e0\uff0e0\uff0e1", "①②⑦.⓪.⓪.①", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    # metadata services
    "169.254.169.254", "169.254.170.2", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fd00:ec2::254]",
    "100.100.100.200", "168.63.129.16", "metadata.google.internal", "instance-data.ec2.internal",
    # private, shared, local and reserved networks
    "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.0.1", "100.64.0.1", "192.0.0.1", "198.18.0.1", "192.88.99.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "[fc00::1]", "[fd12:3456::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001::7f00:1]",
    # names within a cluster
    "kubernetes.default.svc", "genfleet-redis.genfleet.svc.cluster.local", "redis", "kubernetes",
    # one public address and one that is not
    "both.test",
)  # fmt: skip
NAMES = {
    "metadata.google.internal": ["169.254.169.254"],
    "instance-data.ec2.internal": ["169.254.169.254"],
    "localhost.localdomain": ["127.0.0.1"],
    "127.0.0.1.": ["127.0.0.1"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "genfleet-redis.genfleet.svc.cluster.local": ["10.244.0.7"],
    "redis": ["172.18.0.2"],
    "kubernetes": ["10.96.0.1"],
    "both.test": ["93.184.216.34", "127.0.0.1"],
}
"""What the names that this machine does not know have for addresses elsewhere."""


def resolve(host: str, port: int) -> Sequence[str]:
    """As the resolver of a machine in a cluster would; what ours does not know, some other one takes for loopback."""
    if host in NAMES:
        return NAMES[host]
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except socket.gaierror:
        return ["127.0.0.1"]


def urls(port: int) -> list[str]:
    """An address for each host, and those that mislead by their form."""
    misleading = [f"http://example.com@127.0.0.1:{port}/", f"http://127.0.0.1:{port}#@example.com/"]
    misleading += [f"http://example.com:80@localhost:{port}/", f"http://127.0.0.1:{port}\\@example.com/"]
    return [f"http://{host}:{port}/" for host in HOSTS] + misleading
