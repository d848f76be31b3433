"""What is wrong with a server's certificate, by OpenSSL's number and not by its words."""

from __future__ import annotations

import ssl

from holdgate_workers.app.faults import Fault

EXPIRED, NOT_YET = 10, 9
OTHER_NAME = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
"""Self-signed, or signed by an authority that is not known here."""


def certificate_fault(error: ssl.SSLCertVerificationError, *, host_in: str, ca_in: str) -> Fault:
    """The sentence about it. `host_in`: the variable with the address; `ca_in`: where an authority is made known."""
    code = error.verify_code
    if code == EXPIRED:
        return Fault("certificate_expired", "the server's certificate has expired", "renew it on the server")
    if code == NOT_YET:
        what = "the server's certificate is not valid yet"
        return Fault("certificate_not_yet", what, "see that the clocks of both machines are right")
    if code in OTHER_NAME:
        mend = f"use a name that is in the certificate in {host_in}, or give the server one for this name"
        return Fault("certificate_other_name", "the server's certificate is for another name", mend)
    if code in UNKNOWN_ISSUER:
        what = "the server's certificate is self-signed, or of an authority that is not known here"
        return Fault("certificate_unknown_issuer", what, f"name the file with its authority in {ca_in}")
    what = f"the server's certificate cannot be trusted (OpenSSL says {code})"
    return Fault("certificate", what, "correct it on the server")
