"""report.html: every figure is report.json's, charts can be drawn, nothing is from outside."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from tests.report.support import SIZES, SYNTHESIS, placed, read_report
from weft.gen.build_dir import Build
from weft.report.charts import charts
from weft.report.figures import FORMATS, lookup
from weft.report.grow import begin, grow, look_for_changes
from weft.report.page import page

EVALUATION = {
    "data": "test.npz",
    "samples": 3,
    "labels": True,
    "output": "logits",
    "base": "float network",
    "runs": [
        {"run": "float network", "samples": 3, "top1": 1.0, "agreement": 1.0, "sqnr_db": None,
         "equal": 1.0},
        {"run": "weft", "samples": 3, "top1": 0.6667, "agreement": 0.6667, "sqnr_db": 31.5,
         "equal": 0.0},
    ],
    "layers": [
        {"layer": "stem", "sqnr_db": 40.1, "lost_db": 2.5, "differ": 0.0},
        {"layer": "mix", "sqnr_db": 33.0, "lost_db": 7.1, "differ": 0.001},
    ],
    "worst": {"layer": "mix", "sqnr_db": 33.0, "lost_db": 7.1, "differ": 0.001},
    "confusion": [[2, 0], [1, 0]],
    "rtl": {"samples": 2, "bit_exact": True, "cycles": 1, "predicted_cycles": 1},
    "notes": ["this CPU has no VNNI"],
}  # fmt: skip
SECTIONS = (
    "answer", "change", "network", "timeline", "efficiency", "memory", "weights", "resources",
    "accuracy", "traffic", "steps", "reproduce",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build that has seen everything."""
    folder = tmp_path_factory.mktemp("page") / "build"
    build = placed(folder)
    look_for_changes(build)
    cycles = read_report(folder)["prediction"]["cycles"]
    seen = {"bit_exact": True, "samples": 4, "cycles": cycles, "predicted_cycles": cycles}
    grow(folder, "simulate", "weft simulate BUILD", simulation=seen)
    grow(folder, "synth", "weft synth BUILD", synthesis=SYNTHESIS)
    rtl = {**EVALUATION["rtl"], "cycles": cycles, "predicted_cycles": cycles}
    grow(folder, "evaluate", "weft evaluate BUILD", evaluation=EVALUATION | {"rtl": rtl})
    return folder


class Reader(HTMLParser):
    """The page's figures, and the text of its cells that is in none of them."""

    def __init__(self, text: str):
        super().__init__()
        self.figures: list[tuple[str, str, str]] = []
        self.loose: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []
        self._figure: tuple[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[key] for key in ("src", "href") if key in values]
        if "data-path" in values:
            self._figure = (values["data-path"], values["data-form"])
            self.figures.append((*self._figure, ""))
        if tag not in ("meta", "br", "link"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()
        if tag == "span":
            self._figure = None

    def handle_data(self, data: str) -> None:
        if self._figure is not None:
            self.figures[-1] = (*self._figure, data)
        elif "td" in self._open or "h1" in self._open:
            self.loose.append(data)


@pytest.fixture(scope="module")
def read(folder: Path) -> Reader:
    return Reader((folder / "report.html").read_text("utf-8"))


def test_every_figure_is_the_reports(folder: Path, read: Reader) -> None:
    report = read_report(folder)
    assert len(read.figures) > 300
    for path, form, text in read.figures:
        value = lookup(report, path)
        assert text == ("-" if value is None else FORMATS[form](value)), path
    shown = {path: text for path, _, text in read.figures}
    assert shown["answer.cycles"] == f"{report['prediction']['cycles']:,}"
    assert shown["answer.exact.verdict"] == "bit-exact"
    assert shown["synthesis.timing.fmax_mhz"] == "81.30"
    assert [text for text in read.loose if re.search(r"\d", text)] == []


def test_every_section_and_chart_has_its_place(folder: Path, read: Reader) -> None:
    drawn = charts(read_report(folder))
    assert {*SECTIONS, *(f"chart-{name}" for name in drawn)} <= set(read.ids)
    assert len(set(read.ids)) == len(read.ids)
    assert len(drawn) == 12


def test_charts_show_the_reports_figures(folder: Path) -> None:
    report = read_report(folder)
    drawn = charts(report)
    steps = report["analysis"]["steps"]
    taps = [row for row in drawn["timeline"]["data"]["values"] if row["phase"] == "taps"]
    assert [(row["from"], row["to"]) for row in taps] == [(r["begin"], r["issued"]) for r in steps]
    assert [row["efficiency"] for row in drawn["gap"]["data"]["values"]] == [
        row["efficiency"] for row in steps
    ]
    assert (
        sum(row["cycles"] for row in drawn["parts"]["data"]["values"])
        == (report["prediction"]["cycles"])
    )
    used = {row["resource"]: row["used"] for row in drawn["resources"]["data"]["values"]}
    assert used["lut"] == SYNTHESIS["lut"]


@pytest.mark.parametrize("name", ["timeline", "resources", "network", "roofline", "confusion"])
def test_charts_are_vega_lite(folder: Path, name: str) -> None:
    assert vl_convert.vegalite_to_vega(charts(read_report(folder))[name])["marks"]


def test_the_page_stands_alone(folder: Path, read: Reader) -> None:
    assert all(link.startswith("#") for link in read.links)
    assert {link[1:] for link in read.links} <= set(read.ids)
    text = (folder / "report.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert len(text) < 1_500_000


def test_the_same_report_gives_the_same_page(folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")
    assert page(read_report(folder)) == text
    report = read_report(folder)
    assert page(json.loads(json.dumps(report, sort_keys=True))) != ""


def test_a_page_before_anything_is_known(tmp_path: Path) -> None:
    placed(tmp_path / "new")
    first = (tmp_path / "new" / "report.html").read_text("utf-8")
    report = read_report(tmp_path / "new")
    assert report["answer"]["exact"] == {
        "verdict": "not checked yet", "checked": False, "samples": 0
    }  # fmt: skip
    assert report["answer"]["next"] == "weft simulate BUILD"
    assert "No data were given yet" in first
    placed(tmp_path / "again")
    assert (tmp_path / "again" / "report.html").read_text("utf-8") == first
    assert (tmp_path / "again" / "report.json").read_bytes() == (
        tmp_path / "new" / "report.json"
    ).read_bytes()


def test_names_are_text(tmp_path: Path) -> None:
    """Names of networks come from strangers."""
    build = placed(tmp_path / "build")
    bad = "</script><script>alert(1)</script>\"'\\u2028${x}"
    plan = build.plan.replace(
        network=bad, steps=tuple(step.replace(name=bad) for step in build.plan.steps)
    )
    hostile = Build(folder=build.folder, graph=build.graph, plan=plan, manifest=build.manifest)
    begin(hostile, SIZES, {})
    text = (tmp_path / "build" / "report.html").read_text("utf-8")
    assert "<script>alert" not in text
    assert "alert(1)" in text
    report: dict[str, Any] = read_report(tmp_path / "build")
    assert vl_convert.vegalite_to_vega(charts(report)["parts"])["marks"]


def test_what_differs_is_said(tmp_path: Path) -> None:
    placed(tmp_path)
    cycles = read_report(tmp_path)["prediction"]["cycles"]
    for seen, verdict in (
        ({"bit_exact": False, "samples": 2, "cycles": cycles}, "outputs differ from the reference"),
        (
            {"bit_exact": True, "samples": 2, "cycles": cycles + 1},
            "bit-exact, but the cycles are not those predicted",
        ),
    ):
        grow(tmp_path, "simulate", "weft simulate BUILD", simulation=seen)
        exact = read_report(tmp_path)["answer"]["exact"]
        assert (exact["verdict"], exact["good"]) == (verdict, False)
        assert verdict in (tmp_path / "report.html").read_text("utf-8")


def test_a_design_that_is_too_large(tmp_path: Path) -> None:
    placed(tmp_path)
    grow(tmp_path, "synth", "weft synth BUILD", synthesis=SYNTHESIS | {"lut": 30_000})
    fit = read_report(tmp_path)["answer"]["fit"]
    assert (fit["fits"], fit["by"], fit["resource"]) == (False, "synthesised", "lut")
    assert fit["share"] > 1
