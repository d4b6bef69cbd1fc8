"""Evidence packs: all that is known of a grant in one signed tar, for who trusts nobody.

facts       what goes in, as it was found: dossier, recordings, proof, findings
gathering   finds them, and judges everything before anything is written
documents   the facts as JSON and CSV
page        all of it to be read offline;  markup, style  what that is made of
recordings  the files of sessions;  transcribing  what they showed, as text
words       what is proved and what is not;  readme  how to verify it
tarball     the tar, written aside, and the sums of what is in it
packing     what goes in, in which order, and the one signature over it

It is read with `sha256sum` and `ssh-keygen`, and needs nothing of ours.
"""

from cli.evidence.verb import evidence

__all__ = ["evidence"]
