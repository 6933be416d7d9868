"""Vega-Lite as one script, for pages that need no network."""

import hashlib
import importlib.metadata
from contextlib import suppress
from pathlib import Path

import platformdirs

from weft.errors import ConfigError
from weft.gen.output import write_file

SNIPPET = "window.vegaEmbed = vegaEmbed;"
END = "\n//# end of the charts' library\n"


def script() -> str:
    """vega, vega-lite and vega-embed, bundled by vl-convert: the same text for the same version.

    Bundling takes seconds, so that the text is kept in the user's cache.
    """
    import vl_convert

    version = importlib.metadata.version("vl-convert-python")
    key = hashlib.sha256(f"{version} {SNIPPET}".encode()).hexdigest()[:16]
    kept = Path(platformdirs.user_cache_dir("weft")) / f"vega-{key}.js"
    try:
        text = kept.read_text(encoding="utf-8")
        if text.endswith(END):
            return text
    except (OSError, ValueError):
        pass
    # Inside of a page nothing may look like the script's end.
    text = vl_convert.javascript_bundle(SNIPPET).replace("</script", "<\\/script") + END
    with suppress(ConfigError):  # a cache that cannot be written is none
        write_file(kept, text)
    return text
