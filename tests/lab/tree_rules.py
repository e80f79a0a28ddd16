"""The rules of CONTRIBUTING.md over a source tree, each a generator of `file:line: sentence`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LEAVES = ("facts/", "checks/", "phases/", "resets/", "resources/", "needs/", "syntax/")
HOMES = {
    "typer": ("cli/",),
    "click": ("cli/",),
    "rich": ("report/",),
    "jinja2": ("formats/",),
    "tomlkit": ("formats/",),
    "yaml": ("formats/",),
    "cattrs": ("profile_load.py",),
    "fastjsonschema": ("formats/",),
    "asn1crypto": ("x509.py",),
    "ssl": ("remote.py",),
    "http": ("remote.py",),
    "subprocess": ("host/",),
    "tarfile": ("bundle.py", "recording.py", "host/"),
    "urllib.request": ("remote.py",),
    "tempfile": ("bundle.py", "recording.py"),
    "shutil": ("host/",),
    "platform": (),  # facts of this machine come through a Reader
    "socket": ("remote.py",),
    "glob": (),
    "asyncio": (),
    "multiprocessing": (),
}
DOORS = ("host/", "bundle.py", "recording.py", "shipped.py")
TOUCHING_OS = re.compile(
    r"os\.(open|fdopen|popen|system|fork\w*|exec\w+|spawn\w+|posix_spawn\w*|kill\w*|listdir|scandir|f?walk|l?stat|statvfs"
    r"|readlink|remove|unlink|rename|replace|(make|remove)dirs|mkdir|rmdir|[fl]?ch(mod|own)|symlink|link|truncate|mkfifo"
    r"|mknod|access|uname|cpu_count|sysconf"
    r"|path\.(l?exists|isfile|isdir|islink|ismount|realpath|getsize|getmtime|getctime|samefile))"
)
TOUCHING_PATH = ("read_text", "write_text", "write_bytes", "iterdir", "rglob", "is_file", "is_dir", "exists", "touch")
MOCKS = ("patch", "monkeypatch", "mocker", "Mock", "MagicMock", "AsyncMock", "PropertyMock", "create_autospec")
MAX_FUNCTION_LINES = 40
MAX_FILE_LINES = 300


@dataclass(frozen=True)
class Module:
    """A parsed file. unit: the word of the layer table that it belongs to, as `bundle.py` or `facts/`; "" outside of src."""

    path: str
    text: str
    unit: str = ""

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def leaf(self) -> str:
        """The topic's file or folder below its unit: `os` of src/caasctl/facts/os.py, `grub` of .../syntax/grub/menu.py."""
        return Path(self.path).with_suffix("").parts[3] if self.unit.endswith("/") else ""

    @property
    def is_list(self) -> bool:
        return self.leaf == "__init__"

    def at(self, node: ast.AST, said: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {said}"


@dataclass(frozen=True)
class Tree:
    """modules: of src. tests: all Python below tests. layers: unit -> (layer, place in its row)."""

    modules: tuple[Module, ...]
    tests: tuple[Module, ...]
    layers: dict[str, tuple[int, int]]


Rule = Callable[[Tree], Iterator[str]]


def read_tree(top: Path) -> Tree:
    package = top / "src" / "caasctl"
    modules = [
        Module(str(path.relative_to(top)), path.read_text(encoding="utf-8"), _unit(path.relative_to(package)))
        for path in sorted(package.rglob("*.py"))
    ]
    tests = [
        Module(str(path.relative_to(top)), path.read_text(encoding="utf-8"))
        for path in sorted((top / "tests").rglob("*.py"))
    ]
    return Tree(tuple(modules), tuple(tests), read_layers((top / "CONTRIBUTING.md").read_text(encoding="utf-8")))


def read_layers(contributing: str) -> dict[str, tuple[int, int]]:
    """The layer table: `| 1 | `shipped.py` `formats/` | ... |`."""
    layers: dict[str, tuple[int, int]] = {}
    for number, row in re.findall(r"^\| (\d+) \| ([^|]+) \|", contributing, re.MULTILINE):
        for unit in re.findall(r"`([\w/.]+)`", row):
            layers[unit] = (int(number), len(layers))
    return layers


def _unit(path: Path) -> str:
    return path.parts[0] + ("/" if len(path.parts) > 1 else "")


def _imports(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every dotted name that a file imports: `from a import b` is `a.b`."""
    package = ["caasctl", *Path(module.path).with_suffix("").parts[2:-1]]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node, f"{base}.{alias.name}") for alias in node.names)


def _own(tree: Tree, name: str) -> str | None:
    """The unit of an imported name of ours; None for what is not ours, and for the package's own attributes."""
    parts = name.split(".")
    if parts[0] != "caasctl" or len(parts) == 1:
        return None
    units = {module.unit for module in tree.modules}
    return next((unit for unit in (f"{parts[1]}/", f"{parts[1]}.py") if unit in units), None)


def imports_go_down(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        seen = set()
        for node, name in _imports(module):
            unit = _own(tree, name)
            if unit and node not in seen and module.unit != "__init__.py" and not _may_import(tree, module, unit, name):
                seen.add(node)
                yield module.at(
                    node,
                    f"{module.unit} may not import {name}: imports go to a lower layer only, and a leaf never imports a sibling",
                )


def _may_import(tree: Tree, module: Module, unit: str, name: str) -> bool:
    if unit == module.unit:
        same_leaf = name.split(".")[2:3] == [module.leaf]
        return module.is_list or unit not in LEAVES or same_leaf
    (above, place), (below, place_below) = tree.layers.get(module.unit, (-1, 0)), tree.layers.get(unit, (99, 0))
    in_a_row = above == below and place_below < place and not (unit + module.unit).count("/")
    return below < above or in_a_row


def every_module_has_a_layer(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        if module.unit != "__init__.py" and module.unit not in tree.layers:
            yield module.at(module.tree, f"{module.unit} is in no row of the layer table in CONTRIBUTING.md")


def one_home_per_library(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        for node, name in _imports(module):
            first, second = (*name.split("."), "")[:2]
            homes = HOMES.get(f"{first}.{second}", HOMES.get(first))
            if homes is not None and module.unit not in homes:
                where = f"its home is {homes[0]}" if homes else "no module of caasctl needs it"
                yield module.at(node, f"{name.split('.')[0]} is imported, {where}")


def only_doors_touch_the_host(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        if module.unit in DOORS:
            continue
        for node, name in _imports(module):
            if TOUCHING_OS.fullmatch(name):
                yield module.at(node, f"{name} is imported, but only {', '.join(DOORS)} touch the host")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _touches(node):
                yield module.at(node, f"{ast.unparse(node.func)}() touches the host: that is for {', '.join(DOORS)}")


def _touches(call: ast.Call) -> bool:
    if any(ast.unparse(argument) == "os.devnull" for argument in call.args):
        return False
    called = ast.unparse(call.func)
    is_path = isinstance(call.func, ast.Attribute) and call.func.attr in TOUCHING_PATH
    return called in ("open", "io.open") or is_path or bool(TOUCHING_OS.fullmatch(called))


def checks_and_phases_never_hold_a_host(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        if module.unit not in ("checks/", "phases/", "resets/"):
            continue
        for node, name in _imports(module):
            if _own(tree, name) in ("host/", "bundle.py") or name.endswith(("protocol.Reader", "protocol.Writer")):
                yield module.at(node, f"{name}: a check or phase gets facts and profile, never a host")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in ("Reader", "Writer"):
                yield module.at(node, f"{ast.unparse(node)}: a check or phase gets facts and profile, never a host")


def no_mocks(tree: Tree) -> Iterator[str]:
    for module in tree.tests:
        for node in ast.walk(module.tree):
            if _mock_in(node):
                yield module.at(
                    node, "a mock: replace the host (LiveHost on a tree, BundleHost, literal facts), not functions"
                )


def _mock_in(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any("mock" in alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return "mock" in (node.module or "") or any(alias.name in (*MOCKS, "mock") for alias in node.names)
    if isinstance(node, ast.arg):
        return node.arg in MOCKS
    return isinstance(node, ast.Name) and node.id in MOCKS


def functions_are_short(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield module.at(node, f"{node.name} has {lines} lines, {MAX_FUNCTION_LINES} are the limit")


def files_are_short(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        lines = module.text.count("\n")
        if lines > MAX_FILE_LINES:
            yield module.at(
                module.tree, f"the file has {lines} lines, {MAX_FILE_LINES} are the limit: split it by topic"
            )


def modules_say_what_they_are_for(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        first = (ast.get_docstring(module.tree) or "").split("\n\n")[0].rstrip()
        if not first.endswith((".", ":", "!", "?")):
            yield module.at(module.tree, "a module opens with one sentence on what it is for")


def only_the_command_line_exits(tree: Tree) -> Iterator[str]:
    exits = ("sys.exit", "os._exit", "exit", "quit", "SystemExit", "typer.Exit", "typer.Abort")
    for module in tree.modules:
        if module.unit in ("cli/", "__main__.py"):
            continue
        for node, name in _imports(module):
            if name in exits:
                yield module.at(node, f"{name} is imported, but only cli/ ends the program: raise CaasError")
        for node in ast.walk(module.tree):
            ends = node.func if isinstance(node, ast.Call) else node.exc if isinstance(node, ast.Raise) else None
            if ends is not None and ast.unparse(ends) in exits:
                yield module.at(node, f"{ast.unparse(ends)}: only cli/ ends the program, others raise CaasError")


def only_the_ends_print(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        if module.unit in ("cli/", "__main__.py", "report/"):
            continue
        for node in ast.walk(module.tree):
            said = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if said in ("print", "sys.stdout.write", "sys.stderr.write"):
                yield module.at(node, f"{said}: only cli/ and report/ print")


def frozen_dataclasses_are_the_project_s(tree: Tree) -> Iterator[str]:
    for module in tree.modules:
        ours = "caasctl.frozen.dataclass" in {name for _, name in _imports(module)}
        for node in (each for each in ast.walk(module.tree) if isinstance(each, ast.ClassDef)):
            made = {ast.unparse(decorator) for decorator in node.decorator_list}
            if "dataclasses.dataclass(frozen=True)" in made or ("dataclass(frozen=True)" in made and not ours):
                yield module.at(
                    node, f"{node.name}: the frozen dataclass is that of caasctl.frozen, which starts faster"
                )


RULES: tuple[Rule, ...] = (
    imports_go_down,
    every_module_has_a_layer,
    one_home_per_library,
    only_doors_touch_the_host,
    checks_and_phases_never_hold_a_host,
    no_mocks,
    functions_are_short,
    files_are_short,
    modules_say_what_they_are_for,
    only_the_command_line_exits,
    only_the_ends_print,
    frozen_dataclasses_are_the_project_s,
)
