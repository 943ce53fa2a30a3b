"""Brings the GenerationQueue definition up to date. Run by the chart's Job: apply.py FILE NAME.

It needs nothing but Python: it has to work with the image of any version of genfleet.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def main() -> int:
    """Apply the file to the API server, as `kubectl apply --server-side` would."""
    file, name = sys.argv[1:]
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = urllib.request.Request(
        f"https://{address}/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=helm&force=true",
        data=Path(file).read_bytes(),
        method="PATCH",
        headers={
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
            "Content-Type": "application/apply-patch+yaml",
        },
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=trust, timeout=30):  # noqa: S310  it is https, see above
            sys.stdout.write(f"{name} is up to date\n")
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"the API server refused {name}: {error.code} {error.read().decode()}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
