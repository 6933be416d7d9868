"""``weft.core``: a build as a core for FuseSoC."""

# Ref: FuseSoC's reference of the core file format CAPI2

import re
from collections.abc import Iterable
from typing import Any

import yaml

import weft
from weft.gen import hardware, soc

FILE_TYPE = "verilogSource"


def core_file(network: str, sources: Iterable[str], images: Iterable[str]) -> str:
    """The text of ``weft.core``. sources: Verilog of ``weft_top``; images: for $readmemh."""
    rtl = {"files": list(sources), "file_type": FILE_TYPE}
    bus = {"files": [f"rtl/{soc.TOP}.v"], "file_type": FILE_TYPE}
    data = {"files": [{name: {"file_type": "user", "copyto": name}} for name in images]}
    core: dict[str, Any] = {
        "name": f"weft:networks:{core_name(network)}:{weft.__version__}",
        "description": "Neural network accelerator with a Wishbone bus",
        "filesets": {"rtl": rtl, "bus": bus, "images": data},
        "targets": {
            "default": {"filesets": ["rtl", "bus", "images"], "toplevel": soc.TOP},
            "without_bus": {"filesets": ["rtl", "images"], "toplevel": hardware.TOP},
            "lint": {
                "filesets": ["rtl", "bus", "images"],
                "toplevel": soc.TOP,
                "flow": "lint",
                "flow_options": {"tool": "verilator", "verilator_options": ["-Wno-fatal"]},
            },
        },
    }
    return "CAPI=2:\n" + yaml.safe_dump(core, sort_keys=False, width=100)


def core_name(network: str) -> str:
    """A network's name in the characters that a core's name may have."""
    return re.sub("[^A-Za-z0-9_-]+", "_", network).strip("_") or "network"
