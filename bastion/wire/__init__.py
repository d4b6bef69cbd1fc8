"""asyncssh, mended and made fast: the only rooms that touch its private side.

    packets      the packet layer (RFC 4253): a fast road for channel data, back pressure
    gathering    what the packets of one reading carry, put together
    gcm          AES-GCM, with contexts for those who work
    slots        where what asyncssh's constructors set stands
    channels     the channel layer (RFC 4254): bounded windows, faithful start requests
    connections  the three kinds of connection that are built of them

They are subclasses of asyncssh 2.24's own classes, never patches. Whatever is not plain channel
data still goes through asyncssh's own code. Nothing here knows a user, a policy or a recording.
"""
