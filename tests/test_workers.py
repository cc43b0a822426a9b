"""Workers give every item a result or a reason, in order, and leave no process behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from everest.workers import Failure, Workers
from worker_acts import act, double, picture, sleepy


def living(pids: list[int]) -> list[int]:
    """Those of some processes that are not gone within 5 seconds."""
    until = time.monotonic() + 5
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def descendants() -> list[int]:
    """Processes whose parent is this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            continue
        if fields[1:2] == [str(os.getpid())] and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    before = set(descendants())
    yield
    assert not living([pid for pid in descendants() if pid not in before])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_results_come_in_the_order_of_items_whatever_the_number_of_processes(count: int) -> None:
    with Workers(sleepy, count=count) as workers:
        items = [0.05, 0.0, 0.02, 0.0, 0.01, 0.0]
        assert list(workers.map(items)) == items


@pytest.mark.parametrize("count", [0, 2])
def test_an_item_that_cannot_be_read_becomes_a_failure_with_its_reason(count: int) -> None:
    with Workers(act, count=count) as workers:
        assert list(workers.map(["a", "damaged", "no memory", "b"])) == [
            "a",
            Failure("a.mp4: damaged"),
            Failure("not enough memory"),
            "b",
        ]


@pytest.mark.parametrize("count", [0, 2])
def test_a_fault_of_the_program_is_raised_not_hidden_as_a_failure(count: int) -> None:
    with Workers(act, count=count) as workers, pytest.raises(KeyError, match="a fault of the"):
        list(workers.map(["a", "bug", "b"]))


def test_a_fault_in_a_process_tells_the_line_where_it_was_raised() -> None:
    with Workers(act, count=1) as workers, pytest.raises(KeyError) as raised:
        list(workers.map(["bug"]))
    assert 'raise KeyError("a fault of the program")' in raised.value.__notes__[0]


def test_after_a_fault_a_new_map_works() -> None:
    with Workers(act, count=1) as workers:
        with pytest.raises(KeyError):
            list(workers.map(["bug"]))
        assert list(workers.map(["a"])) == ["a"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("crash", "the reading process died (signal 11)"),
        ("killed", "the reading process died (signal 9)"),
        ("exit", "the reading process ended (exit code 3)"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_process_that_dies_costs_only_the_item_it_was_working_on(
    item: str, reason: str, count: int
) -> None:
    with Workers(act, count=count) as workers:
        results = list(workers.map(["a", item, "b", "c", item, "d", "e"]))
    assert results == ["a", Failure(reason), "b", "c", Failure(reason), "d", "e"]


@pytest.mark.parametrize("item", ["hang", "hang holding the interpreter"])
def test_a_process_that_hangs_is_replaced_after_the_deadline(item: str) -> None:
    began = time.monotonic()
    with Workers(act, count=2, deadline=0.3) as workers:
        results = list(workers.map(["a", item, "b", "c", "d"]))
    assert results == ["a", Failure("no new frame for 0.3 s"), "b", "c", "d"]
    assert time.monotonic() - began < 10


def test_work_longer_than_the_deadline_goes_on_while_it_gives_signs_of_life() -> None:
    with Workers(act, count=1, deadline=0.3) as workers:
        assert list(workers.map(["slow but alive", "a"])) == ["slow but alive", "a"]


def test_a_parent_that_is_away_longer_than_the_deadline_loses_no_result() -> None:
    with Workers(double, count=2, deadline=0.3) as workers:
        results = workers.map([np.full(200_000, item) for item in range(6)])
        assert next(results)[0] == 0
        time.sleep(0.8)
        assert [result[0] for result in results] == [2, 4, 6, 8, 10]


def test_processes_work_ahead_while_the_parent_is_away() -> None:
    with Workers(sleepy, count=1) as workers:
        results = workers.map([0.1] * 5, ahead=5)
        next(results)
        time.sleep(0.8)
        began = time.monotonic()
        assert list(results) == [0.1] * 4
        assert time.monotonic() - began < 0.2


def test_no_more_items_are_taken_than_were_allowed_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    with Workers(act, count=2) as workers:
        results = workers.map(items(), ahead=3)
        assert not taken
        next(results)
        assert len(taken) == 6
        next(results)
        assert len(taken) == 7


def test_arrays_come_back_equal_and_writable() -> None:
    with Workers(picture, count=1) as workers:
        for item, result in enumerate(workers.map(range(5))):
            assert (result["clip"] == item).all() and result["clip"].shape == (4, 64, 64, 3)
            result["clip"][0] = 0
            assert result["name"] == item


def test_items_larger_than_the_socket_travel_both_ways() -> None:
    large = [np.arange(3_000_000) + item for item in range(4)]
    with Workers(double, count=1) as workers:
        for item, result in zip(large, workers.map(large), strict=True):
            assert (result == item * 2).all()


def test_an_empty_list_of_items_gives_nothing() -> None:
    with Workers(act, count=1) as workers:
        assert list(workers.map([])) == []


def test_processes_are_kept_from_one_map_to_the_next() -> None:
    with Workers(act, count=1) as workers:
        first, second = list(workers.map(["pid"])), list(workers.map(["pid"]))
    assert first == second != [os.getpid()]


def test_leaving_a_map_early_ends_its_processes() -> None:
    workers = Workers(act, count=2)
    results = workers.map(["pid"] * 50)
    pid = next(results)
    assert _runs(pid)
    results.close()
    assert not living([pid])


def test_leaving_while_an_item_hangs_ends_its_process_at_once() -> None:
    began = time.monotonic()
    with Workers(act, count=1) as workers:
        pid = next(workers.map(["pid", "hang"]))
    assert not living([pid])
    assert time.monotonic() - began < 5


def test_forgotten_workers_end_their_processes() -> None:
    workers = Workers(act, count=1)
    (pid,) = workers.map(["pid"])
    del workers
    assert not living([pid])


def test_a_process_does_not_import_torch_unless_work_does() -> None:
    with Workers(act, count=1) as workers:
        (modules,) = workers.map(["modules"])
    assert not {"torch", "av", "matplotlib"} & set(modules)


def test_a_process_computes_with_one_thread() -> None:
    with Workers(act, count=1) as workers:
        assert list(workers.map(["threads"])) == ["1"]


def test_what_a_process_prints_does_not_reach_the_standard_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Workers(act, count=1) as workers:
        list(workers.map(["print"]))
    printed = capfd.readouterr()
    assert printed.out == ""


@pytest.mark.parametrize(
    "sent",
    [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP],
    ids=lambda sent: sent.name,
)
def test_signals_to_the_whole_group_are_for_the_parent_to_answer(sent: signal.Signals) -> None:
    with Workers(act, count=1) as workers:
        (pid,) = workers.map(["pid"])
        os.kill(pid, sent)
        assert list(workers.map(["pid"])) == [pid]


def test_a_worker_that_dies_idle_is_replaced_without_a_failure() -> None:
    with Workers(act, count=1) as workers:
        (pid,) = workers.map(["pid"])
        os.kill(pid, signal.SIGKILL)
        assert not living([pid])
        time.sleep(0.3)
        (other,) = workers.map(["pid"])
    assert isinstance(other, int) and other != pid


def test_work_that_cannot_be_sent_is_refused_before_a_process_starts() -> None:
    with pytest.raises((AttributeError, TypeError, ValueError)):
        list(Workers(lambda item, alive: item, count=1).map([1]))


def test_work_that_no_process_can_import_is_raised_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text("def work(item, alive):\n    return item\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import gone  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    with Workers(gone.work, count=2) as workers, pytest.raises(ModuleNotFoundError, match="gone"):
        list(workers.map([1]))


def test_processes_that_never_start_are_an_error_not_a_failure_of_every_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("everest.pool.CODE", "raise SystemExit(7)")
    with Workers(act, count=1) as workers, pytest.raises(RuntimeError, match="exit code 7"):
        list(workers.map(["a"]))


@pytest.mark.parametrize(("count", "deadline"), [(-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_impossible_counts_and_deadlines_are_refused(count: int, deadline: float) -> None:
    with pytest.raises(ValueError, match="must be 0 or more processes"):
        Workers(act, count=count, deadline=deadline)


SCRIPT = """
import os, sys
sys.path.insert(0, {tests!r})
from everest.workers import Workers
from worker_acts import act
print("imported", flush=True)
results = Workers(act, count=2).map(["pid", "pid", {last!r}, {last!r}])
for _ in range(2):
    print(next(results), flush=True)
{after}
"""


def _script(last: str, after: str) -> subprocess.Popen[str]:
    code = SCRIPT.format(tests=str(Path(__file__).parent), last=last, after=after)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("last", ["hang", "hang holding the interpreter", "a"])
def test_a_parent_killed_outright_leaves_no_process(last: str) -> None:
    with _script(last, "import time; time.sleep(60)") as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "imported\n"
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        time.sleep(0.2)
        parent.kill()
        parent.wait()
        assert not living(pids)


def test_a_script_without_a_guard_runs_once_and_ends_with_a_map_unfinished() -> None:
    with _script("a", "") as parent:
        out, _ = parent.communicate(timeout=20)
    lines = out.splitlines()
    assert parent.returncode == 0 and lines[0] == "imported" and len(lines) == 3
    assert not living([int(line) for line in lines[1:]])


def test_work_defined_in_the_script_itself_is_refused_with_what_to_do() -> None:
    code = (
        "from everest.workers import Workers\n"
        "def work(item, alive): return item\n"
        "try: list(Workers(work, count=1).map([1]))\n"
        "except ValueError as error: print(error)\n"
        "print(list(Workers(work, count=0).map([1])))\n"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert "put it into a module" in out and out.endswith("[1]\n")
