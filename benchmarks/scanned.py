"""What a scan says of published applications that nobody here wrote.

``python -m benchmarks.scanned [--folder PATH] [NAME ...]``: for each application of `APPLICATIONS` a virtual
environment with pip, ``python -m pytest_memleak scan`` in a folder of its own, and a row of the table that it
prints at the end. 60 simulated minutes of 10 requests each (5 for the slow ones) for every operation, not the
usual 24 hours: it answers what a scan meets, not what a day would show. Environments that exist are used again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabulate import tabulate

PROJECT = Path(__file__).parent.parent
LONGEST_S = 900.0
"""Real seconds that one scan may take."""
HEADERS = ("application", "operations", "passed", "leak", "inconclusive", "not measured", "error", "seconds")

RASTER = """\
import numpy, rasterio
from rasterio.transform import from_bounds

with rasterio.open("small.tif", "w", driver="GTiff", width=256, height=256, count=1, dtype="uint8", crs="EPSG:4326",
                   transform=from_bounds(-180, -85, 180, 85, 256, 256)) as file:
    file.write(numpy.arange(65536, dtype="uint8").reshape(1, 256, 256))
"""
TILED = """\
from tiled.server.app import build_app_from_config

app = build_app_from_config({
    "trees": [{"path": "/", "tree": "tiled.examples.generated_minimal:tree"}],
    "authentication": {"allow_anonymous_access": True},
})
"""
PICCOLO = """\
from piccolo_admin.example.app import create_schema, populate_data, set_engine

set_engine("sqlite")
create_schema(persist=False)
populate_data(inflate=0, engine="sqlite")
"""
MARIMO = """\
import marimo

app = marimo.create_asgi_app().with_app(path="/note", root="note.py").build()
"""
NOTE = """\
import marimo

app = marimo.App()


@app.cell
def _():
    1 + 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application from the package index.

    Args:
        name: of its distribution.
        app: the import string.
        needs: further requirements.
        files: by name, written beside the scan.
        before: a script that makes what the app serves.
        environment: variables of the process.
        configuration: lines of `[tool.pytest]`.
        options: further options of pytest.
    """

    name: str
    app: str
    needs: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    configuration: str = ""
    options: tuple[str, ...] = ()


APPLICATIONS = (
    Application(
        name="titiler.application",
        app="titiler.application.main:app",
        before=RASTER,
        configuration='memleak_scan_parameters = ["url = small.tif", "tileMatrixSetId = WebMercatorQuad", '
        '"z = 0", "x = 0", "y = 0"]\n'
        'memleak_scan_exclude = ["/stac/*", "/mosaicjson/*", "/zarr/*"]\nmemleak_scan_count = "5"',
    ),
    Application(
        name="tiled",
        app="served:app",
        needs=("tiled[server]",),
        files={"served.py": TILED},
        environment={"TILED_SINGLE_USER_API_KEY": "secret"},
        configuration='memleak_scan_headers = ["Authorization: Apikey secret"]\n'
        'memleak_scan_parameters = ["path = A"]\nmemleak_scan_include = ["GET *"]\nmemleak_scan_count = "5"',
    ),
    Application(
        name="piccolo_admin",
        app="piccolo_admin.example.app:APP",
        needs=("piccolo[sqlite]"),
        before=PICCOLO,
    ),
    Application(
        name="mlflow",
        app="mlflow.server.fastapi_app:app",
        environment={"_MLFLOW_SERVER_FILE_STORE": "sqlite:///mlflow.db", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        configuration='memleak_scan_exclude = ["*/ajax-api/*"]\nmemleak_scan_headers = ["Host: localhost"]\n'
        'memleak_scan_count = "5"',
    ),
    Application(name="marimo", app="served:app", files={"served.py": MARIMO, "note.py": NOTE}),
    Application(
        name="prefect",
        app="prefect.server.api.server:create_app()",
        environment={"PREFECT_HOME": "prefect", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        configuration='memleak_scan_include = ["/hello", "/ready", "/api/flow*", "/api/version", "/api/variables/*"]\n'
        'memleak_scan_exclude = ["*{*"]\nmemleak_scan_count = "5"',
    ),
    Application(
        name="chromadb",
        app="chromadb.app:app",
        needs=("fastapi", "opentelemetry-instrumentation-fastapi"),
        environment={"ANONYMIZED_TELEMETRY": "False"},
        # It can be started once in a process.
        configuration='memleak_scan_include = ["GET /api/v2/version", "POST /api/v2/tenants", "*/collections"]',
        options=("--memcheck-isolate",),
    ),
)


def make_environment(application: Application, folder: Path) -> Path:
    """The Python of the application's virtual environment, made where there is none."""
    python = folder / "venvs" / application.name / "bin" / "python"
    if not python.exists():
        venv.create(python.parent.parent, with_pip=True)
        wanted = (f"{PROJECT}[scan]", application.name, *application.needs)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def scan(application: Application, folder: Path) -> dict[str, Any] | None:
    """Scan one application; its record, or None when the scan came to no end."""
    python = make_environment(application, folder)
    work = folder / "scans" / application.name
    work.mkdir(parents=True, exist_ok=True)
    for name, content in application.files.items():
        (work / name).write_text(content, encoding="utf-8")
    configuration = f"[tool.pytest]\nmemleak_duration = '1h'\n{application.configuration}\n"
    (work / "pyproject.toml").write_text(configuration, encoding="utf-8")
    around = {"cwd": work, "env": {**os.environ, **application.environment}}
    if application.before:
        subprocess.run([python, "-c", application.before], check=True, **around)  # type: ignore[call-overload]
    (work / "record.json").unlink(missing_ok=True)
    command = [python, "-m", "pytest_memleak", "scan", application.app, "--memcheck-json=record.json", "-q"]
    with open(work / "output.txt", "w", encoding="utf-8") as output:
        run: Any = subprocess.Popen([*command, *application.options], stdout=output, stderr=output, **around)
        try:
            run.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            run.terminate()  # the record then holds what was checked so far
            run.wait()
    record = work / "record.json"
    return json.loads(record.read_text(encoding="utf-8")) if record.exists() else None


def version(application: Application, folder: Path) -> str:
    """The version that was scanned."""
    script = f"from importlib.metadata import version; print(version({application.name!r}))"
    done = subprocess.run([make_environment(application, folder), "-c", script], capture_output=True, text=True)
    return done.stdout.strip()


def main() -> int:
    """Scan what is asked for and print the table; 1 when a scan came to no end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="applications (default: all)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "memleak-scanned")
    given = parser.parse_args()
    rows, told, failed = [], [], 0
    for application in APPLICATIONS:
        if given.names and application.name not in given.names:
            continue
        began = time.monotonic()
        record = scan(application, given.folder)
        name = f"{application.name} {version(application, given.folder)}"
        if record is None:
            failed = 1
            rows.append((name, "the scan came to no end"))
            continue
        verdicts = Counter(entry["verdict"] for entry in record["tests"])
        counts = [verdicts[word] for word in ("passed", "leak", "inconclusive", "not_measured", "error")]
        rows.append((name, sum(counts), *counts, round(time.monotonic() - began)))
        told += [
            f"- {name}: `{entry['nodeid']}`: {entry['verdict']}: {' '.join(entry['message'].split())[:300]}"
            for entry in record["tests"]
            if entry["verdict"] in ("leak", "inconclusive", "error")
        ]
        print(rows[-1], *told[-sum(counts[i] for i in (1, 2, 4)) or len(told) :], sep="\n", file=sys.stderr)
    print(tabulate(rows, headers=HEADERS, tablefmt="github"), *told, sep="\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
