"""Checks generated clients against the components of a document: each type once, under the component's name.

    no_type_twice.py DOCUMENT TYPESCRIPT PYTHON_PACKAGE
"""

import json
import pathlib
import re
import sys

# Maps from text to text: a class of their own in Python, whatever the document says.
MAPS = {"issued_upload_headers"}


def snake_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


document, typescript, package = (pathlib.Path(argument) for argument in sys.argv[1:])
components = json.loads(document.read_text())["components"]["schemas"]
text = typescript.read_text()

exported = re.findall(r"^export type (\w+) = components\['schemas'\]\['(\w+)'\];$", text, re.M)
# A second type of the same name would get a suffix.
wrong = [f"{name} stands for {component}" for name, component in exported if name != component.replace("_", "")]
names = sorted(component for _, component in exported)
if names != sorted(components):
    wrong.append(f"TypeScript has other types than the document: {sorted(set(names) ^ set(components))}")
inline = re.findall(r'^.*"application/json": (?!components\["schemas"\]\["\w+"\];).*$', text, re.M)
wrong += [f"TypeScript has a body without a name: {line.strip()}" for line in inline]

classes = {path.stem for path in (package / "models").glob("*.py")} - {"__init__"} - MAPS
expected = {snake_case(name) for name in components}
if classes != expected:
    wrong.append(f"Python has other classes than the document: {sorted(classes ^ expected)}")

if wrong:
    sys.exit(f"{document.name}:\n" + "\n".join(wrong))
print(f"{document.name}: {len(components)} types, each generated once")
