"""Why somebody outside can't be reached, in a few words and without anything that is secret."""

import os
import ssl

from bastion.notices import plain


def why(error: BaseException) -> str:
    """The innermost reason of `error`: a certificate that is not accepted, the system's word."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, BaseExceptionGroup):  # one for each address of a host
        return why(error.exceptions[0])
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({plain(error.verify_message, 120)})"
    if isinstance(error, ssl.SSLError):
        return f"TLS can't be spoken ({plain(error.reason or 'no reason', 120)})"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:  # a name that is not found
        return plain(error.strerror, 120)
    return type(error).__name__
