"""What mkdocs calls: the generated pages join the written ones."""

from __future__ import annotations

from pathlib import Path

from generated import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, text in pages(Path(config.config_file_path).parent).items():
        files.append(File.generated(config, path, content=text))
    return files
