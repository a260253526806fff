"""Transfers a zone with dnspython and says what came, as `clients.rs` reads it.

Arguments: ADDRESS PORT ZONE TYPE SERIAL NAME SECRET CASE. The zone ends with a dot; type is AXFR or IXFR; a
case is `good`, `late` (the clock is an hour behind) or `truncated` (a MAC of half the length, by hand).
"""
import socket
import struct
import sys
import time

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsigkeyring

address, port, zone, kind, serial, name, secret, case = sys.argv[1:]
port, serial = int(port), int(serial)
query = dns.message.make_query(zone, kind)
if kind == "IXFR":
    query.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
if name:
    query.use_tsig(dns.tsigkeyring.from_text({name: ("hmac-sha256", secret)}))
clock = time.time
if case == "late":
    time.time = lambda: clock() - 3600
wire = query.to_wire()
time.time = clock
if case == "truncated":
    # The TSIG record is the last: name, type, class, TTL, length, algorithm, time, fudge, size, MAC, id,
    # error, length of other data.
    mac = query.mac
    place = wire.rindex(struct.pack("!H", len(mac)) + mac)
    rest = wire[place + 2 + len(mac):]
    wire = wire[:place] + struct.pack("!H", len(mac) // 2) + mac[: len(mac) // 2] + rest
    # The length of the record's data is behind its name, type, class and TTL.
    start = wire.rindex(b"\x0bhmac-sha256\x00")
    length = struct.unpack("!H", wire[start - 2:start])[0] - len(mac) // 2
    wire = wire[: start - 2] + struct.pack("!H", length) + wire[start:]

stream = socket.create_connection((address, port), 10)
stream.sendall(struct.pack("!H", len(wire)) + wire)


def receive(count):
    octets = b""
    while len(octets) < count:
        octets += stream.recv(count - len(octets)) or sys.exit("closed")
    return octets


records, context = [], None
while True:
    message = receive(struct.unpack("!H", receive(2))[0])
    try:
        response = dns.message.from_wire(
            message, keyring=query.keyring, request_mac=query.mac, xfr=True, tsig_ctx=context,
            multi=True, one_rr_per_rrset=True)
    except dns.exception.DNSException as error:
        sys.exit(f"{type(error).__name__} {dns.rcode.to_text(message[3] & 15)}")
    if response.rcode() != 0:
        sys.exit(f"{dns.rcode.to_text(response.rcode())} signed={response.had_tsig}")
    context = response.tsig_ctx
    for rrset in response.answer:
        records.append(f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)} {rrset[0]}")
    last = response.answer[-1]
    if last.rdtype == dns.rdatatype.SOA and (len(records) > 1 or kind == "IXFR") and last[0].serial == int(
            records[0].split()[4]):
        break
if name and not response.had_tsig:
    sys.exit("not signed")
print("\n".join(records))
