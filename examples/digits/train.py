"""Train a small CNN on scikit-learn's 8x8 digits and write it as an int8 ONNX model (QDQ).

    pip install -e '.[train]'
    python examples/digits/train.py

writes ``digits.onnx``, ``digits_float.onnx``, ``digits_test.npz`` and ``digits_calibrate.npz``
beside this file and prints both accuracies. The images are split three ways before anything else:
training, and a held-out test part that neither training nor calibration sees (calibration uses
training images). Seeds are fixed and torch runs on
one thread, so that one version of torch on one machine writes the same bytes each time.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
INPUT, OUTPUT = "image", "logits"
SEED = 1
N_TEST = 360  # of 1797 images
N_CALIBRATE = 512
EPOCHS = 120
OPSET, IR_VERSION = 17, 8  # read by every ONNX Runtime of the last years


class DigitsNet(nn.Module):
    """[N, 1, 8, 8] -> [N, 10]: one operator of each kind that weft's engine has to run."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 16, 1)
        self.reduce = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(32, 32, 3, padding=1)
        self.classify = nn.Linear(32, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem(image))
        branch = functional.relu(self.depthwise(x))
        x = functional.relu(x + self.pointwise(branch))
        x = functional.relu(self.reduce(x))
        x = functional.relu(self.mix(x))
        return self.classify(x.mean(dim=(2, 3)))


def load_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, test images (float32 [n, 1, 8, 8] in 0..1), training labels, test labels."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    return train_test_split(
        images, digits.target, test_size=N_TEST, random_state=SEED, stratify=digits.target
    )


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The batch moved by -1, 0 or 1 pixel each way: the digits' borders are mostly empty."""
    padded = functional.pad(images, (1, 1, 1, 1))
    top, left = torch.randint(0, 3, (2,), generator=generator).tolist()
    return padded[:, :, top : top + 8, left : left + 8]


def train(images: np.ndarray, labels: np.ndarray) -> DigitsNet:
    """Train from a fixed seed; only the training part is looked at."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(SEED)
    net = DigitsNet()
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    batches = -(-len(x) // 64)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, EPOCHS * batches)
    for _ in range(EPOCHS):
        for picked in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            scores = net(shifted(x[picked], generator))
            functional.cross_entropy(scores, y[picked]).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def float_model(net: DigitsNet) -> onnx.ModelProto:
    """The trained network as plain float ONNX, written node by node: no exporter is needed."""
    parameters = {name: p.detach().numpy() for name, p in net.named_parameters()}

    def conv(layer: str, source: str, **attributes: Any) -> onnx.NodeProto:
        inputs = [source, f"{layer}.weight", f"{layer}.bias"]
        kernel = list(parameters[inputs[1]].shape[2:])
        return helper.make_node(
            "Conv", inputs, [layer], name=layer, kernel_shape=kernel, **attributes
        )

    def relu(source: str) -> onnx.NodeProto:
        return helper.make_node("Relu", [source], [f"{source}_relu"], name=f"{source}_relu")

    nodes = [
        conv("stem", INPUT, pads=[1, 1, 1, 1]),
        relu("stem"),
        conv("depthwise", "stem_relu", pads=[1, 1, 1, 1], group=16),
        relu("depthwise"),
        conv("pointwise", "depthwise_relu"),
        helper.make_node("Add", ["stem_relu", "pointwise"], ["residual"], name="residual"),
        relu("residual"),
        conv("reduce", "residual_relu", pads=[1, 1, 1, 1], strides=[2, 2]),
        relu("reduce"),
        conv("mix", "reduce_relu", pads=[1, 1, 1, 1]),
        relu("mix"),
        # Not ReduceMean: ONNX Runtime has an integer kernel for this one only.
        helper.make_node("GlobalAveragePool", ["mix_relu"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["features"], name="features"),
        helper.make_node(
            "Gemm",
            ["features", "classify.weight", "classify.bias"],
            [OUTPUT],
            name="classify",
            transB=1,
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(array, name) for name, array in parameters.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


class Calibration(quantization.CalibrationDataReader):
    """Training images one by one, in the form that ONNX Runtime's calibrator asks for."""

    def __init__(self, images: np.ndarray) -> None:
        self.feeds: Iterator[dict[str, np.ndarray]] = ({INPUT: image[None]} for image in images)

    def get_next(self) -> dict[str, np.ndarray]:
        return next(self.feeds, {})  # an empty feed ends the calibration


def quantised_model(model: onnx.ModelProto, images: np.ndarray) -> onnx.ModelProto:
    """int8 QDQ: activations per tensor and asymmetric, weights per channel and symmetric."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            target,
            Calibration(images),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )
        quantised = onnx.load(target)
    del quantised.opset_import[:]  # the quantiser lists domains that no node uses
    quantised.opset_import.append(helper.make_opsetid("", OPSET))
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def accuracy(model: onnx.ModelProto, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers in ONNX Runtime, int8 as int8: by default it turns activations to
    uint8 first, and saturates sums of their products on a CPU without VNNI."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (scores,) = session.run([OUTPUT], {INPUT: images})
    return float(np.mean(np.argmax(np.asarray(scores), axis=1) == labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=HERE, help="folder to write to")
    folder: Path = parser.parse_args().output
    train_images, test_images, train_labels, test_labels = load_split()
    plain = float_model(train(train_images, train_labels))
    quantised = quantised_model(plain, train_images[:N_CALIBRATE])
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(plain, folder / "digits_float.onnx")
    onnx.save(quantised, folder / "digits.onnx")
    np.savez_compressed(
        folder / "digits_calibrate.npz", allow_pickle=False, **{INPUT: train_images[:N_CALIBRATE]}
    )
    np.savez_compressed(
        folder / "digits_test.npz",
        allow_pickle=False,
        **{INPUT: test_images, "labels": test_labels.astype(np.int64)},
    )
    for name, model in (("float", plain), ("int8", quantised)):
        shares = (
            f"{part} {100 * accuracy(model, x, y):.2f} %"
            for part, x, y in (
                ("train", train_images, train_labels),
                ("test", test_images, test_labels),
            )
        )
        print(f"{name:5s} accuracy in ONNX Runtime: {', '.join(shares)}")


if __name__ == "__main__":
    main()
