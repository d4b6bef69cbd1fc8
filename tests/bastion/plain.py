"""What should be true of requests, grants and doors: said once more, in plain words.

It shares no code with what it is held against. A verb answers True where it is to be done, and
False where it is to be refused.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

from tests.bastion.plain_things import (
    Doer,
    PlainApproval,
    PlainCertificate,
    PlainGrant,
    PlainPerson,
    PlainRequest,
    PlainRule,
    hardware,
    opens,
    within,
)

TOLERANCE = timedelta(seconds=5)
TYPING = timedelta(minutes=5)
REQUEST_WAITS = timedelta(hours=24)
CERTIFICATE_LASTS = timedelta(hours=8)
MOST_WAITING = 20


class Plain:
    """All of it. Numbers of requests and grants count from 1; hosts are machines by their names."""

    def __init__(self, now: datetime, rules: list[PlainRule]) -> None:
        self.now = now
        self.latest = now
        self.rules = rules
        self.version = 0
        self.people: dict[str, PlainPerson] = {}
        self.hosts: dict[str, int] = {}
        self.requests: list[PlainRequest] = []
        self.grants: list[PlainGrant] = []
        self.certificates: list[PlainCertificate] = []

    # The clock

    def clock_is_right(self) -> bool:
        """It is not behind what has been already."""
        return self.now + TOLERANCE >= self.latest

    # The rules

    def rule_for(self, way: str, asked: PlainRequest, whole: timedelta) -> PlainRule | None:
        """The first that fits in everything, for `whole` as the time."""
        groups, start = {f"@{name}" for name in self.people[asked.user].groups}, asked.start
        for rule in self.rules:
            consent = rule.automatic or bool(rule.needs)
            operator, emergency = consent or rule.operators, rule.emergency
            if (
                {"request": consent, "operator": operator, "emergency": emergency}[way]
                and rule.who & (groups | {asked.user})
                and asked.host in rule.hosts & self.hosts.keys()
                and whole <= rule.longest
                and (asked.hours is None or within(asked.hours, rule.hours))
                and (start is None or opens(rule.hours, start) < start + whole)
            ):
                return rule
        return None

    def needs(self, rule: PlainRule, way: str) -> tuple[tuple[frozenset[str], int], ...]:
        """Whose consent it takes."""
        alone = {
            "request": rule.automatic,
            "operator": rule.automatic or rule.operators,
            "emergency": rule.emergency,
        }
        return () if alone[way] else rule.needs

    # Who may agree

    def may_agree(self, name: str, request: PlainRequest, rule: PlainRule) -> bool:
        """As a person; how she signed in is not looked at."""
        person = self.people.get(name)
        asker = self.people[request.user]
        if person is None or person.closed or not person.approver:
            return False
        let_her_in = {asker.sponsor, request.sponsor} | {giver for _, giver in asker.given}
        if name == request.user or name in let_her_in:
            return False
        if person.sponsor == request.user:
            return False
        needs = self.needs(rule, "request")
        return not needs or any(self.is_one_of(name, names) for names, _ in needs)

    def is_one_of(self, name: str, names: frozenset[str]) -> bool:
        """By name, or in a group."""
        return bool(names & ({name} | {f"@{group}" for group in self.people[name].groups}))

    def stands(self, yes: PlainApproval, request: PlainRequest, rule: PlainRule) -> bool:
        """Whether a yes of before is still one: by a key of her own, of the kind that is wanted."""
        person = self.people.get(yes.by)
        if person is None or yes.machine != self.hosts[request.host]:
            return False
        if yes.key is not None and not self.is_her_own(yes.key, person, request.user):
            return False
        if rule.approvers_hardware and not hardware(yes.key):
            return False
        return rule.approvers_fresh is None or yes.rules == self.version

    def is_her_own(self, key: str, person: PlainPerson, asker: str) -> bool:
        """She has it, and not from whoever asks."""
        return key in person.keys and (key, asker) not in person.given

    def who_agreed(self, request: PlainRequest, rule: PlainRule) -> list[str]:
        """Whose yes stands and counts."""
        return [
            each.by
            for each in request.approvals
            if self.stands(each, request, rule) and self.may_agree(each.by, request, rule)
        ]

    def enough(self, names: list[str], rule: PlainRule) -> bool:
        """Whether distinct people of these can take all the places."""
        places = [who for who, count in self.needs(rule, "request") for _ in range(count)]
        return any(
            all(self.is_one_of(name, who) for name, who in zip(order, places, strict=True))
            for order in permutations(sorted(set(names)), len(places))
        )

    def signed_well(self, by: Doer, request: PlainRequest, rule: PlainRule) -> bool:
        """With the key, and as lately, as the rule wants it."""
        person = self.people[by.name]
        if by.key is not None and not self.is_her_own(by.key, person, request.user):
            return False
        if rule.approvers_hardware and not hardware(by.key):
            return False
        if rule.approvers_fresh is None:
            return True
        return by.key is not None and by.ago <= rule.approvers_fresh

    def present(self, by: Doer) -> bool:
        """Whoever signed in may have been shut out since."""
        person = self.people.get(by.name)
        if by.key is None or person is None:
            return True
        return not person.closed and by.key in person.keys

    # Asking

    def ask(self, by: Doer, asked: PlainRequest) -> bool:
        """Ask for an access; `asked` is what the words say."""
        way, start = "emergency" if asked.emergency else "request", asked.start
        if not self.clock_is_right() or not self.present(by) or self.people[asked.user].closed:
            return False
        rule = self.rule_for(way, asked, asked.duration)
        if rule is None or (start is not None and start < self.now - TYPING):
            return False
        inside, stale_at = asked.inside or rule.inside, self.now + REQUEST_WAITS
        request = replace(
            asked,
            hours=asked.hours or rule.hours,
            inside=inside,
            stale_at=stale_at,
            sponsor=self.people[asked.user].sponsor,
        )
        if self.granted(request, rule, request.duration, []) is None:
            return False
        waits = bool(self.needs(rule, way))
        if waits and self.waiting(asked.user) >= MOST_WAITING:
            return False
        self.requests.append(request)
        if not waits:
            self.give(request, self.granted(request, rule, request.duration, []))
        return True

    def waiting(self, user: str) -> int:
        """How many of hers wait."""
        return sum(r.user == user and r.standing(self.now) == "pending" for r in self.requests)

    def granted(
        self, request: PlainRequest, rule: PlainRule, duration: timedelta, by: list[str]
    ) -> PlainGrant | None:
        """A grant for what was asked for, from now on; None where no time is left of it."""
        end = (request.start or self.now) + duration
        begin, hours = max(request.start or self.now, self.now), request.hours or rule.hours
        if end <= begin or opens(hours, begin) >= end:
            return None
        inside, how = request.inside or rule.inside, request.emergency
        user, host = request.user, request.host
        return PlainGrant(user, host, begin, end, hours, inside, rule.hardware, how, by)

    def give(self, request: PlainRequest, grant: PlainGrant | None) -> bool:
        """Keep it."""
        if grant is None:
            return False
        self.grants.append(grant)
        request.decision, request.grant = "approved", len(self.grants)
        return True

    # Deciding

    def approve(self, by: Doer, number: int, duration: timedelta | None) -> bool:
        """Agree to a request, or to less."""
        if not self.clock_is_right() or not 1 <= number <= len(self.requests):
            return False
        if not self.present(by):
            return False
        return self.agree(by, self.requests[number - 1], duration, "request")

    def agree(self, by: Doer, request: PlainRequest, less: timedelta | None, way: str) -> bool:
        """The same by whatever verb."""
        if request.standing(self.now) != "pending" or (less or request.duration) > request.duration:
            return False
        rule = self.rule_today(request, way)
        if rule is None:
            return False
        how_long, machine = less or request.duration, self.hosts[request.host]
        yes = PlainApproval(by.name, by.key, self.version, how_long, machine)
        if way == "operator" and not self.needs(rule, way):
            return self.settle(request, rule, yes, [by.name])
        agreed = self.who_agreed(request, rule)
        said = [each.by for each in request.approvals if self.stands(each, request, rule)]
        if by.name in said and not self.enough(agreed, rule):
            return False
        if not self.may_agree(by.name, request, rule) or not self.signed_well(by, request, rule):
            return False
        agreed = [name for name in agreed if name != by.name] + [by.name]
        if self.enough(agreed, rule):
            return self.settle(request, rule, yes, agreed)
        self.said_yes(request, yes)
        return True

    def rule_today(self, request: PlainRequest, way: str) -> PlainRule | None:
        """The rule that lets it be granted today."""
        if self.people[request.user].closed:
            return None
        if request.extends is not None:
            return self.rule_to_extend(self.grants[request.extends - 1], request.duration, way)
        return self.rule_for(way, request, request.duration)

    def said_yes(self, request: PlainRequest, yes: PlainApproval) -> None:
        """Her latest yes stands in place of an earlier one."""
        request.approvals = [each for each in request.approvals if each.by != yes.by] + [yes]

    def settle(
        self, request: PlainRequest, rule: PlainRule, yes: PlainApproval, by: list[str]
    ) -> bool:
        """All have agreed: the shortest of what they said."""
        shortest = min(each.duration for each in [*request.approvals, yes])
        if request.extends is not None:
            self.grants[request.extends - 1].end += shortest
            request.decision, request.grant = "approved", request.extends
        elif not self.give(request, self.granted(request, rule, shortest, by)):
            return False
        self.said_yes(request, yes)
        return True

    def deny(self, by: Doer, number: int) -> bool:
        """Turn it down: not one's own."""
        request = self.pending(by, number)
        if request is None or by.name == request.user:
            return False
        request.decision = "denied"
        return True

    def cancel(self, by: Doer, number: int) -> bool:
        """Withdraw it: one's own, or any on the machine."""
        request = self.pending(by, number)
        if request is None or not (by.operator or by.name in {request.user, request.asker}):
            return False
        request.decision = "cancelled"
        return True

    def pending(self, by: Doer, number: int) -> PlainRequest | None:
        """The one of that number, if it can be decided by somebody who is there."""
        if not 1 <= number <= len(self.requests) or not self.present(by):
            return None
        request = self.requests[number - 1]
        return request if request.standing(self.now) == "pending" else None

    # To last longer

    def rule_to_extend(self, grant: PlainGrant, longer: timedelta, way: str) -> PlainRule | None:
        """The rule that lets it last so much longer: over all of its time, and no wider."""
        if grant.over(self.now):
            return None
        rule = self.rule_for(way, self.longer(grant, longer), grant.end + longer - grant.start)
        if rule is None or (rule.hours and not grant.hours):
            return None
        if (rule.inside and not grant.inside) or (rule.hardware and not grant.hardware):
            return None
        return rule

    def longer(self, grant: PlainGrant, longer: timedelta) -> PlainRequest:
        """What is asked for then."""
        stale_at = min(self.now + REQUEST_WAITS, grant.end)
        return PlainRequest(
            grant.user, grant.host, longer, stale_at, grant.start, grant.hours, grant.inside
        )

    def extend(self, by: Doer, number: int, longer: timedelta) -> bool:
        """Let it last longer, or ask for it, or agree to it."""
        grant = self.grant(number)
        if grant is None or not self.clock_is_right() or not self.present(by):
            return False
        if grant.over(self.now) or grant.emergency:
            return False
        way = "operator" if by.operator and by.name != grant.user else "request"
        for request in reversed(self.requests):
            if request.extends == number and request.standing(self.now) == "pending":
                if by.name == grant.user:
                    return False
                return self.agree(by, request, min(longer, request.duration), way)
        return self.ask_to_extend(by, grant, number, longer, way)

    def ask_to_extend(
        self, by: Doer, grant: PlainGrant, number: int, longer: timedelta, way: str
    ) -> bool:
        """Nobody has asked for it yet."""
        rule = self.rule_to_extend(grant, longer, way)
        if rule is None or self.people[grant.user].closed:
            return False
        asked, sponsor = self.longer(grant, longer), self.people[grant.user].sponsor
        request = replace(asked, extends=number, asker=by.name, sponsor=sponsor, start=None)
        if not self.needs(rule, way):
            grant.end += longer
            request.decision, request.grant = "approved", number
            self.requests.append(request)
            return True
        waiting = self.waiting(grant.user)
        if by.name != grant.user and not self.agree(by, request, None, "request"):
            return False
        if request.decision is None and waiting >= MOST_WAITING:
            return False
        self.requests.append(request)
        return True

    # Ending

    def revoke(self, number: int) -> bool:
        """End it now."""
        grant = self.grant(number)
        if grant is None or grant.over(self.now):
            return False
        grant.revoked = True
        return True

    def grant(self, number: int) -> PlainGrant | None:
        """The one of that number."""
        return self.grants[number - 1] if 1 <= number <= len(self.grants) else None

    def review(self, by: Doer, number: int) -> bool:
        """Look at what was taken in an emergency."""
        person, grant = self.people.get(by.name), self.grant(number)
        if person is None or grant is None or grant.user == by.name:
            return False
        if not grant.emergency or grant.reviewed or not person.auditor or not grant.over(self.now):
            return False
        grant.reviewed = True
        return True

    # Certificates and doors

    def certify(self, user: str, key: str) -> bool:
        """A certificate for all that is hers, or soon will be."""
        person = self.people[user]
        if not self.clock_is_right() or person.closed or key not in person.keys:
            return False
        counted = {
            number: grant.end
            for number, grant in enumerate(self.grants, start=1)
            if grant.user == user
            and not grant.revoked
            and grant.end > self.now
            and grant.start < self.now + CERTIFICATE_LASTS
        }
        if not counted:
            return False
        ends = min(max(counted.values()), self.now + CERTIFICATE_LASTS)
        self.certificates.append(PlainCertificate(key, set(counted), self.now, ends))
        return True

    def may_enter(self, user: str, key: str, host: str, *, inside: bool) -> bool:
        """Whether somebody gets a shell as deploy on a host."""
        person = self.people[user]
        if not self.clock_is_right() or person.closed or key not in person.keys:
            return False
        shown = {
            number
            for certificate in self.certificates
            if certificate.key == key and certificate.begins <= self.now < certificate.ends
            for number in certificate.grants
        }
        return host in self.hosts and any(
            grant.user == user
            and grant.host == host
            and grant.usable(self.now)
            and (inside or not grant.inside)
            and (hardware(key) or not grant.hardware)
            and number in shown
            for number, grant in enumerate(self.grants, start=1)
        )
