"""The harness on a mock design: images, samples, stalls, faults, traces, the build cache."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from weft.errors import ConfigError, ToolError
from weft.sim_tb import verilator
from weft.sim_tb.job import Job, JobResult
from weft.sim_tb.run_folder import run_folder
from weft.sim_tb.simulate import Simulator, trace_format

MOCK = Path(__file__).parent / "mock_top.v"
LANES = 4
BAKED = 0x01000000  # what images/table.hex XORs onto every word


@pytest.fixture(scope="module")
def simulator(tmp_path_factory) -> Simulator:
    folder = tmp_path_factory.mktemp("simulator")
    (folder / "images").mkdir()
    (folder / "images" / "table.hex").write_text(f"{BAKED:08x}\n")
    return Simulator(
        sources=(MOCK,),
        lanes=LANES,
        workdir=folder / "work",
        image_dir=folder / "images",
        cache=folder / "cache",
    )


def make_job(
    n_words: int,
    *,
    samples: int = 1,
    latency: int = 10,
    constant: int = 0,
    error: int = 0,
    stalls: bool = False,
    max_cycles: int = 100_000,
    seed: int = 0,
) -> Job:
    """A job that sets the mock's four control words."""
    rng = np.random.default_rng(seed)
    return Job(
        images=np.array([(0, n_words), (1, latency), (2, constant), (3, error)], np.int64),
        inputs=rng.integers(0, 256, (samples, n_words, LANES)).astype(np.uint8),
        n_out=n_words,
        max_cycles=max_cycles,
        stalls=stalls,
    )


def expected(job: Job) -> np.ndarray:
    """What the mock gives: int8 [S, n_out, K]; lane 0 is the lowest byte of a word."""
    constant = int(job.images[2, 1]) ^ BAKED
    return (job.inputs ^ np.frombuffer(constant.to_bytes(LANES, "little"), np.uint8)).view(np.int8)


def check_clean(job: Job, result: JobResult) -> None:
    """Assert a result without faults, with the right outputs and counters."""
    samples = len(job.inputs)
    latency = int(job.images[1, 1])
    assert result.fault == ""
    assert not result.timeout
    assert result.violations == 0
    assert result.outputs.dtype == np.int8
    np.testing.assert_array_equal(result.outputs, expected(job))
    np.testing.assert_array_equal(result.cycles, [latency] * samples)
    np.testing.assert_array_equal(result.busy_cycles, [latency] * samples)


def test_one_binary_runs_many_jobs_with_many_samples(simulator):
    sizes = (1, 2, 5, 1024, 1, 100)
    jobs = [
        make_job(n, samples=1 + i % 3, latency=1 + 7 * i, constant=0x80FF017F * i % 2**32, seed=i)
        for i, n in enumerate(sizes)
    ]
    results = simulator.run(jobs)
    assert len(results) == len(jobs)
    for job, result in zip(jobs, results, strict=True):
        check_clean(job, result)
        words = job.inputs.shape[1]
        np.testing.assert_array_equal(result.load_cycles, [words] * len(job.inputs))
        np.testing.assert_array_equal(result.read_cycles, [words] * len(job.inputs))


def test_stalls_change_the_timing_and_not_the_result(simulator):
    jobs = [make_job(n, samples=3, stalls=True, seed=n) for n in (1, 33, 500)]
    results = simulator.run(jobs)
    for job, result in zip(jobs, results, strict=True):
        check_clean(job, result)
    assert np.all(results[-1].load_cycles > 600)
    assert np.all(results[-1].read_cycles > 600)
    assert len(set(results[-1].load_cycles.tolist())) > 1


def test_runs_are_deterministic_and_independent_of_position(simulator):
    job = make_job(64, samples=2, stalls=True)
    first = simulator.run([job])
    again = simulator.run([make_job(9), job, job])
    assert again[1] == first[0]
    assert again[2] == first[0]


def test_a_job_without_images_keeps_the_network(simulator):
    job = make_job(8, samples=2, constant=0x11223344)
    repeated = job.replace(images=np.zeros((0, 2), np.int64))
    first, second = simulator.run([job, repeated])
    assert first == second
    check_clean(job, second)


def test_timeout_ends_its_job_only(simulator):
    slow = make_job(4, samples=3, latency=5000, max_cycles=1000)
    hungry = make_job(8, samples=2)  # offers 8 words to a design that takes 4
    hungry = hungry.replace(images=make_job(4).images, max_cycles=300)
    mute = make_job(4).replace(n_out=5, max_cycles=200)
    good = make_job(6, samples=2, constant=0x55, stalls=True)
    results = simulator.run([slow, good, hungry, good, mute, good])
    faults = [result.fault for result in results]
    assert faults == [
        "sample 0 took more than 1000 cycles, waiting for the outputs and busy to fall (4 of 4 "
        "input words accepted, 0 of 4 output words received)",
        "",
        "sample 0 took more than 300 cycles, waiting for in_ready (4 of 8 input words accepted, "
        "0 of 8 output words received)",
        "",
        "sample 0 took more than 200 cycles, waiting for the outputs and busy to fall (4 of 4 "
        "input words accepted, 4 of 5 output words received)",
        "",
    ]
    assert [result.timeout for result in results] == [True, False] * 3
    assert results[0].outputs.shape == (0, 4, LANES)
    assert results[4].cycles.shape == (0,)
    for index in (1, 3, 5):
        check_clean(good, results[index])


def test_max_cycles_is_exact(simulator):
    needed = 4 + 20 + 4 + 3  # load, run, read; raising and taking start and the end: one cycle each
    limits = range(needed - 2, needed + 3)
    results = simulator.run([make_job(4, latency=20, max_cycles=limit) for limit in limits])
    assert [result.timeout for result in results] == [True, True, False, False, False]


def test_output_stream_rules_are_checked(simulator):
    extra = make_job(4, samples=2, error=1)
    changing = make_job(40, error=2, stalls=True)
    result = simulator.run([extra, changing])
    assert [r.violations > 0 for r in result] == [True, True]
    assert result[0].fault == (
        "in 4 cycles the output stream dropped or changed a waiting word or offered a word too many"
    )
    np.testing.assert_array_equal(result[0].outputs, expected(extra))
    assert np.any(result[1].outputs != expected(changing))


def test_a_wrong_cycle_counter_shows(simulator):
    (result,) = simulator.run([make_job(4, latency=17, error=3)])
    assert result.cycles.tolist() == [18]
    assert result.busy_cycles.tolist() == [17]


def test_foreign_settings_do_not_reach_the_tools(simulator, monkeypatch):
    for name in ("WAVES", "GUI", "MAKEFLAGS", "COCOTB_TEST_FILTER", "SIM_CMD_PREFIX"):
        monkeypatch.setenv(name, "no_such_thing" if name != "WAVES" else "1")
    before = dict(os.environ)
    job = make_job(3)
    check_clean(job, simulator.run([job])[0])
    assert dict(os.environ) == before


def test_wrong_lanes_and_no_jobs(simulator):
    job = make_job(3).replace(inputs=np.zeros((1, 3, 5), np.int8))
    with pytest.raises(ValueError, match=r"^job 1 has words of 5 lanes, not 4$"):
        simulator.run([make_job(3), job])
    assert simulator.run([]) == []


def test_trace_records_the_signals(simulator, tmp_path):
    """Under the very name that was given."""
    path = tmp_path / "signals.of.a run"
    traced = dataclasses.replace(simulator, trace=path, workdir=tmp_path)
    job = make_job(3)
    check_clean(job, traced.run([job])[0])
    assert path.stat().st_size > 1000
    if not traced.tools.fst:
        assert "start_valid" in path.read_text()


def test_trace_format(simulator):
    fst, vcd = (simulator.tools.replace(fst=value) for value in (True, False))
    asked = [(Path(name), tools) for name in ("a.vcd", "a.VCD", "a", "a.b") for tools in (fst, vcd)]
    assert [trace_format(path, tools) for path, tools in asked] == [
        *("vcd", "vcd"),
        *("vcd", "vcd"),
        *("fst", "vcd"),
        *("fst", "vcd"),
    ]
    assert trace_format(None, fst) == ""
    assert trace_format(Path("a.fst"), fst) == "fst"
    with pytest.raises(ConfigError) as caught:
        trace_format(Path("a.fst"), vcd)
    assert str(caught.value) == (
        "a.fst: FST traces need the headers of lz4 and zlib (on Debian or Ubuntu: apt install "
        "liblz4-dev zlib1g-dev); name the file .vcd for the other format"
    )


def test_unchanged_build_is_reused(simulator, monkeypatch):
    folder = simulator.build()

    def no_runner(_):
        raise AssertionError("built again")

    monkeypatch.setattr(verilator, "get_runner", no_runner)
    assert simulator.build() == folder
    assert dataclasses.replace(simulator, lanes=LANES).build() == folder


def test_build_key_follows_the_content(simulator, tmp_path):
    tools = simulator.tools
    copy = tmp_path / "copy.v"
    copy.write_text(MOCK.read_text())
    base = verilator.Build(sources=(MOCK,), lanes=4)
    assert verilator.Build(sources=(copy,), lanes=4).key(tools) == base.key(tools)
    copy.write_text(MOCK.read_text() + "\n")
    others = [
        verilator.Build(sources=(copy,), lanes=4).key(tools),
        verilator.Build(sources=(MOCK,), lanes=8).key(tools),
        verilator.Build(sources=(MOCK,), lanes=4, trace="vcd").key(tools),
        base.key(tools.replace(verilator_version="other")),
        base.key(tools.replace(compiler_version="other")),
    ]
    assert len({base.key(tools), *others}) == 6


def test_a_design_that_does_not_build(simulator, tmp_path):
    source = tmp_path / "broken.v"
    source.write_text("module weft_top(input clk);\n  assign nothing = missing_name;\nendmodule\n")
    broken = dataclasses.replace(simulator, sources=(source,), cache=tmp_path / "cache")
    with pytest.raises(ToolError) as caught:
        broken.build()
    text = str(caught.value)
    assert text.startswith(f"building the simulation with {simulator.tools.verilator} failed (")
    assert "missing_name" in text
    (log,) = (tmp_path / "cache").glob("*.log")
    assert f"log: {log}" in text
    assert sorted((tmp_path / "cache").iterdir()) == [log]  # nothing half-built


def test_a_simulation_that_dies(simulator, tmp_path):
    without = dataclasses.replace(simulator, image_dir=None, workdir=tmp_path)
    with pytest.raises(ToolError) as caught:
        without.run([make_job(3)])
    assert "images/table.hex" in str(caught.value)
    assert f"log: {tmp_path / 'run' / 'simulation.log'}" in str(caught.value)


def test_folders_that_make_cannot_take(simulator, tmp_path, monkeypatch):
    """Built elsewhere; sources, cache and work folder are where they were asked for."""
    odd = tmp_path / "my $(X) 'é\": #%"
    odd.mkdir()
    source = odd / "mock top.v"
    source.write_text(MOCK.read_text())
    own = dataclasses.replace(simulator, sources=(source,), workdir=odd / "w", cache=odd / "c")
    job = make_job(3, samples=2)
    check_clean(job, own.run([job])[0])
    assert [path.parent for path in odd.rglob("weft_tb")] == [own.build()]
    assert not list(odd.rglob(".weft-*"))
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(own, cache=odd / "d").build()
    assert str(caught.value) == (
        f"make cannot work in {odd / 'd'}, nor in {odd}: set TMPDIR to a folder with letters, "
        "digits and _ . + - / in its path"
    )


def test_runs_side_by_side(tmp_path):
    """Each has a folder of its own, and only the first one's stays."""
    with run_folder(tmp_path) as first, run_folder(tmp_path) as second:
        assert (first.name, second.name) == ("run", "run-2")
        (first / "file").touch()
        (first / "images").symlink_to(tmp_path / "images")
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "mine").touch()
    with pytest.raises(KeyError), run_folder(tmp_path), run_folder(tmp_path):
        raise KeyError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "run", "run-2"]
    with run_folder(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "run"]
    assert (tmp_path / "images" / "mine").is_file()


def test_missing_source(simulator, tmp_path):
    source = tmp_path / "none.v"
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(simulator, sources=(source,)).build()
    assert str(caught.value) == f"Verilog source {source} does not exist"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": np.zeros((1, 2), np.int8)}, r"int8 or uint8 array \[S, n_in, K\]"),
        ({"inputs": np.zeros((1, 2, 4), np.int16)}, r"int8 or uint8 array \[S, n_in, K\]"),
        ({"inputs": np.zeros((0, 2, 4), np.int8)}, "must be positive"),
        ({"n_out": 0}, "must be positive"),
        ({"max_cycles": 0}, r"max_cycles must be in 1..2\*\*32-1, not 0"),
        ({"images": np.zeros((3, 3), np.int64)}, r"int64 array \[n, 2\]"),
        ({"images": np.array([[1 << 32, 0]])}, "32 bits"),
        ({"images": np.array([[0, 1 << 36]])}, "36 bits"),
        ({"images": np.array([[0, -1]])}, "36 bits"),
    ],
)
def test_job_is_checked(change, message):
    with pytest.raises(ValueError, match=message):
        make_job(2).replace(**change)
