#!/usr/bin/env python3
"""Turns the annotations of the Lua module for editors (LuaCATS) into those of LDoc.

usage: luacats.py META... >MODULE
"""

import re
import sys


def split_type(text):
    """The type at the front of a text, and what follows it."""
    depth = 0
    for at, letter in enumerate(text):
        depth += letter in "({<["
        depth -= letter in ")}>]"
        if letter == " " and not depth and text[at - 1] not in ":,|":
            return text[:at].replace(" ", ""), text[at + 1:].strip()
    return text.replace(" ", ""), ""


def named(text):
    """(name, type, description, optional) of a parameter or a field."""
    name, _, rest = text.partition(" ")
    kind, words = split_type(rest)
    return name.rstrip("?"), kind, words, name.endswith("?")


def returned(text):
    """(type, description) of the results of one line."""
    types = []
    while True:
        kind, text = split_type(text)
        # "name, type" lists of results have the name of each behind its type.
        more = re.match(r"(.*?,)(.*)", kind) if kind.count("(") == 0 else None
        types.append(kind)
        if not more or not text.startswith(","):
            return ", ".join(types), text
        text = text[1:].strip()


def lines_of(comment):
    """A comment of LDoc, from its text, in order, and tags."""
    text, tags = [], []
    for line in comment:
        tag = re.match(r"@(\w+)\s*(.*)", line)
        if not tag:
            text.append(line)
        elif tag[1] in ("param", "field"):
            name, kind, words, optional = named(tag[2])
            opt = "[opt]" if optional else ""
            tags.append(f"@t{tag[1]}{opt} {of_ldoc(kind)} {name} {words}")
        elif tag[1] == "return":
            kind, words = returned(tag[2])
            tags.append(f"@treturn {of_ldoc(kind).replace(', ', ',')} {words}")
        elif tag[1] == "overload":
            text.append(f"Also: `{tag[2]}`.")
    return text, tags


def of_ldoc(kind):
    """A type as LDoc writes it: a question mark at the end is nil."""
    return re.sub(r"^\?\|?", "", re.sub(r"\?(?=[,|]|$)", "|nil", kind))


def emit(text, tags):
    text = [re.sub("`(.*?)`", r"<code>\1</code>", line) for line in text if line]
    text = text or ["."]
    print("---", text[0])
    for line in text[1:] + tags:
        print("--", line)
    print()


def classes_and_functions(lines):
    """(comment, name of a class, alias or function) of each."""
    comment = []
    for line in lines:
        if line.startswith("---"):
            comment.append(line[3:].strip())
            continue
        function = re.match(r"function ([\w.:]+)\((.*)\)", line)
        if function:
            yield comment, function[1]
        elif comment:
            yield comment, None
        comment = []


def main():
    lines = [line for path in sys.argv[1:] for line in open(path).read().splitlines()]
    print("--- Child processes and message pipes.")
    print("-- An expected failure is nil, a message and a code; the module has each code")
    print("-- by its name, such as gipc.EOF, gipc.ETIMEDOUT, and every error of POSIX.")
    print("-- @module gipc\n")
    functions, methods, types = [], {}, []
    for comment, name in classes_and_functions(lines):
        text, tags = lines_of(comment)
        if name is None:
            for tag in comment:
                found = re.match(r"@(class|alias) gipc\.(\w+)(.*)", tag)
                if found:
                    types.append((found[1], found[2], found[3].strip(), text, tags))
        elif name.startswith("gipc."):
            functions.append((name[5:], text, tags))
        else:
            methods.setdefault(name.split(":")[0].split(".")[0], []).append((name, text, tags))
    for name, text, tags in functions:
        emit(text, [f"@function {name}", *tags])
    for owner, members in methods.items():
        about = [t[3] for t in types if t[1] == owner]
        emit(about[0] if about else [], [f"@type {owner}"])
        for name, text, tags in members:
            separator = ":" if ":" in name else "."
            emit(text, [f"@function {owner}{separator}{re.split('[.:]', name)[1]}", *tags])
    emit(["Options, results and other types"], ["@section types"])
    for kind, name, rest, text, tags in types:
        if name not in methods:
            if kind == "alias":
                text = [*text, f"`{rest}`"]
            elif rest:
                text = [*text, f"Has the members of `{rest.lstrip(': ')}`, too."]
            emit(text or [name], [f"@table {name}", *tags])


if __name__ == "__main__":
    main()
