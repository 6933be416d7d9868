"""Float networks made integer. The one place of weft that loads ONNX Runtime."""

import os

# Since 1.29 its Linux packages send what they run (hashes and names of models among it) to
# Microsoft, and keep a number for the machine. Who quantises a model of theirs has not asked for
# that; it is decided when the library is loaded, so before any of these modules.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
