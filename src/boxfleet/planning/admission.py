"""Which rules beside other objects there are, by the qualified name of the kind."""

from collections.abc import Mapping

from boxfleet.api import address, address_pool, admission
from boxfleet.planning import address_admission, pool_admission

RULES: Mapping[str, admission.Rules] = {
    address_pool.AddressPool.KIND.qualified: admission.Rules(
        write=pool_admission.write_errors, delete=pool_admission.kept_by
    ),
    address.Address.KIND.qualified: admission.Rules(write=address_admission.write_errors),
}
