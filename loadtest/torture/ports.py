"""Port scan: the addresses on which the processes of a server listen."""

import asyncio
import ipaddress
from dataclasses import dataclass

import psutil

from loadtest.bench.processes import HOST
from loadtest.torture.effort import Effort
from loadtest.torture.ray_server import RayServer, ray_server
from loadtest.torture.row import Row

EVERYWHERE = "0.0.0.0"
SCANS, SCAN_EVERY_S = 5, 1.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    process: str

    @property
    def local(self) -> bool:
        """True if only this machine can reach it."""
        address = ipaddress.ip_address(self.address)
        mapped = getattr(address, "ipv4_mapped", None)  # of a socket of both families
        local: bool = (mapped or address).is_loopback
        return local


def listeners(server: RayServer) -> set[Listener]:
    """All listening sockets of the server's processes."""
    found: set[Listener] = set()
    for process in server.processes():
        try:
            name = process.name()
            sockets = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        found.update(
            Listener(one.laddr.ip, one.laddr.port, name) for one in sockets if one.status == psutil.CONN_LISTEN
        )
    return found


async def measure(effort: Effort) -> list[Row]:
    """Scan a server on the loopback interface, and one on all interfaces."""
    rows = []
    for host in (HOST, EVERYWHERE):
        effort.say(f"starting a server on {host}")
        async with ray_server(effort.out / f"ports-{host}.log", host) as server:
            found: set[Listener] = set()
            for _ in range(SCANS):  # a scan misses HAProxy while it restarts
                found |= await asyncio.to_thread(listeners, server)
                await asyncio.sleep(SCAN_EVERY_S)
            rows.append(judged(host, server.port, found))
    return rows


def judged(host: str, port: int, found: set[Listener]) -> Row:
    """Row of a server that was asked to listen on `host`."""
    wanted = set() if host == HOST else {port}
    open_ports = {one.port for one in found if not one.local}
    surplus = sorted(f"{one.address}:{one.port} ({one.process})" for one in found if not one.local and one.port != port)
    return Row(
        f"A server on {host} listens "
        + ("on no other interface" if host == HOST else "on other interfaces with the API's port only"),
        f"{len(found)} sockets listen, {len(open_ports)} ports of them beyond the loopback interface",
        "none" if host == HOST else "the API's port",
        bool(found) and open_ports == wanted,
        f"Surplus: {', '.join(surplus)}" if surplus else "",
    )
