"""The bastion: who may reach what, and the SSH doors that hold it. Its words:

user        a person, known by the key that signed; never by the name that was typed
login       an account on a
host        a target in the inventory
grant       G-7: who may reach which hosts, as which logins, doing what, until when
connection  C-31: one jump through the bastion, answered by a
hop         the inner server that speaks as the target, in front of our own
upstream    connection to it; between the two a relay carries each
session     S-31, which is recorded before it is forwarded

    Knock ─may_reach─▶ Reach ─may_login─▶ Permit ─may_run─▶ Run ─▶ relay

It knows nothing of a command line; what it records it hands down to `recorder`.
"""
