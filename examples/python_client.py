"""Submit a batch of pictures, watch one come, and wait for all: `python examples/python_client.py`.

Address and key come from the environment (GENFLEET_URL, GENFLEET_API_KEY), or from a `genfleet up` in this folder.
"""

from __future__ import annotations

import asyncio

from genfleet_client import AsyncClient, Client, TaskFailed

SCENES = ["a red fox in the snow", "a lighthouse at night", "a market in the rain"]


def one() -> None:
    """One picture, with its progress."""
    with Client() as client:
        task = client.submit("example", "generate_image", {"prompt": SCENES[0], "resolution": "256x256"}, priority=1)
        print(f"task {task['task_id']}, about {task['estimated_duration']} s")
        for status in client.follow(task["task_id"], timeout=300):
            print(f"{status['status']:<10} {status['progress'] or 0:4.0%} {status['current_step'] or ''}")
        try:
            print((client.wait(task["task_id"])["result"] or {})["media_url"])
        except TaskFailed as failure:
            print(failure)


async def many() -> None:
    """A batch, submitted and awaited at once; limits of the service are waited for."""
    async with AsyncClient() as client:
        data = ({"prompt": scene, "resolution": "256x256"} for scene in SCENES)
        tasks = await asyncio.gather(*(client.submit("example", "generate_image", each) for each in data))
        ends = await asyncio.gather(*(client.wait(task["task_id"], timeout=300) for task in tasks))
        print("all done:", [end["status"] for end in ends])


if __name__ == "__main__":
    one()
    asyncio.run(many())
