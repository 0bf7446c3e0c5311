"""dnsmasq: the name server of a host."""
