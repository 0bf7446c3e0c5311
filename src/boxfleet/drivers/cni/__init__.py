"""CNI: the network of a host by the standard plug-ins, with addresses from the ledger."""
