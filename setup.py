"""The addon as a wheel: it installs as odoo.addons.backup_scheduler, beside Odoo's own."""

import ast
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
ADDON = "backup_scheduler"
MANIFEST = ast.literal_eval((ROOT / ADDON / "__manifest__.py").read_text(encoding="utf-8"))
README = ROOT / "README.rst"
NOT_SHIPPED = ("__pycache__", "*.pyc")


def packages():
    """Return the addon's packages under their installed names."""
    folders = sorted(path.parent.relative_to(ROOT) for path in ROOT.glob(f"{ADDON}/**/__init__.py"))
    return ["odoo.addons." + ".".join(folder.parts) for folder in folders]


setup(
    name="odoo-addon-backup_scheduler",
    version=MANIFEST["version"],
    description=MANIFEST["summary"],
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/x-rst",
    author=MANIFEST["author"],
    license=MANIFEST["license"],
    # The LGPL-3, and the GPL-3 on which it builds.
    license_files=["LICENSE", "COPYING"],
    classifiers=[
        "Framework :: Odoo",
        "Framework :: Odoo :: 19.0",
        "Programming Language :: Python :: 3",
    ],
    packages=packages(),
    package_dir={f"odoo.addons.{ADDON}": ADDON},
    package_data={f"odoo.addons.{ADDON}": ["**/*"]},
    exclude_package_data={"": list(NOT_SHIPPED)},
    zip_safe=False,
    python_requires=">=3.10",
    install_requires=["boto3", "croniter", "pytz"],
    extras_require={
        "alerts": ["apprise>=1.9"],
        "describe": ["cron-descriptor"],
        "encryption": ["pyrage"],
        "fast": ["isal"],
        "sftp": ["paramiko"],
    },
)
