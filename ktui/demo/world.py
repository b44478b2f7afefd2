"""The child process of the demo: vendors, users and script, so that none of them costs the gateway or the screen."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from ktui.child import Parent
from ktui.demo.providers import SimulatedVendor
from ktui.demo.scenario import Scenario
from ktui.demo.traffic import Traffic
from ktui.demo.vendors import VENDORS
from proxy.base.secret import Secret


async def main(parent: Parent) -> None:
    """Vendors first; users and script when the parent says where the gateway is; all ends with the parent."""
    setup = await parent.receive()
    if setup is None:
        return
    async with AsyncExitStack() as stack:
        addresses = {}
        for profile in VENDORS:
            vendor = SimulatedVendor(profile, key=Secret(setup["key"]), seed=setup["seed"])
            addresses[profile.name] = await vendor.start()
            stack.push_async_callback(vendor.stop)
        parent.send(addresses)
        gateway = await parent.receive()
        if gateway is None:
            return
        traffic = Traffic(gateway["url"], rate=setup["rate"], seed=setup["seed"])
        scenario = Scenario(gateway["api"], Secret(gateway["token"]), speed=setup["speed"])
        actors = [asyncio.create_task(traffic.run()), asyncio.create_task(scenario.run())]
        ending = asyncio.create_task(parent.receive())
        await asyncio.wait([ending, *actors], return_when=asyncio.FIRST_COMPLETED)
        for task in (ending, *actors):
            task.cancel()
        await asyncio.gather(*actors, return_exceptions=True)
