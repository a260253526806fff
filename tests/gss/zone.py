# Makes a zone as Windows does: in the directory, for secure updates only. Straight to the RPC port of Samba,
# because its own tool asks the endpoint mapper, which is always on port 135.
import sys

from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.dcerpc import dnsp, dnsserver
from samba.param import LoadParm

configuration, port, server, zone, password = sys.argv[1:]
parameters = LoadParm()
parameters.load(configuration)
credentials = Credentials()
credentials.guess(parameters)
credentials.set_username("Administrator")
credentials.set_password(password)
credentials.set_kerberos_state(DONT_USE_KERBEROS)
connection = dnsserver.dnsserver(f"ncacn_ip_tcp:127.0.0.1[{port},sign]", parameters, credentials)
new = dnsserver.DNS_RPC_ZONE_CREATE_INFO_LONGHORN()
new.pszZoneName = zone
new.dwZoneType = dnsp.DNS_ZONE_TYPE_PRIMARY
new.fDsIntegrated = 1
new.fLoadExisting = 1
new.fAllowUpdate = dnsp.DNS_ZONE_UPDATE_SECURE
new.dwDpFlags = dnsserver.DNS_DP_DOMAIN_DEFAULT
version, kind = dnsserver.DNS_CLIENT_VERSION_LONGHORN, dnsserver.DNSSRV_TYPEID_ZONE_CREATE
connection.DnssrvOperation2(version, 0, server, None, 0, "ZoneCreate", kind, new)
