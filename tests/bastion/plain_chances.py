"""What people may come up with in `test_life`: who does it, by which key, and what changes."""

from datetime import timedelta

from hypothesis import strategies as st

from tests.bastion.plain_books import ACCOUNTS, BOOKS, HOSTS, HOUR, KEYS, MINUTE, PEOPLE
from tests.bastion.plain_things import Doer

names = st.sampled_from(list(PEOPLE))
hosts = st.sampled_from(HOSTS)
latest = st.integers(0, 3)
"""The newest, or one of those before it, as far as there are so many."""

durations = st.sampled_from([30 * MINUTE, HOUR, 2 * HOUR, 8 * HOUR])
kinds = st.sampled_from(["sk", "1", "1", "sk", "1", "2"])
signed_in = st.builds(
    lambda name, kind, ago: Doer(name, f"{name}-{kind}", ago),
    st.sampled_from(["bob", "cat", "dan", "sam", "ann"]),
    kinds,
    st.sampled_from([timedelta(), timedelta(), 2 * MINUTE, HOUR]),
)
those_who_ask = st.builds(
    lambda name, kind: Doer(name, f"{name}-{kind}"),
    st.sampled_from(["ann", "ann", "sam", "bob"]),
    kinds,
)
on_the_machine = st.sampled_from(["root", "kim", "ann-here"]).map(
    lambda account: Doer(ACCOUNTS.get(account, "os:root"), operator=True)
)
doers = st.one_of(signed_in, signed_in, on_the_machine)
some_doers = st.lists(doers, min_size=1, max_size=4)
sensible = st.permutations(["bob", "cat", "dan", "sam"]).map(
    lambda order: [Doer(name, f"{name}-sk") for name in order]
)
askers = st.sampled_from(["ann", "sam"])

Change = tuple[str, str, str]
changes: st.SearchStrategy[Change] = st.one_of(
    st.tuples(
        st.just("account"),
        names,
        st.sampled_from(["approver", "closed", "leads", "security", "contractors", *PEOPLE]),
    ),
    st.tuples(
        st.just("key"), st.sampled_from(KEYS), st.sampled_from(["os:root", "bob", "ann", "os:root"])
    ),
    st.tuples(st.just("rules"), st.sampled_from([*map(str, range(len(BOOKS)))]), st.just("")),
    st.tuples(st.just("host"), hosts, st.sampled_from(["1", "2", "2"])),
)
"""What comes or goes, or changes: of what kind, whose, and what of it or by whom."""
