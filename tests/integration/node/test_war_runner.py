"""The Worker App Runner with real repositories, real git and real builds."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from node_support import ESCROW, LICENSE_ID, Repository, eventually, marked, spec_document

from scripts._demo.ports import free_port
from workdeed.intent import GitSource, Spec, SpecError, load_spec
from workdeed.node.drivers.base import TaskKey
from workdeed.node.drivers.process import ProcessDriver
from workdeed.node.errors import RunnerError
from workdeed.node.files import remove_tree
from workdeed.node.runners import trees
from workdeed.node.runners.base import Order, Plan, RunnerContext, RunnerOptions
from workdeed.node.runners.git import command, environment, open_remote
from workdeed.node.runners.steps import LOOK_SECONDS
from workdeed.node.runners.war import WarRunner

KEY = TaskKey(ESCROW, 3, LICENSE_ID, 0)
OTHER = TaskKey(ESCROW, 4, LICENSE_ID, 0)


@pytest.fixture
def runner(driver: ProcessDriver, tmp_path: Path) -> WarRunner:
    return make_runner(driver, tmp_path)


def make_runner(
    driver: ProcessDriver, tmp_path: Path, *, look_seconds: float = LOOK_SECONDS, **options: Any
) -> WarRunner:
    allowed = RunnerOptions(**({"allow_private_endpoints": True} | options))
    drivers = {"process": driver}
    context = RunnerContext(drivers, tmp_path / "state" / "runners" / "war", allowed)
    return WarRunner(context, look_seconds=look_seconds)


def spec(repository: Repository, commit: str, **changes: Any) -> Spec:
    return load_spec(spec_document(repository.path, commit, **changes))


def order(wanted: Spec, key: TaskKey, **secrets: str) -> Order:
    env = {name: value for name, value in wanted.env.items() if isinstance(value, str)}
    return Order(key, wanted, wanted.resources, env, secrets)


async def prepare(runner: WarRunner, wanted: Spec, key: TaskKey, **secrets: str) -> Plan:
    asked = order(wanted, key, **secrets)
    return await runner.prepare(asked, await runner.resolve(asked))


def builds(tmp_path: Path) -> list[str]:
    return sorted(one.name for one in (tmp_path / "state/runners/war/builds").iterdir())


async def test_the_pinned_commit_is_fetched_though_the_branch_moved_on(
    runner: WarRunner, repository: Repository, hello: str
):
    later = repository.commit({"server.py": "raise SystemExit('not this one')"})
    assert later != hello
    plan = await prepare(runner, spec(repository, hello), KEY)
    assert "ThreadingHTTPServer" in (plan.directory / "server.py").read_text()
    assert (plan.directory / ".git" / "HEAD").read_text().strip() == hello


async def test_a_commit_that_no_branch_holds_any_more_is_fetched(
    runner: WarRunner, repository: Repository, hello: str
):
    repository.git("commit", "--quiet", "--amend", "--message", "rewritten", "--allow-empty")
    assert repository.git("rev-parse", "HEAD").strip() != hello
    plan = await prepare(runner, spec(repository, hello), KEY)
    assert (plan.directory / ".git" / "HEAD").read_text().strip() == hello


async def test_a_commit_that_does_not_exist_is_refused(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path
):
    with pytest.raises(RunnerError, match="git checkout failed"):
        await prepare(runner, spec(repository, "ab" * 20), KEY)
    assert [name for name in builds(tmp_path) if not name.endswith(".partial")] == []


async def test_the_hash_of_something_else_than_a_commit_is_refused(
    runner: WarRunner, repository: Repository, hello: str
):
    tree = repository.git("rev-parse", "HEAD^{tree}").strip()
    with pytest.raises(RunnerError, match=r"git (checkout|fetch) failed"):
        await prepare(runner, spec(repository, tree), KEY)


async def test_a_tag_object_is_not_taken_for_the_commit_it_names(
    runner: WarRunner, repository: Repository, hello: str
):
    repository.git("tag", "--annotate", "--message", "release", "v1")
    tag = repository.git("rev-parse", "v1").strip()
    assert tag != hello
    with pytest.raises(RunnerError, match="was fetched instead"):
        await prepare(runner, spec(repository, tag), KEY)


async def test_build_commands_run_in_order_in_the_folder_of_the_service(
    runner: WarRunner, repository: Repository
):
    commit = repository.commit({"deep/service/main": "one\n", "main": "wrong\n"})
    source = {"git": {"url": str(repository.path), "commit": commit, "path": "deep/service"}}
    build = [["cp", "main", "first"], ["sh", "-c", 'echo "$GREETING" >> first; mv first made']]
    plan = await prepare(runner, spec(repository, commit, source=source, build=build), KEY)
    assert plan.subdirectory == "deep/service"
    assert (plan.directory / "deep/service/made").read_text() == "one\nGood morning\n"


async def test_a_failing_build_names_the_command_and_its_last_words(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path, owner: str
):
    build = [["true"], ["sh", "-c", "echo compiling; echo no such module >&2; exit 9"], ["true"]]
    wanted = spec(repository, hello, build=build)
    expected = r"build command 2 of 3 failed: it exited with code 9 \(no such module\)"
    with pytest.raises(RunnerError, match=expected):
        await prepare(runner, wanted, KEY)
    with pytest.raises(RunnerError, match=expected):
        await prepare(runner, wanted, KEY)
    assert marked(owner) == []


async def test_a_build_that_hangs_is_ended(
    driver: ProcessDriver, tmp_path: Path, repository: Repository, hello: str, owner: str
):
    runner = make_runner(driver, tmp_path, build_seconds=0.5)
    build = [["sh", "-c", "setsid sleep 1000 & sleep 1000"]]
    with pytest.raises(RunnerError, match="build command 1 of 1 took longer"):
        await prepare(runner, spec(repository, hello, build=build), KEY)
    assert marked(owner) == []


async def test_a_build_that_is_given_up_leaves_nothing_running(
    runner: WarRunner, repository: Repository, hello: str, owner: str, tmp_path: Path
):
    build = [["sh", "-c", "touch building; sleep 1000"]]
    preparing = asyncio.create_task(prepare(runner, spec(repository, hello, build=build), KEY))
    folder = tmp_path / "state/runners/war/builds"
    await eventually(lambda: bool(list(folder.glob("*/building"))), "the build")
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
    assert marked(owner) == []
    await runner.sweep([])
    assert builds(tmp_path) == []


async def test_a_build_is_made_once_and_copied_for_each_workload(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path
):
    build = [["sh", "-c", "date +%N > stamp"]]
    wanted = spec(repository, hello, build=build)
    first, second = await asyncio.gather(
        prepare(runner, wanted, KEY), prepare(runner, wanted, OTHER)
    )
    assert first.directory != second.directory
    stamp = (first.directory / "stamp").read_text()
    assert (second.directory / "stamp").read_text() == stamp
    (first.directory / "stamp").write_text("changed by the workload")
    assert (second.directory / "stamp").read_text() == stamp
    # A restart keeps what the workload wrote, a new workload begins with the build.
    assert (await prepare(runner, wanted, KEY)).directory == first.directory
    assert (first.directory / "stamp").read_text() == "changed by the workload"
    await runner.discard(KEY)
    assert ((await prepare(runner, wanted, KEY)).directory / "stamp").read_text() == stamp


@pytest.mark.parametrize("changed", ["commit", "build", "env"])
async def test_what_goes_into_a_build_makes_another_build(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path, changed: str
):
    await prepare(runner, spec(repository, hello), KEY)
    later = repository.commit({"more": "more"})
    changes: dict[str, Any] = {"build": [["true"]]} if changed == "build" else {}
    if changed == "env":
        changes = {"env": {"GREETING": "Good evening"}}
    commit = later if changed == "commit" else hello
    await prepare(runner, spec(repository, commit, **changes), OTHER)
    assert len(builds(tmp_path)) == 2


async def test_what_one_jobs_credentials_fetched_no_other_job_gets(
    runner: WarRunner, repository: Repository, hello: str, dumb: str, tmp_path: Path
):
    git = {"url": dumb, "commit": hello}
    private = git | {"credentials": {"username": "reader", "secret": "password"}}
    for source, key in ((private, KEY), (private, OTHER), (git, OTHER), (git, KEY)):
        wanted = spec(repository, hello, source={"git": source})
        asked = order(wanted, key, password="hidden")
        await runner.discard(key)
        await runner.prepare(asked, hello)
    # One for each job with credentials, and one for both without.
    assert len(builds(tmp_path)) == 3


async def test_old_builds_are_dropped(
    driver: ProcessDriver, tmp_path: Path, repository: Repository, hello: str
):
    runner = make_runner(driver, tmp_path, keep_builds=2)
    for number in range(4):
        env = {"NUMBER": str(number)}
        await prepare(
            runner, spec(repository, hello, env=env), TaskKey(ESCROW, number, LICENSE_ID, 0)
        )
    assert len(builds(tmp_path)) == 2


async def test_a_tree_larger_than_its_storage_is_refused(
    runner: WarRunner, repository: Repository, hello: str
):
    resources = {"cpu_milli": 1, "memory_mb": 256, "storage_mb": 2}
    script = "for i in 1 2 3; do head -c 1000000 /dev/zero > big$i; done"
    wanted = spec(repository, hello, resources=resources, build=[["sh", "-c", script]])
    with pytest.raises(RunnerError, match="ask for more storage"):
        await prepare(runner, wanted, KEY)


async def test_a_build_that_takes_too_much_is_ended_while_it_runs(
    driver: ProcessDriver, tmp_path: Path, repository: Repository, hello: str, owner: str
):
    runner = make_runner(driver, tmp_path, look_seconds=0.1)
    resources = {"cpu_milli": 1_000, "memory_mb": 256, "storage_mb": 2}
    for place in (".", "$TMPDIR", "$HOME"):
        script = f"for i in 1 2 3; do head -c 1000000 /dev/zero > {place}/big$i; done; sleep 1000"
        wanted = spec(repository, hello, resources=resources, build=[["sh", "-c", script]])
        with pytest.raises(RunnerError, match="build command 1 of 1 took 3 MB on disk"):
            await prepare(runner, wanted, KEY)
    assert marked(owner) == []


async def test_a_build_that_lies_too_deep_is_refused(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path
):
    script = "import os\nfor _ in range(1500):\n os.mkdir('d')\n os.chdir('d')"
    with pytest.raises(RunnerError, match=r"build: its tree takes .* over 128 levels deep"):
        await prepare(runner, spec(repository, hello, build=[["python3", "-c", script]]), KEY)
    await runner.sweep([])
    assert builds(tmp_path) == []


@pytest.fixture
def usual_depth() -> Iterator[None]:
    """The interpreter's own bound of calls in calls, which libraries of other tests raise."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("usual_depth")
def test_a_build_of_an_earlier_agent_that_lies_too_deep_is_not_copied(tmp_path: Path):
    (tmp_path / "build").mkdir()
    descriptor = os.open(tmp_path / "build", os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    with pytest.raises(RunnerError, match="too deep to be copied"):
        asyncio.run(trees.copy(tmp_path / "build", tmp_path / "tree"))
    assert [one.name for one in tmp_path.iterdir()] == ["build"]
    remove_tree(tmp_path / "build")


async def test_a_folder_that_the_commit_lacks_or_that_leads_out_is_refused(
    runner: WarRunner, repository: Repository
):
    (repository.path / "out").symlink_to("/etc")
    commit = repository.commit({"file": "content"})
    for path in ("missing", "out", "file"):
        source = {"git": {"url": str(repository.path), "commit": commit, "path": path}}
        with pytest.raises(RunnerError, match=r"source\.git\.path"):
            await prepare(runner, spec(repository, commit, source=source), KEY)


async def test_hooks_and_settings_of_the_machine_do_not_run(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path, monkeypatch: Any
):
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    hook = home / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o700)
    (home / ".gitconfig").write_text(f"[core]\n\thooksPath = {home}/hooks\n")
    (repository.path / ".git" / "hooks" / "post-checkout").write_text(hook.read_text())
    monkeypatch.setenv("HOME", str(home))
    await prepare(runner, spec(repository, hello), KEY)
    assert not (tmp_path / "hooked").exists()


async def test_submodules_are_not_fetched(runner: WarRunner, repository: Repository, hello: str):
    modules = '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch /tmp/owned"\n'
    repository.commit({".gitmodules": modules})
    link = f"160000,{hello},x"
    repository.git("update-index", "--add", "--cacheinfo", link)
    repository.git("commit", "--quiet", "--message", "submodule")
    commit = repository.git("rev-parse", "HEAD").strip()
    plan = await prepare(runner, spec(repository, commit), KEY)
    assert list((plan.directory / "x").iterdir()) == []


HOSTILE = [
    "--upload-pack=touch /tmp/owned",
    "-oProxyCommand=touch",
    "ext::sh -c touch% /tmp/owned",
    "fd::17",
    "ssh://-oProxyCommand=touch/repo",
    "git@-oProxyCommand=touch:repo",
    "https://user:password@git.example.org/repo.git",
    "javascript:alert(1)",
    "https://",
    "https://host/with space",
    "https://host/with\nnewline",
    "ftp://git.example.org/repo.git",
    "relative/path",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_address_does_not_become_a_spec(url: str):
    with pytest.raises(SpecError, match=r"source\.git\.url"):
        load_spec(spec_document(Path("/nowhere"), "ab" * 20) | {"source": git_source(url)})


def git_source(url: str) -> dict[str, Any]:
    return {"git": {"url": url, "commit": "ab" * 20}}


@pytest.mark.parametrize("url", ["--upload-pack=touch owned", "ext::sh -c touch% owned"])
async def test_a_hostile_address_that_got_past_the_spec_is_refused_again(
    runner: WarRunner, repository: Repository, hello: str, url: str, tmp_path: Path
):
    good = spec(repository, hello)
    bad = GitSource.model_construct(url=url, commit=hello, path=None)
    source = good.source.model_copy(update={"git": bad})
    with pytest.raises(RunnerError):
        await prepare(runner, good.model_copy(update={"source": source}), KEY)
    assert not await asyncio.to_thread(lambda: list(tmp_path.rglob("owned")))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/srv/repository", "file is not allowed"),
        ("file:///srv/repository", "file is not allowed"),
        ("http://git.example.org/x.git", "http is not allowed"),
        ("https://127.0.0.1/x.git", "private address"),
        ("https://[::1]/x.git", "private address"),
        ("https://169.254.169.254/latest", "private address"),
        ("git://10.1.2.3/x.git", "private address"),
        ("https://[::ffff:127.0.0.1]/x.git", "private address"),
        ("https://[64:ff9b::7f00:1]/x.git", "private address"),
    ],
)
async def test_only_public_addresses_are_fetched_from(tmp_path: Path, url: str, reason: str):
    with pytest.raises(RunnerError, match=reason):
        await open_remote(url, RunnerOptions(), tmp_path / "trust", tmp_path)


async def test_a_name_is_resolved_once_and_pinned(tmp_path: Path, monkeypatch: Any):
    asked = []

    async def getaddrinfo(self: Any, host: str, port: int, **kwargs: Any) -> list[Any]:
        asked.append(host)
        family = socket.AF_INET
        addresses = ["10.0.0.1", "93.184.216.34"]
        return [(family, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    options = RunnerOptions()
    web = await open_remote("https://git.example.org/x.git", options, tmp_path, tmp_path)
    assert "http.curloptResolve=git.example.org:443:93.184.216.34" in command(web, "fetch")
    daemon = await open_remote("git://git.example.org/x.git", options, tmp_path, tmp_path)
    assert daemon.url == "git://93.184.216.34:9418/x.git"
    assert daemon.env["GIT_OVERRIDE_VIRTUAL_HOST"] == "git.example.org:9418"
    assert asked == ["git.example.org"] * 2


async def test_ssh_needs_an_identity_of_its_own(tmp_path: Path, monkeypatch: Any):
    async def getaddrinfo(self: Any, host: str, port: int, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    urls = ("ssh://git@git.example.org:2222/x.git", "git@git.example.org:x.git")
    for url in urls:
        with pytest.raises(RunnerError, match=r"git\.ssh_key"):
            await open_remote(url, RunnerOptions(), tmp_path, tmp_path)
    key, hosts = tmp_path / "a key", tmp_path / "known"
    options = RunnerOptions(ssh_key=key, ssh_known_hosts=hosts)
    for url in urls:
        remote = await open_remote(url, options, tmp_path, tmp_path)
        ssh = remote.env["GIT_SSH_COMMAND"]
        assert f"-i '{key}'" in ssh
        assert "HostName=93.184.216.34" in ssh
        assert "StrictHostKeyChecking=yes" in ssh
        assert "BatchMode=yes" in ssh
        assert remote.mounts == (key, hosts)


def test_git_never_prompts_and_knows_few_protocols():
    env = environment(None, RunnerOptions())
    assert env["GIT_TERMINAL_PROMPT"] == "0"
    assert env["GIT_ALLOW_PROTOCOL"] == "https:ssh:git"
    assert env["GIT_CONFIG_GLOBAL"] == "/dev/null"
    assert "file" in environment(None, RunnerOptions(allow_private_endpoints=True))[
        "GIT_ALLOW_PROTOCOL"
    ].split(":")


async def test_a_path_without_a_repository_or_inside_the_agents_state_is_refused(
    runner: WarRunner, tmp_path: Path, repository: Repository, hello: str
):
    options = RunnerOptions(allow_private_endpoints=True)
    private = tmp_path / "state"
    (private / "inner" / ".git").mkdir(parents=True)
    for path in (tmp_path, private, private / "inner", Path("/etc")):
        with pytest.raises(RunnerError, match="no repository"):
            await open_remote(str(path), options, tmp_path / "trust", private)
    found = await open_remote(str(repository.path), options, tmp_path / "trust", private)
    assert found.url == f"file://{repository.path}"


@pytest.fixture
async def served(repository: Repository, hello: str) -> AsyncIterator[str]:
    """The repository behind git's own server, which gives commits by branch and by name."""
    port = free_port()
    arguments = ["daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--reuseaddr"]
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        f"--base-path={repository.path.parent}",
        env={"PATH": os.environ["PATH"], "HOME": str(repository.path)},
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(listens, "git daemon")
    yield f"git://127.0.0.1:{port}/{repository.path.name}"
    os.killpg(process.pid, 15)
    await process.wait()


async def test_a_commit_comes_over_the_git_protocol(
    runner: WarRunner, repository: Repository, hello: str, served: str
):
    source = {"git": {"url": served, "commit": hello}}
    plan = await prepare(runner, spec(repository, hello, source=source), KEY)
    assert (plan.directory / "server.py").exists()


@pytest.fixture
async def dumb(repository: Repository, hello: str) -> AsyncIterator[str]:
    """The repository as plain files over HTTP: such a server gives no commit by its name."""
    from aiohttp import web

    repository.commit({"later": "later"})
    repository.git("update-server-info")
    app = web.Application()
    app.router.add_static("/", repository.path / ".git")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_where_a_commit_has_no_name_everything_is_fetched(
    runner: WarRunner, repository: Repository, hello: str, dumb: str
):
    source = {"git": {"url": dumb, "commit": hello}}
    plan = await prepare(runner, spec(repository, hello, source=source), KEY)
    assert not (plan.directory / "later").exists()
    assert (plan.directory / ".git" / "HEAD").read_text().strip() == hello


async def test_redirects_are_not_followed(runner: WarRunner, repository: Repository, hello: str):
    from aiohttp import web

    asked = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path.startswith("/elsewhere"):
            return web.Response()
        raise web.HTTPFound(f"/elsewhere{request.path_qs}")

    app = web.Application()
    app.router.add_get("/{path:.*}", redirect)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{server.addresses[0][1]}/x.git"
    with pytest.raises(RunnerError, match="git fetch failed"):
        await prepare(
            runner, spec(repository, hello, source={"git": {"url": url, "commit": hello}}), KEY
        )
    await server.cleanup()
    assert asked
    assert not any(path.startswith("/elsewhere") for path in asked)


def versions(tmp_path: Path, folder: str = "trees") -> list[str]:
    found = (tmp_path / "state/runners/war" / folder).iterdir()
    return sorted(one.name.partition("@")[2] for one in found)


async def test_a_workload_that_sets_its_folders_time_back_keeps_its_tree(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path
):
    commits = [hello, repository.commit({"a": "a"}), repository.commit({"b": "b"})]
    for commit in commits[:2]:
        await prepare(runner, spec(repository, commit), KEY)
    running = (await prepare(runner, spec(repository, commits[1]), KEY)).directory
    os.utime(running, (0, 0))
    await prepare(runner, spec(repository, commits[2]), KEY)
    assert versions(tmp_path) == versions(tmp_path, "uses") == sorted(commits[1:])
    await runner.discard(KEY)
    assert versions(tmp_path) == versions(tmp_path, "uses") == []


async def test_trees_of_an_earlier_agent_are_found_kept_and_removed(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path
):
    """It took down no times of use; what runs on across the update must keep its tree."""
    commits = [hello, repository.commit({"a": "a"}), repository.commit({"b": "b"})]
    for commit in commits[:2]:
        running = (await prepare(runner, spec(repository, commit), KEY)).directory
    for note in (tmp_path / "state/runners/war/uses").iterdir():
        note.unlink()
    os.utime(running, (0, 0))
    await prepare(runner, spec(repository, commits[2]), KEY)
    assert versions(tmp_path) == sorted(commits[1:])
    await runner.sweep([])
    assert versions(tmp_path) == versions(tmp_path, "uses") == []


async def test_a_full_disk_keeps_no_workload_from_the_tree_that_is_there(
    runner: WarRunner, repository: Repository, hello: str, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    wanted = spec(repository, hello)
    first = await prepare(runner, wanted, KEY)
    monkeypatch.setattr(Path, "touch", full)
    assert await prepare(runner, wanted, KEY) == first


async def test_sweep_keeps_only_the_trees_it_is_told(
    runner: WarRunner, repository: Repository, hello: str, tmp_path: Path
):
    wanted = spec(repository, hello)
    kept = await prepare(runner, wanted, KEY)
    dropped = await prepare(runner, wanted, OTHER)
    await runner.sweep([KEY])
    assert kept.directory.exists()
    assert not dropped.directory.exists()


async def test_what_can_not_be_removed_stops_no_sweep_and_no_start(
    runner: WarRunner,
    repository: Repository,
    hello: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    commits = [hello, *(repository.commit({name: name}) for name in "abc")]
    for commit in commits[:3]:
        await prepare(runner, spec(repository, commit), KEY)
    dropped = [await prepare(runner, spec(repository, hello), OTHER)]
    remove = trees.remove_tree

    def refusing(path: Path) -> None:
        if commits[1] in path.name:
            raise PermissionError(errno.EPERM, "not permitted")
        remove(path)

    monkeypatch.setattr(trees, "remove_tree", refusing)
    await prepare(runner, spec(repository, commits[3]), KEY)
    await runner.sweep([])
    assert not any(plan.directory.exists() for plan in dropped)
    assert versions(tmp_path) == [f"{commits[1]}.partial"]


async def test_a_spec_without_a_git_source_is_refused(runner: WarRunner):
    document = spec_document(Path("/nowhere"), "ab" * 20) | {"source": {}}
    with pytest.raises(RunnerError, match=r"source\.git"):
        runner.check(load_spec(document))
