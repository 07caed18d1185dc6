"""gss_ntlm.py USER [BINDING] - the client's side of NTLM by gss-ntlmssp, as a filter: prints its first message, reads the
server's challenge, prints its answer; each a line of base64. The password is in $GATEPOST_PASSWORD; BINDING is what the
connection is bound to. For Debian's own Python, whose module gssapi is."""
import base64
import os
import sys

import gssapi
from gssapi.raw import ChannelBindings, acquire_cred_with_password

NTLMSSP = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")


def say(octets):
    print(base64.b64encode(octets).decode(), flush=True)


def main(user, binding=""):
    name = gssapi.Name(user, gssapi.NameType.user)
    got = acquire_cred_with_password(name, os.environ["GATEPOST_PASSWORD"].encode(), mechs=[NTLMSSP], usage="initiate")
    context = gssapi.SecurityContext(
        name=gssapi.Name("smtp@mx.example.test", gssapi.NameType.hostbased_service), usage="initiate", mech=NTLMSSP,
        creds=gssapi.Credentials(got.creds),
        flags=gssapi.RequirementFlag.mutual_authentication,  # any but the usual, which ask for signing
        channel_bindings=ChannelBindings(application_data=base64.b64decode(binding)) if binding else None)
    say(context.step())
    say(context.step(base64.b64decode(sys.stdin.readline())))


if __name__ == "__main__":
    main(*sys.argv[1:])
