# SPDX-License-Identifier: Apache-2.0
"""What was built, and what SECURITY.md says of it: hardened programs, the bill of materials, pinned parts, named tests."""
import json
import os
import re
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
DYNAMIC, STATIC = ("margay-agent", "margayctl"), ("margay", "margay-ipam")
SECURITY_TESTS = "selftests/net/test_security.py"


def read(*path):
    with open(os.path.join(TOP, *path)) as file:
        return file.read()


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=TOP).stdout


# --- programs -------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", DYNAMIC + STATIC)
def test_programs_are_hardened(name):
    program = os.path.join(BUILD, name)
    headers = output("readelf", "-hldW", program)
    assert re.search(r"Type: +DYN \(Position-Independent Executable", headers)
    assert "GNU_RELRO" in headers and "TEXTREL" not in headers and "RPATH" not in headers and "RUNPATH" not in headers
    assert re.search(r"GNU_STACK +(\S+ +){5}RW ", headers), "no executable stack"
    # A static-pie program binds everything before main; a dynamic one says so.
    assert re.search(r"FLAGS.* NOW", headers) if name in DYNAMIC else "INTERP" not in headers
    symbols = output("nm", program)
    assert "__stack_chk_fail" in symbols, "stack protector"
    assert "__snprintf_chk" in symbols, "_FORTIFY_SOURCE"
    segments = [line.split() for line in headers.split("\n") if line.strip().startswith("LOAD")]
    assert segments and not any("W" in flags and "E" in flags for flags in (" ".join(s[6:-1]) for s in segments))


@pytest.mark.parametrize("name", DYNAMIC)
def test_shadow_stacks(name):
    assert "SHSTK" in output("readelf", "-nW", os.path.join(BUILD, name))


def test_branch_protection_and_clash_protection_are_asked_for():
    """What leaves no mark of its own in a file: the flags of every object are the Makefile's."""
    flags = read("Makefile")
    for flag in ("-fcf-protection=full", "-fstack-clash-protection", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=3"):
        assert flag in flags
    code = output("objdump", "-d", "--no-show-raw-insn", os.path.join(BUILD, "loader", "base", "rpc.o"))
    assert "endbr64" in code, "objects are built with -fcf-protection"


def test_libraries_are_those_the_readers_expect():
    """No program loads a library that the bill does not name; the plugins load none."""
    for name in STATIC:
        assert "NEEDED" not in output("readelf", "-dW", os.path.join(BUILD, name))


# --- parts ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def bill():
    subprocess.run([os.path.join(TOP, "selftests", "sbom")], check=True, capture_output=True, cwd=TOP)
    with open(os.path.join(BUILD, "margay.spdx.json")) as file:
        return file.read()


def test_bill_is_spdx(bill):
    parts = json.loads(bill)
    assert parts["spdxVersion"] == "SPDX-2.3" and parts["dataLicense"] == "CC0-1.0" and parts["SPDXID"] == "SPDXRef-DOCUMENT"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", parts["creationInfo"]["created"])
    names = {part["SPDXID"] for part in parts["packages"]} | {"SPDXRef-DOCUMENT"}
    assert len(names) == len(parts["packages"]) + 1, "each once"
    for row in parts["relationships"]:
        assert {row["spdxElementId"], row["relatedSpdxElement"]} <= names
    related = {row["relatedSpdxElement"] for row in parts["relationships"]} | {row["spdxElementId"] for row in parts["relationships"]}
    assert names == related, "nothing hangs in the air"


def test_bill_names_every_library_that_is_loaded(bill):
    names = {part["name"] for part in json.loads(bill)["packages"]}
    for program in DYNAMIC:
        for path in re.findall(r"=> (/\S+) \(0x", output("ldd", os.path.join(BUILD, program))):
            for candidate in {path, os.path.realpath(path), re.sub("^/usr(?=/lib)", "", os.path.realpath(path))}:
                done = subprocess.run(["dpkg-query", "-S", candidate], capture_output=True, text=True)
                if done.returncode == 0:
                    break
            assert done.returncode == 0 and done.stdout.split(":")[0] in names, path


def test_bill_is_the_same_twice(bill):
    subprocess.run([os.path.join(TOP, "selftests", "sbom")], check=True, capture_output=True, cwd=TOP)
    with open(os.path.join(BUILD, "margay.spdx.json")) as file:
        assert file.read() == bill


def test_python_parts_are_pinned_with_hashes():
    text = read("selftests", "requirements.txt").replace("\\\n", " ")
    rows = [row for row in text.split("\n") if row.strip() and not row.strip().startswith(("#", "--"))]
    assert rows and all(re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", row) for row in rows)
    assert "--require-hashes" in read("selftests", "deps")


def test_go_parts_are_pinned_with_sums():
    sums = read("selftests", "go", "go.sum")
    wanted = re.findall(r"^\s*(?:require )?(\S+/\S+) (v\S+)", read("selftests", "go", "go.mod"), re.M)
    assert wanted and not [part for part in wanted if f"{part[0]} {part[1]} h1:" not in sums and f"{part[0]} {part[1]}/go.mod h1:" not in sums]


# --- what nobody can ------------------------------------------------------------------------------

def cannots():
    """(who, cannot, cell of tests) of the table."""
    table = read("SECURITY.md").partition("| who | cannot | test |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n") if line.startswith("| ")]
    assert len(rows) > 10
    return rows


def named(cell):
    """(file, test or None) for each test a cell names; a test without a file before it is of test_security.py."""
    file = SECURITY_TESTS
    for word in re.findall(r"`([^`]+)`", cell):
        if "/" in word:
            file = word
            if not re.search(re.escape(word) + r"` `test_", cell):
                yield word, None
        else:
            yield file, word


@pytest.mark.parametrize("who, what, cell", cannots(), ids=lambda text: text[:40])
def test_every_cannot_has_its_test(who, what, cell):
    tests = list(named(cell))
    assert tests, f"{what}: no test"
    for file, test in tests:
        path = os.path.join(TOP, file)
        assert os.path.exists(path), f"{what}: {file} is not there"
        if test:
            text = read(file)
            assert re.search(rf"^(def|static void) {test}\(", text, re.M), f"{what}: {file} has no {test}"
            # A cmocka test that no list names does not run.
            assert file.endswith(".py") or re.search(rf"\([^()]*\b{test}\b[^()]*\)", text.partition("int main(")[2]), test
        else:
            assert os.path.isdir(path), f"{what}: names {file}, not a test of it"


def test_every_security_test_is_of_a_cannot():
    said = {test for _, _, cell in cannots() for file, test in named(cell) if file == SECURITY_TESTS}
    assert said == set(re.findall(r"^def (test_\w+)", read(SECURITY_TESTS), re.M))


def test_other_tests_that_the_page_names_are_there():
    for word in re.findall(r"`(selftests/[^` ]+)`", read("SECURITY.md")):
        assert os.path.exists(os.path.join(TOP, word)), word
