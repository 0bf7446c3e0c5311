"""Whose machine it is: by the firmware, and by what cloud-init has left on disk. Nothing is asked over the network."""

import pathlib
from typing import Any

import msgspec

from boxfleet.agent.node.found import files
from boxfleet.api import labels as names

# By vendor, product, version or asset tag of the firmware.
_PROVIDERS = (
    ("amazon", "aws"),
    ("google", "gcp"),
    ("7783-7084-3265-9085-8269-3286-77", "azure"),
    ("alibaba cloud", "alibaba"),
    ("oraclecloud", "oracle"),
    ("digitalocean", "digitalocean"),
    ("hetzner", "hetzner"),
    ("scaleway", "scaleway"),
    ("exoscale", "exoscale"),
    ("upcloud", "upcloud"),
    ("vultr", "vultr"),
    ("akamai", "akamai"),
    ("linode", "akamai"),
    ("openstack", "openstack"),
)
# cloud-init's word for what it does not know (its page on instance metadata).
_UNKNOWN = ("", "unknown", "none")


def labels(root: pathlib.Path) -> dict[str, str]:
    """Vendor, product and provider; type, zone and region by their standard names."""
    folder = root / "sys/class/dmi/id"
    vendor, product, version, tag = (
        files.text(folder / name) for name in ("sys_vendor", "product_name", "product_version", "chassis_asset_tag")
    )
    said = f"{vendor} {product} {version} {tag}".lower()
    provider = next((name for words, name in _PROVIDERS if words in said), "")
    general, special = _cloud_init(root)
    # There it is the type, as in m5.large.
    usual = product if vendor == "Amazon EC2" else ""
    return {
        "vendor": vendor,
        "product": product,
        "cloud.provider": provider or _word(general, "cloud_name"),
        names.INSTANCE_TYPE: _word(special, "instance-type") or _word(special, "instance_type") or usual,
        names.REGION: _word(general, "region"),
        names.ZONE: _word(general, "availability_zone"),
    }


def _cloud_init(root: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is the same for all clouds, and what this one says besides."""
    try:
        said = msgspec.json.decode(files.text(root / "run/cloud-init/instance-data.json"))
        return _table(said, "v1"), _table(_table(said, "ds"), "meta_data")
    except msgspec.DecodeError:
        return {}, {}


def _table(of: object, name: str) -> dict[str, Any]:
    found = of.get(name) if isinstance(of, dict) else None
    return found if isinstance(found, dict) else {}


def _word(of: dict[str, Any], name: str) -> str:
    found = of.get(name)
    return found if isinstance(found, str) and found.lower() not in _UNKNOWN else ""
