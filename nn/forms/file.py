"""A file of any kind as an ONNX model."""

from pathlib import Path

from weft.nn.forms.tflite import load as load_tflite
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.onnx.model import OnnxModel
from weft.nn.onnx.model import load as load_onnx


def read(path: Path) -> OnnxModel:
    """The file as an ONNX model. Raises ModelError for what is no usable file."""
    return load_tflite(path) if is_tflite(path) else load_onnx(path)
