"""weft: from a quantised ONNX network to an FPGA accelerator, with open tools only."""

__version__ = "0.1.0"
