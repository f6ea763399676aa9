"""Build the compiled kernels: a plain shared library that no version of Python is part of.

Everything else about the package stands in pyproject.toml. The library is optional: where it cannot be compiled the
install goes on and torch does the same sums. ``CC`` names the compiler; it must know vector extensions, as gcc and
clang do, which is why Windows is served by clang instead of the compiler of setuptools.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

WINDOWS = sys.platform == "win32"


class BuildKernels(build_ext):
    """Builds ``_kernels.so`` or ``_kernels.dll``: loaded through ctypes, without Python's headers or its tag."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return the path of the library below the packages' folder, as mimo/kernels.py looks for it."""
        return os.path.join(*fullname.split(".")) + (".dll" if WINDOWS else ".so")

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Return nothing: the source marks what it exports, and there is no function that Python would call."""
        return []

    def build_extension(self, ext: Extension) -> None:
        """Compile with the compiler of setuptools, or on Windows with clang."""
        if not WINDOWS:
            super().build_extension(ext)
            return
        made = Path(self.build_temp) / "_kernels.dll"  # alone: compilers leave more files beside what they make
        target = Path(self.get_ext_fullpath(ext.name))
        for path in (made, target):
            path.parent.mkdir(parents=True, exist_ok=True)
        compiler = shlex.split(os.environ.get("CC", "clang"))
        command = [*compiler, "-shared", *ext.extra_compile_args, "-o", str(made), *ext.sources]
        try:
            subprocess.run(command, check=True)  # noqa: S603 - the compiler that the user named
        except (OSError, subprocess.CalledProcessError) as error:
            raise CompileError(str(error)) from error
        shutil.copy(made, target)


class Wheel(bdist_wheel):
    """Names a wheel for any Python 3 of one platform, or of any platform when the library could not be built."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return tags of Python, interface and platform."""
        build = self.get_finalized_command("build_ext")
        built = all(Path(build.get_ext_fullpath(ext.name)).exists() for ext in build.extensions)
        return "py3", "none", super().get_tag()[2] if built else "any"


setup(cmdclass={"build_ext": BuildKernels, "bdist_wheel": Wheel})
