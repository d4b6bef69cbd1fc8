"""The signer apart: a process under its own user that alone holds the CAs' private halves.

Its words: **body**, what is to be signed, as bytes; **limits**, what it signs, from a file of its
own; **book**, the file in which each signature stands before it leaves. The processes that
strangers speak to send it bodies over a socket. It takes each apart and judges it by itself: what
they say of it counts for nothing.

    frames    what goes over the socket         judge    whether a body is signed
    limits    `signer.toml`                     pace, serials    how often, and each once
    book      what was signed, chained          vault    keys and limits, as they are now
    desk      what is answered                  service  the process    client   its other end
"""
