"""Small values at random, from so few names that they meet one another often."""

from datetime import time
from ipaddress import ip_network

from hypothesis import strategies as st

from bastion.inventory import Host, PublicKey, Role, Selector, User, parse_selector
from bastion.patterns import Pattern
from bastion.rules import Kind, Party
from bastion.templates import parse_template
from bastion.windows import Window
from tests.bastion.worlds import NOW, SECOND

USERS = ["ann", "bob", "cleo", "dan", "eve"]
GROUPS = ["leads", "ops", "web"]
HOSTS = ["web-1", "web-2", "web-10", "db-1", "db", "w"]
LABELS = [("env", "prod"), ("env", "test"), ("owner", "ann"), ("owner", "leads"), ("team", "Bob")]

users_names = st.sampled_from(USERS)
groups = st.sampled_from(GROUPS)
logins = st.sampled_from(["deploy", "root", "app"])
commands = st.sampled_from(
    list(map(parse_template, ["uptime", "ls /tmp", "df 'a b'", "ls {path:/tmp}", "df {words}"]))
)
networks = st.sampled_from(
    [
        ip_network(text)
        for text in ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "2001:db8::/32", "2001:db8::1/128")
    ]
)
patterns = st.sampled_from([Pattern("OPS-[0-9]+"), Pattern("(?i)inc"), Pattern(r"\\|\"x")])
windows = st.builds(
    Window,
    st.sampled_from([frozenset({0}), frozenset(range(5)), frozenset(range(7))]),
    st.sampled_from([time(), time(9), time(22)]),
    st.sampled_from([time(), time(12), time(18)]),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)
globs = st.text("web-10*?d", min_size=1, max_size=5).filter(
    lambda text: text[0] != "-" and set(text) & set("*?")
)
selectors = st.one_of(
    st.sampled_from(["*", "web-*", "web-?", "*-1", "db*", *HOSTS, "alias-1"]).map(parse_selector),
    globs.map(parse_selector),
    st.frozensets(st.sampled_from(LABELS), min_size=1, max_size=2).map(
        lambda labels: Selector(labels=labels)
    ),
)


def parties(*, asking: bool) -> st.SearchStrategy[Party]:
    """Whom a rule may name as asking, or as approving."""
    other = (
        st.just(Party(Kind.EVERYBODY))
        if asking
        else st.sampled_from(["owner", "team"]).map(lambda key: Party(Kind.LABEL, key))
    )
    return st.one_of(
        users_names.map(lambda name: Party(Kind.USER, name)),
        groups.map(lambda name: Party(Kind.GROUP, name)),
        other,
    )


def a_key(name: str, hardware: bool) -> PublicKey:
    """A key by its looks."""
    algorithm = "sk-ssh-ed25519@openssh.com" if hardware else "ssh-ed25519"
    return PublicKey(algorithm, name.encode(), f"SHA256:{name}", name)


@st.composite
def a_user(draw: st.DrawFn, name: str) -> User:
    """Somebody, perhaps closed, perhaps an approver."""
    others = [other for other in USERS if other != name]
    return User(
        name=name,
        roles=draw(st.sampled_from([frozenset({Role.APPROVER}), frozenset({Role.CONTRACTOR})])),
        groups=draw(st.frozensets(groups)),
        sponsor=draw(st.none() | st.sampled_from(others)),
        until=draw(st.sampled_from([None, None, NOW, NOW + SECOND])),
        disabled_at=draw(st.sampled_from([None, None, None, NOW])),
        enrolled_by=draw(st.none() | st.sampled_from(others)),
        keys=(a_key(name, draw(st.booleans())),),
    )


all_users = st.tuples(*(a_user(name) for name in USERS))


@st.composite
def a_host(draw: st.DrawFn, name: str) -> Host:
    """A host with some labels."""
    return Host(
        name=name,
        address="10.0.0.1",
        aliases=frozenset({f"alias-{name[-1]}"}) if name.startswith("web-") else frozenset(),
        labels=draw(st.frozensets(st.sampled_from(LABELS), max_size=3)),
    )


all_hosts = st.tuples(*(a_host(name) for name in HOSTS))
