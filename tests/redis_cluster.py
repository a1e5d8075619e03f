"""Three Redis servers on loopback that are one cluster, for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from redis_server import RedisServer, short_folder

SLOTS = 16384
# The port at which nodes speak to each other is so much higher.
BUS = 10_000


class Cluster:
    """The nodes; `url` names the first."""

    def __init__(self, nodes: list[RedisServer], ports: list[int]) -> None:
        self.nodes, self.ports = nodes, ports
        self.url = f"redis://127.0.0.1:{ports[0]}?cluster=true"

    async def meet(self) -> None:
        """Share the slots, and wait until every node knows it."""
        edges = [at * SLOTS // len(self.nodes) for at in range(len(self.nodes) + 1)]
        for at, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(edges[at], edges[at + 1]))
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        with self.nodes[0].client() as client:
            for port in self.ports[1:]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        async with asyncio.timeout(30):
            while not all(self._is_well(node) for node in self.nodes):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def _is_well(self, node: RedisServer) -> bool:
        with node.client() as client:
            info = client.execute_command("CLUSTER", "INFO")
            text = info.decode() if isinstance(info, bytes) else str(info)
        return "cluster_state:ok" in text.replace("'", "").replace(": ", ":") and len(self._known(node)) == len(
            self.nodes
        )

    def _known(self, node: RedisServer) -> list[str]:
        with node.client() as client:
            said = client.execute_command("CLUSTER", "NODES")
        return list(said) if isinstance(said, dict) else [line for line in said.decode().splitlines() if line]

    def identity(self, at: int) -> str:
        with self.nodes[at].client() as client:
            said = client.execute_command("CLUSTER", "MYID")
        return said.decode() if isinstance(said, bytes) else str(said)

    def owner(self, slot: int) -> int:
        """Which node has a slot."""
        return next(at for at in range(len(self.nodes)) if slot < (at + 1) * SLOTS // len(self.nodes))

    def move(self, slot: int, to: int) -> None:
        """Move a slot with its keys to another node, by the steps of resharding: askers meet ASK, then MOVED."""
        here = self.owner(slot)
        with self.nodes[here].client() as old, self.nodes[to].client() as new:
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.identity(here))
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.identity(to))
            while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                old.execute_command("MIGRATE", "127.0.0.1", self.ports[to], "", 0, 5000, "KEYS", *keys)
            for client in (new, old):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.identity(to))


def _ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            # Ports are given out from the upper half, where that of the bus would be none.
            port = port if port + BUS < 1 << 16 else port - BUS
            try:
                other.bind(("127.0.0.1", port + BUS))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


@asynccontextmanager
async def clustered() -> AsyncIterator[Cluster]:
    """A cluster of three for the length of the block."""
    async with AsyncExitStack() as stack:
        ports, nodes = _ports(3), []
        for port in ports:
            node = RedisServer(stack.enter_context(short_folder()), "--port", str(port), "--cluster-enabled", "yes",
                               "--bind", "127.0.0.1", "--cluster-node-timeout", "2000")  # fmt: skip
            stack.push_async_callback(node.kill)
            await node.start()
            nodes.append(node)
        cluster = Cluster(nodes, ports)
        await cluster.meet()
        yield cluster
