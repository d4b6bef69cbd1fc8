"""What bounds the service, made of its settings and of the rules."""

import asyncio
from datetime import timedelta

from bastion.admission import Admission
from bastion.app import Services
from bastion.doorstep import Threshold, Trust
from bastion.grants import Grant
from bastion.neighbours import Neighbours
from bastion.reached import Reached
from bastion.refusals import Refusals
from bastion.rulebook import Rulebook


def idle(most: timedelta | None, rulebook: Rulebook, grant: Grant) -> timedelta | None:
    """For how long nothing may move in a session: as the settings say, or its rule, if that is
    shorter."""
    rules = rulebook.known
    said = None if rules is None else rules.idle(grant.rule)
    return min((each for each in (most, said) if each is not None), default=None)


def threshold(services: Services, reached: Reached, others: Neighbours | None) -> Threshold:
    """What comes before the doors, in one process beside the `others` of this machine."""
    limits, proxy = services.settings.limits, services.settings.proxy
    return Threshold(
        Trust(proxy.balancers, proxy.wait, limits.never_refused, limits.sharing),
        Admission(limits.places, others),
        Refusals(limits.failures_per_source, limits.longest_refusal, witnesses=others),
        reached,
        asyncio.get_running_loop().time,
    )
