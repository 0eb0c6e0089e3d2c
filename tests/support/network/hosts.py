"""Several hosts on one machine: tests pull a network cable or unmount a share of Linux namespaces instead of computers.

A host has its own network, mounts and name, and shares everything else with this machine. A killed run leaves nothing behind:
a process that ends with the tests owns the namespaces and ends what still runs in them; the kernel then removes bridge,
cables and mounts.
"""

import os
import shutil
import socket
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Self

from support.network.interfaces import changing
from support.network.namespaces import HostsUnavailable, Namespaces, run

#: 10.77.n.0/24 is one network; this machine is .1 in it.
_NETWORKS = range(1, 255)
_LONGEST_NAME = 15  # of a network interface
_PROGRAMS = ("ip", "tc", "nsenter", "unshare", "mount", "umount")


@cache
def why_unavailable() -> str | None:
    """Return the reason why this machine cannot make hosts; None if it can."""
    if sys.platform != "linux":
        return "hosts are made of Linux namespaces"
    if os.geteuid() != 0:
        return "only root may make hosts"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"hosts are made with {' and '.join(missing)}, which is not installed"
    for kind in (["bridge"], ["veth", "peer", "name", "other"]):
        try:
            run("unshare", "--net", "--mount", "--uts", "ip", "link", "add", "name", "probe", "type", *kind)
        except HostsUnavailable as error:
            return str(error)
    return None


class Host:
    """One host of a network."""

    def __init__(self, name: str, address: str, switch: "Namespaces") -> None:
        """Call `Network.host` instead."""
        self.name = name
        self.address = address
        self._switch = switch
        self._own = Namespaces()
        self._own.run("hostname", name)
        switch.run(
            "ip", "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", str(self._own.pid)
        )
        switch.run("ip", "link", "set", name, "master", "bridge", "up")
        self._own.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self._own.run("ip", "link", "set", device, "up")

    def command(self, words: Sequence[str], *, user: int | None = None) -> list[str]:
        """Return the words that run a command on this host.

        The process that the caller starts with these words becomes the command, so signals reach it. It runs in the folder
        that is current now, whatever `cwd` says, and as `user` if one is given.
        """
        return self._own.command(words, user=user)

    def mount(self, source: Path, at: Path) -> None:
        """Mount the folder `source` at `at`, on this host alone."""
        at.mkdir(parents=True, exist_ok=True)
        self._own.run("mount", "--bind", str(source), str(at))

    def unmount(self, at: Path) -> None:
        """Unmount a folder; a process that has a file open there keeps it."""
        self._own.run("umount", "--lazy", str(at))

    def cut_off(self) -> None:
        """Pull the cable: neither side hears that the other is gone, and connections stay half open."""
        self._switch.run("ip", "link", "set", self.name, "down")

    def rejoin(self) -> None:
        """Put the cable back."""
        self._switch.run("ip", "link", "set", self.name, "up")

    def slow_down(self, *, kilobits: int) -> None:
        """Limit what this host receives and sends to so many kilobits per second; nothing gets lost."""
        for ends, device in ((self._switch, self.name), (self._own, "eth0")):
            queue = ["tbf", "rate", f"{kilobits}kbit", "burst", "16kb", "limit", "16mb"]
            ends.run("tc", "qdisc", "replace", "dev", device, "root", *queue)

    def speed_up(self) -> None:
        """Remove the limit."""
        for ends, device in ((self._switch, self.name), (self._own, "eth0")):
            ends.run("tc", "qdisc", "delete", "dev", device, "root")

    def end(self) -> None:
        """End what runs on this host, and the host."""
        self._own.end()


class Network:
    """Hosts that reach each other and this machine, but nothing else: `with Network() as network: network.host("a")`."""

    def __init__(self) -> None:
        """Prepare; nothing is made yet."""
        self._made: list[Namespaces | Host] = []
        self._number = 0

    def __enter__(self) -> Self:
        """Make the network.

        Raises:
            HostsUnavailable: This machine cannot make hosts; the message says why.
        """
        why = why_unavailable()
        if why is not None:
            raise HostsUnavailable(why)
        self._switch = Namespaces()
        self._made.append(self._switch)
        try:
            self._switch.run("ip", "link", "add", "name", "bridge", "type", "bridge")
            self._switch.run("ip", "link", "set", "bridge", "up")
            with changing():
                self._connect_this_machine()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def host(self, name: str) -> Host:
        """Make a host.

        Raises:
            HostsUnavailable: This machine refuses; the message says why.
        """
        assert len(name) <= _LONGEST_NAME, f"{name} is too long for the name of a network interface"
        host = Host(name, f"10.77.{self._number}.{len(self._made) + 1}", self._switch)
        self._made.append(host)
        return host

    def end(self) -> None:
        """End what runs on the hosts, and remove them and the network."""
        while self._made:
            last = self._made.pop()
            if last is self._switch:
                self._disconnect_this_machine()
            last.end()

    def _connect_this_machine(self) -> None:
        # Tests run side by side: the run that owns the interface with a number owns its addresses.
        for number in _NETWORKS:
            name = _interface(number)
            try:
                run(
                    "ip",
                    "link",
                    "add",
                    "name",
                    name,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "uplink",
                    "netns",
                    f"{self._switch.pid}",
                )
            except HostsUnavailable as error:
                if "File exists" not in str(error):
                    raise
            else:
                self._number = number
                break
        else:
            raise HostsUnavailable("all networks are taken; end what runs on them")
        self._switch.run("ip", "link", "set", "uplink", "master", "bridge", "up")
        run("ip", "address", "add", f"10.77.{self._number}.1/24", "dev", name)
        run("ip", "link", "set", name, "up")

    def _disconnect_this_machine(self) -> None:
        if self._number and _interface(self._number) in {name for _, name in socket.if_nameindex()}:
            with changing():
                run("ip", "link", "delete", _interface(self._number))
        self._number = 0


def _interface(number: int) -> str:
    return f"smearcount{number}"
