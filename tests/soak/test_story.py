"""Stories: what an act that failed has done, and that nothing is told of other acts."""

import asyncio

from tests.soak.story import Story, opened, step


def test_an_act_and_its_tasks_tell_one_story() -> None:
    """In their order, with the tags of the commands; another act's is another."""

    async def act(tag: str) -> Story:
        with opened() as story:
            step("connects")
            async with asyncio.TaskGroup() as group:
                group.create_task(runs(tag))
        step("is over")
        return story

    async def runs(tag: str) -> None:
        step(f"runs {tag}")
        step(f"{tag} is on")

    async def both() -> list[Story]:
        return [*await asyncio.gather(act("soak-1"), act("soak-2"))]

    for number, story in enumerate(asyncio.run(both()), 1):
        steps = [each.partition(" s ")[2] for each in story.told().split("; ")]
        tag = f"soak-{number}"
        assert steps == ["connects", f"runs {tag}", f"{tag} is on", "over"]
        assert story.tags == [tag]
