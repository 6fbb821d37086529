"""The native policies of pools and keepers: each scenario of tests/pool, where
pool.tsv describes the lines.

What a driver does not report, or learns elsewhere, is not compared: the results of
most events, and the order of the actions of one event.  A task is sent in C: its
message is read at the other end of the worker's pipe."""

import errno
import pathlib

import gipc
import pytest
from gipc import _native
from gipc._native import READ
from gipc._pipe import adopt_handle, handle_classes

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "pool"
KINDS = {value: name[7:].lower() for name, value in vars(_native).items()
         if name.startswith("ACTION_")}
WHYS = {value: name[4:].lower() for name, value in vars(_native).items()
        if name.startswith("WHY_")}
RESULTS = {0: "", _native.ECLOSED: "closed", _native.ELOCKED: "locked",
           _native.EDEAD: "dead", -errno.EINVAL: "invalid"}
RESTARTS = {"always": _native.RESTART_ALWAYS, "never": _native.RESTART_NEVER,
            "on_failure": _native.RESTART_ON_FAILURE}
STRATEGIES = {"one_for_one": _native.ONE_FOR_ONE, "all_for_one": _native.ALL_FOR_ONE,
              "rest_for_one": _native.REST_FOR_ONE}


def scenarios(kind):
    """(name, rules, [rules of a service], [(line, time, event, actions)])"""
    found = []
    for number, line in enumerate((FOLDER / f"{kind}.tsv").open(), 1):
        columns = [*line.rstrip("\n").split("\t"), "", ""][:3]
        if columns[0] == "scenario":
            found.append((columns[1], {}, [], []))
        elif columns[0] in ("pool", "keeper"):
            found[-1][1].update(numbers(columns[1].split()))
        elif columns[0] == "service":
            found[-1][2].append(numbers(columns[1].split()))
        elif columns[0] and not columns[0].startswith("#"):
            found[-1][3].append((number, float(columns[0]), *columns[1:]))
    return found


def numbers(words):
    known = {**RESTARTS, **STRATEGIES}
    words = dict(word.split("=") for word in words)
    return {name: known[text] if text in known else float(text)
            for name, text in words.items()}


_ends = {}


def end_of(*words):
    """How a process has ended that ended so."""
    if words not in _ends:
        name, number = (words[0] if words else "exit=0").split("=")
        script = f"exit {number}" if name == "exit" else f"kill -{number} $$"
        process = gipc.exec_process(["sh", "-c", script])
        process.join()
        _ends[words] = _native.process_info(process._get_popen()._p)
    return _ends[words]


def facts(worker, error, end):
    text = f" worker={worker}" if worker else ""
    if error:
        return f"{text} error={-error}"
    if end is None:
        return text
    return f"{text} signal={end.signal}" if end.signal else f"{text} exit={end.code}"


class Policy:
    """The events are methods, which take the words of a scenario and return a
    result, or None if a driver is not told."""

    def actions(self, ready=()):
        return [self.text(action) for action in self.native.step(list(ready))]

    def close(self):
        pass

    def tick(self):
        pass

    def next_time(self):
        time = self.native.next_time()
        return "forever" if time is None else f"{time:g}"

    def up(self, worker):
        self.started(worker)
        self.ready(worker)

    def start_failed(self, worker, error):
        self.native.start_failed(int(worker), -int(error))

    def ended(self, worker, *how):
        self.native.ended(int(worker), end_of(*how))

    def stop(self, grace=0):
        self.native.stop(float(grace))

    def text(self, action):
        kind = KINDS[action[0]]
        if kind == "finish":
            _, _, why, _, task, attempt, worker, _, error, end = action
            return (f"finish {task} {WHYS[why]} attempt={attempt}"
                    + facts(worker, error, end))
        _, worker, why, _, _, error, end, service = action
        of = f" service={service}" if self.has_services else ""
        if kind == "start":
            return f"start {worker}{of}"
        if kind in ("dump", "stop", "kill"):
            return f"{kind} {worker} {WHYS[why]}"
        if kind in ("drained", "stopped"):
            return kind
        return f"{kind}{of} {WHYS[why]}{facts(worker, error, end)}"


class OfPool(Policy):
    has_services = False

    def __init__(self, rules, _services):
        self.native = _native.Pool(rules, int(rules.pop("most")), -1, -1)
        self.workers = {}  # (the other end of its pipe, its end, its task)
        self.heard = []

    def close(self):
        for peer, _, _ in self.workers.values():
            peer.close()

    def actions(self, ready=()):
        texts = self.heard + super().actions(ready)
        self.heard = []
        for worker, (peer, ours, _) in self.workers.items():
            try:
                message = peer.get(timeout=0)
            except (gipc.GIPCTimeout, EOFError):
                continue
            task, attempt, _ = _native.worker_task(message)
            self.workers[worker] = peer, ours, task
            texts.append(f"send {task} to {worker} attempt={attempt}")
        return texts

    def submit(self, *words):
        rules = {"timeout": 0, "priority": 0, "retries": 0, "retry_for": 0}
        rules.update(numbers(words))
        timeout, *others = rules.values()
        task = self.native.submit(b"", None, timeout, *map(int, others))
        return "again" if task == 0 else RESULTS[min(task, 0)]

    def cancel(self, task):
        return "" if self.native.cancel(int(task)) else "gone"

    def misbehaved(self, worker):
        self.native.misbehaved(int(worker))

    def started(self, worker):
        theirs, ours = _native.pipe_duplex()
        peer = adopt_handle(handle_classes, theirs, None, None)
        self.workers[worker] = peer, ours, 1
        self.native.started(int(worker), int(worker) + 1000, ours)

    def says(self, worker, message):
        if worker in self.workers:  # a driver receives from no other
            peer, ours, _ = self.workers[worker]
            peer.put(message)
            self.heard = self.actions([(_native.fd(ours, READ), READ)])

    def ready(self, worker):
        self.says(worker, _native.worker_ready())

    def alive(self, worker):
        self.says(worker, _native.worker_alive())

    def answered(self, worker, failed=None):
        task = self.workers[worker][2] if worker in self.workers else 1
        self.says(worker, _native.worker_failed(task, "", "", "", b"") if failed
                  else _native.worker_done(task, b""))


class OfKeeper(Policy):
    has_services = True

    def __init__(self, rules, services):
        self.native = _native.Keeper(rules["strategy"], services, -1, -1)

    def started(self, process):
        self.native.started(int(process), int(process) + 1000)

    def ready(self, process):
        self.native.ready(int(process))

    def alive(self, process):
        self.native.alive(int(process))

    def reload(self, service):
        return RESULTS[self.native.reload(int(service))]


def difference(policy, event, wanted):
    """None: the event has the result and the actions of this text."""
    name, *words = event.split()
    result = getattr(policy, name)(*words)
    if name == "next_time":
        return None if result == wanted else result
    got, wanted = policy.actions(), wanted.split("; ") if wanted else []
    if wanted and wanted[0].startswith("= "):
        refused = wanted.pop(0)[2:]
    else:
        refused = ""
    if sorted(got) == sorted(wanted) and result in (None, refused):
        return None
    return "; ".join([f"= {result}"] * bool(result) + got)


def play(kind, rules, services, lines):
    policy = kind(rules, services)
    try:
        for number, time, event, wanted in lines:
            _native.stop_clock(time)
            got = difference(policy, event, wanted)
            if got is not None:
                return f"line {number}, {event}: wanted {wanted!r}, got {got!r}"
    finally:
        _native.stop_clock(-1)
        policy.close()


@pytest.mark.parametrize("kind", [OfPool, OfKeeper])
def test_a_driver_gets_the_actions_of_each_scenario(kind):
    names, wrong = [], []
    for name, *scenario in scenarios(kind.__name__[2:].lower()):
        if any(not hasattr(kind, event.split()[0]) for _, _, event, _ in scenario[2]):
            assert any("memory" in event for _, _, event, _ in scenario[2])
            continue  # which is read from the system
        names.append(name)
        result = play(kind, *scenario)
        wrong += [f"{name}: {result}"] if result else []
    assert not wrong
    assert len(names) > 15
